"""MAIL, RCPT and DATA in one write (RFC 2920): what is sent, and when."""

import pytest

from mailrotate.core.values.states import Security
from mailrotate.providers import smtp
from tests.providers.conftest import (
    BIG,
    LETTER,
    TIMEOUTS,
    account_at,
    envelope,
    refusal,
    send,
)
from tests.support.scripted_smtp import (
    Delivery,
    Move,
    ScriptedSmtp,
    answers,
)
from tests.support.smtp_sink import SmtpSink
from tests.support.tls import TlsAuthority

GROUPS = ("AUTH PLAIN", "8BITMIME", "SMTPUTF8", "SIZE 1000000", "PIPELINING")
GROUP = b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<pia@example.com>\r\nDATA\r\n"
NO_SUCH_USER = "550 5.1.1 no such user"
NO_RECIPIENTS = answers("554 5.5.1 no valid recipients")


def test_f3_a_group_is_one_write_and_a_letter_two_round_trips_instead_of_four() -> None:
    heard = {}
    for features in (("AUTH PLAIN",), ("AUTH PLAIN", "PIPELINING")):
        with ScriptedSmtp(features=features) as server:
            session = smtp.open_session(account_at(server.port), TIMEOUTS)
            server.heard.clear()
            send(session, envelope())
            heard[features] = list(server.heard)
            session.close()
        assert server.taken == [LETTER]
    one_by_one, together = heard.values()
    assert one_by_one == [*GROUP.splitlines(keepends=True), LETTER + b".\r\n"]
    assert together == [GROUP, LETTER + b".\r\n"]


def test_f3_nothing_of_the_content_leaves_before_the_answer_to_data() -> None:
    def note(phase: str) -> None:
        heard.append((phase, b"".join(server.heard).endswith(GROUP)))

    heard: list[tuple[str, bool]] = []
    with ScriptedSmtp(features=("PIPELINING",), before_reply=note) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        session.stage(envelope(BIG))
        assert heard[-3:] == [("mail", True), ("rcpt", True), ("data", True)]
        assert server.dots == []
        session.abandon()
    assert server.dots == []


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
@pytest.mark.parametrize("delivery", Delivery)
def test_f3_several_letters_in_groups_share_one_connection(
    delivery: Delivery, security: Security, authority: TlsAuthority
) -> None:
    with ScriptedSmtp(
        features=GROUPS, delivery=delivery, security=security, tls=authority.server_context()
    ) as server:
        session = smtp.open_session(account_at(server.port, security), TIMEOUTS)
        for raw in (LETTER, BIG, LETTER):
            assert session.usable
            send(session, envelope(raw))
        session.close()
    assert (server.taken, server.connection_count) == ([LETTER, BIG, LETTER], 1)


def test_another_makers_server_takes_groups(smtp_sink: SmtpSink) -> None:
    session = smtp.open_session(account_at(smtp_sink.port), TIMEOUTS)
    assert session._talk.has_extn("pipelining")
    before = len(smtp_sink.messages())
    for _ in range(3):
        assert send(session, envelope()).code == 250
    session.close()
    assert len(smtp_sink.messages()) == before + 3


@pytest.mark.parametrize("offered", ["before TLS", "after TLS"])
def test_i2_only_what_is_offered_after_starttls_counts(offered: str, authority: TlsAuthority) -> None:
    """What was said before TLS, an attacker may have said."""
    before = ("STARTTLS", "PIPELINING") if offered == "before TLS" else ("STARTTLS",)
    after = ("AUTH PLAIN", "PIPELINING") if offered == "after TLS" else ("AUTH PLAIN",)
    with ScriptedSmtp(
        features=after,
        features_before_tls=before,
        security=Security.STARTTLS,
        tls=authority.server_context(),
    ) as server:
        session = smtp.open_session(account_at(server.port, Security.STARTTLS), TIMEOUTS)
        send(session, envelope())
        session.close()
    assert (GROUP in server.heard) == (offered == "after TLS")


def test_the_last_ehlo_says_whether_groups_are_taken() -> None:
    script = {
        "rcpt": [answers(NO_SUCH_USER)],
        "data": [NO_RECIPIENTS],
        "ehlo": [Move(), answers("250-mail.example.org\r\n250 AUTH PLAIN")],
    }
    with ScriptedSmtp(script, features=GROUPS) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert refusal(lambda: session.stage(envelope())).code == 550
        send(session, envelope())
        session.close()
    assert server.taken == [LETTER]
    assert GROUP.splitlines(keepends=True)[1] in server.heard


def test_a_group_keeps_the_parameters_of_mail() -> None:
    with ScriptedSmtp(features=GROUPS) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        send(session, envelope(recipient="zoë@example.com"))
        session.close()
    mail = f"MAIL FROM:<anna@example.org> SIZE={len(LETTER)} SMTPUTF8"
    assert f"{mail}\r\nRCPT TO:<zoë@example.com>\r\nDATA\r\n".encode() in server.heard
