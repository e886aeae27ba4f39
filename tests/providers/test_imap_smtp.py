"""The contract of MailProvider: sending, reading and testing a mailbox by the same path."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mailrotate.core.ports import InboxSession, MailProvider, SendSession
from mailrotate.core.rules.replies import classify
from mailrotate.core.values.credential import OAuthToken, Password
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.mail import CheckStep, Envelope, MailAccount, MailTrouble
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Phase, ReplyClass, Security
from mailrotate.providers import wire
from mailrotate.providers.registry import PROVIDERS, provider_for
from tests.providers.conftest import IMPATIENT, PASSWORD, TIMEOUTS, account_at, local
from tests.support.dovecot import Dovecot
from tests.support.recording_smtp import RecordingSmtp
from tests.support.scripted_imap import ScriptedImap
from tests.support.scripted_smtp import ScriptedSmtp, answers, hangs
from tests.support.tls import TlsAuthority

LETTER = b"Message-ID: <1@example.org>\r\nSubject: x\r\n\r\nHello\r\n"


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> MailProvider:
    return provider_for(request.param, TIMEOUTS)


def outcomes(steps: Sequence[CheckStep]) -> list[tuple[str, str, bool]]:
    return [(step.service, step.step, step.passed) for step in steps]


def test_b1_a_letter_goes_out_its_copy_is_filed_and_its_answer_is_read(
    provider: MailProvider, account: MailAccount, dovecot: Dovecot, recording: RecordingSmtp
) -> None:
    inbox: InboxSession = provider.open_inbox(account)
    cursor, _ = inbox.new_headers(None)
    sender: SendSession = provider.open_sender(account)
    sender.stage(Envelope(account.address, ("pia@example.com",), LETTER))
    assert sender.commit().code == 250
    sender.close()
    assert (recording.received[-1].login, recording.received[-1].raw) == (account.username, LETTER)
    assert not inbox.has_sent_copy("<1@example.org>")
    inbox.file_sent_copy(recording.received[-1].raw)
    assert inbox.has_sent_copy("<1@example.org>")
    dovecot.deliver(account.address, b"In-Reply-To: <1@example.org>\r\n\r\nYes\r\n")
    (answer,) = inbox.new_headers(cursor)[1]
    assert b"In-Reply-To: <1@example.org>" in answer.raw
    inbox.close()


def test_b1_a_provider_that_nobody_knows_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        provider_for("gogle", TIMEOUTS)
    assert caught.value.code == "provider.unknown"
    assert "'gogle'" in caught.value.message


# --- the connection test


def test_c1_a_test_reports_each_step_of_both_servers(provider: MailProvider, account: MailAccount) -> None:
    steps = provider.check(account)
    assert outcomes(steps) == [
        ("smtp", "resolve", True),
        ("smtp", "connect", True),
        ("smtp", "tls", True),
        ("smtp", "ehlo", True),
        ("smtp", "auth", True),
        ("imap", "resolve", True),
        ("imap", "connect", True),
        ("imap", "tls", True),
        ("imap", "auth", True),
        ("imap", "permission", True),
    ]
    assert all(step.message for step in steps)
    assert "Authentication successful" in steps[4].message
    assert steps[-1].message == "INBOX can be read; sent mail is in Sent"


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.NONE])
def test_c1_a_test_reports_tls_where_there_is_some(
    security: Security, dovecot: Dovecot, account: MailAccount, authority: TlsAuthority
) -> None:
    users = {account.username: PASSWORD}
    with RecordingSmtp(users, security=security, tls=authority.server_context()) as server:
        changed = replace(account, smtp=local(server.port, security), imap=local(dovecot.imap_port, security))
        steps = provider_for("imap", TIMEOUTS).check(changed)
    assert all(step.passed for step in steps)
    assert sum(step.step is Phase.TLS for step in steps) == (2 if security is Security.STARTTLS else 0)


def test_c1_a_wrong_password_fails_both_in_their_own_words(account: MailAccount) -> None:
    steps = provider_for("imap", TIMEOUTS).check(replace(account, credential=Password(Secret("wrong"))))
    smtp, imap = (step for step in steps if not step.passed)
    assert (smtp.service, smtp.step, smtp.message) == (
        "smtp",
        Phase.AUTH,
        "535 5.7.8 Authentication credentials invalid",
    )
    assert (imap.service, imap.step, imap.message) == (
        "imap",
        Phase.AUTH,
        "NO [AUTHENTICATIONFAILED] Authentication failed.",
    )
    assert smtp.reply is not None
    assert (smtp.reply.code, smtp.reply.enhanced) == (535, "5.7.8")


def test_c1_a_server_that_fails_does_not_hide_the_other(
    account: MailAccount, authority: TlsAuthority
) -> None:
    provider = provider_for("imap", IMPATIENT)
    with ScriptedSmtp(
        {"connect": answers("421 4.7.0 Try again later")},
        security=Security.TLS,
        tls=authority.server_context(),
    ) as server:
        steps = provider_for("imap", TIMEOUTS).check(replace(account, smtp=local(server.port, Security.TLS)))
    assert outcomes(steps)[:3] == [
        ("smtp", "resolve", True),
        ("smtp", "tls", True),
        ("smtp", "connect", False),
    ]
    assert steps[2].message == "421 4.7.0 Try again later"
    assert outcomes(steps)[-1] == ("imap", "permission", True)
    with ScriptedSmtp() as smtp, ScriptedImap({"EXAMINE": "NO [NOPERM] not yours"}) as imap:
        steps = provider.check(replace(account_at(smtp.port), imap=local(imap.port)))
    assert steps[-1].message == "NO [NOPERM] not yours"
    assert outcomes(steps)[-2:] == [("imap", "auth", True), ("imap", "permission", False)]
    with ScriptedSmtp({"auth": hangs()}) as smtp, ScriptedImap() as imap:
        steps = provider.check(replace(account_at(smtp.port), imap=local(imap.port)))
    assert [step.message for step in steps if not step.passed] == ["the server did not answer within 0.3 s"]
    assert steps[-1].message == "INBOX can be read; a folder for sent mail will be made"


def test_c1_a_test_sends_nothing_and_files_nothing(
    account: MailAccount, dovecot: Dovecot, recording: RecordingSmtp
) -> None:
    before = len(recording.received)
    provider_for("imap", TIMEOUTS).check(account)
    assert len(recording.received) == before
    assert dovecot.messages(account.address, "Sent") == []


@pytest.mark.parametrize("host", ["nowhere.invalid", "localhost"])
def test_c1_the_phase_is_the_same_for_sending_reading_and_testing(host: str) -> None:
    """C1: the test takes the very path that sending takes."""
    provider = provider_for("imap", IMPATIENT)
    with ScriptedSmtp() as closed:
        port = closed.port
    endpoint = replace(local(port), host=host)
    account = replace(account_at(1), smtp=endpoint, imap=endpoint)
    phases = set()
    for attempt in (provider.open_sender, provider.open_inbox):
        with pytest.raises(MailTrouble) as caught:
            attempt(account)
        phases.add(caught.value.reply.phase)
    phases |= {step.step for step in provider.check(account) if not step.passed}
    assert phases == {Phase.RESOLVE if host == "nowhere.invalid" else Phase.CONNECT}


def test_i1_every_secret_of_a_token_is_blanked_in_each_form_of_it(account: MailAccount) -> None:
    token = OAuthToken(Secret("canary-access"), Secret("canary-refresh"), datetime(2026, 11, 2, tzinfo=UTC))
    redact = wire.redactor(replace(account, credential=token))
    for text in ("canary-access", "canary-refresh"):
        login = base64.b64encode(f"\0{account.username}\0{text}".encode()).decode().rstrip("=")
        for echo in (text, text.encode().hex(), login):
            assert redact(f"<{echo}>") == "<[secret]>"


def test_a_provider_of_passwords_takes_no_token(provider: MailProvider, account: MailAccount) -> None:
    token = OAuthToken(Secret("canary-access"), Secret("canary-refresh"), datetime(2026, 11, 2, tzinfo=UTC))
    signed_in = replace(account, credential=token)
    for attempt in (provider.open_sender, provider.open_inbox, provider.renew):
        with pytest.raises(MailTrouble) as refused:
            attempt(signed_in)
        assert classify(refused.value.reply, account.provider).reply_class is ReplyClass.AUTH
        assert "canary" not in str(refused.value)
