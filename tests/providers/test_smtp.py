"""Sending over SMTP: what arrives, and which phase and words a failure has."""

import select
from typing import Any

import pytest

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.mail import Envelope, FateUnknown, MailAccount, ServerReply
from mailrotate.core.values.states import Phase, ReplyClass, Security
from mailrotate.providers import smtp
from tests.providers.conftest import (
    BIG,
    IMPATIENT,
    LETTER,
    PASSWORD,
    TIMEOUTS,
    account_at,
    envelope,
    refusal,
    send,
)
from tests.support.recording_smtp import RecordingSmtp
from tests.support.scripted_smtp import (
    Move,
    ScriptedSmtp,
    answers,
    answers_and_closes,
    answers_and_resets,
    closes,
    drips,
    hangs,
    resets,
)
from tests.support.smtp_sink import SmtpSink
from tests.support.tls import TlsAuthority

# --- what arrives


@pytest.mark.parametrize("security", list(Security))
def test_b1_a_letter_arrives_byte_by_byte_whatever_the_security(
    security: Security, authority: TlsAuthority
) -> None:
    with RecordingSmtp(
        {"anna@example.org": PASSWORD}, security=security, tls=authority.server_context()
    ) as server:
        session = smtp.open_session(account_at(server.port, security), TIMEOUTS)
        reply = send(session, envelope(BIG))
        session.close()
    assert (reply.phase, reply.code, reply.enhanced) == (Phase.DOT, 250, "2.0.0")
    assert [(one.sender, one.recipients, one.raw) for one in server.received] == [
        ("anna@example.org", ("pia@example.com",), BIG)
    ]


@pytest.mark.parametrize(
    "body", [b".\r\n", b".begins\r\n", b"..\r\n.\r\n..x\r\n", b"no end", b"\r\n.\r\nMAIL FROM:<x>\r\n"]
)
def test_f3_dots_in_the_content_do_not_end_it(
    body: bytes, recording: RecordingSmtp, account: MailAccount
) -> None:
    session = smtp.open_session(account, TIMEOUTS)
    send(session, Envelope(account.address, ("pia@example.com",), b"Subject: x\r\n\r\n" + body))
    session.close()
    expected = b"Subject: x\r\n\r\n" + body
    assert recording.received[-1].raw == (expected if expected.endswith(b"\r\n") else expected + b"\r\n")


def test_f3_a_dot_at_the_border_of_the_last_chunk_is_still_stuffed() -> None:
    with ScriptedSmtp() as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        for surplus in range(8):
            body = b"." * 3 + b"\r\n" + b"x" * (smtp._LAST_CHUNK - 4 - surplus) + b"\r\n"
            send(session, envelope(LETTER + body))
        session.close()
    assert all(b"\r\n....\r\nxxx" in taken for taken in server.taken)
    assert len(server.taken) == 8


@pytest.mark.parametrize("raw", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\r\n", b"a\r\n\n", b"a\n"])
def test_i3_a_bare_line_end_never_reaches_the_wire(raw: bytes) -> None:
    with ScriptedSmtp() as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        with pytest.raises(ValueError, match="bare CR or LF"):
            session.stage(envelope(LETTER + raw))
        assert session.usable
        send(session, envelope())
        session.close()
    assert server.dots == [LETTER]


@pytest.mark.parametrize("between", [">\r\nRCPT TO:<", "\n", ">, <", "> <"])
def test_i3_an_address_never_becomes_two_or_a_command(between: str) -> None:
    with ScriptedSmtp() as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        with pytest.raises(ValueError, match="not an address"):
            session.stage(envelope(recipient=f"pia@example.com{between}eve@example.com"))
        session.close()
    assert not any("eve" in command for command in server.commands)


def test_bytes_that_should_have_been_encoded_are_refused() -> None:
    with ScriptedSmtp() as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        with pytest.raises(ValueError, match="7-bit"):
            session.stage(envelope(LETTER + "grüß\r\n".encode()))
        session.close()


def test_f3_what_was_staged_and_abandoned_is_not_delivered(
    recording: RecordingSmtp, account: MailAccount
) -> None:
    before = len(recording.received)
    session = smtp.open_session(account, TIMEOUTS)
    session.stage(Envelope(account.address, ("pia@example.com",), BIG))
    assert not session.usable
    session.abandon()
    assert not session.usable
    session = smtp.open_session(account, TIMEOUTS)
    session.stage(Envelope(account.address, ("pia@example.com",), BIG))
    session.close()
    assert len(recording.received) == before


def test_f3_the_last_chunk_and_the_dot_leave_in_one_write_after_the_rest() -> None:
    with ScriptedSmtp() as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        session.stage(envelope(BIG))
        assert server.dots == []
        written: list[bytes] = []
        whole: Any = session._talk.sock

        class Watched:
            def __getattr__(self, name: str) -> object:
                return getattr(whole, name)

            def sendall(self, data: bytes) -> None:
                written.append(bytes(data))
                whole.sendall(data)

        session._talk.sock = Watched()  # type: ignore[assignment]  # forwards all to the socket
        session.commit()
        session.close()
    assert written[0].endswith(b"\r\n.\r\n")
    assert len(written[0]) > 1000
    assert written[1:] == [b"QUIT\r\n"]
    assert server.taken == [BIG]


def test_several_letters_share_one_connection(recording: RecordingSmtp, account: MailAccount) -> None:
    connections, before = recording.connection_count, len(recording.received)
    session = smtp.open_session(account, TIMEOUTS)
    for number in range(3):
        assert session.usable
        send(session, Envelope(account.address, (f"p{number}@example.com",), LETTER))
    session.close()
    assert recording.connection_count == connections + 1
    assert [one.recipients for one in recording.received[before:]] == [
        (f"p{number}@example.com",) for number in range(3)
    ]


def test_many_letters_of_any_size_reach_another_makers_server(smtp_sink: SmtpSink) -> None:
    session = smtp.open_session(account_at(smtp_sink.port), TIMEOUTS)
    sizes = (0, 1, 60, 5_000, 8_190, 8_192, 8_194, 16_384, 65_536, 300_000)
    for size in sizes:
        body = b"".join(b".%d\r\n" % number for number in range(size // 7)) + b"x" * (size % 7)
        assert send(session, envelope(LETTER + b"size %d\r\n" % size + body)).code == 250
    session.close()
    ends = [message.replace(b"\r\n", b"\n").partition(b"\nsize ")[2] for message in smtp_sink.messages()]
    assert sorted(int(end.split(b"\n")[0]) for end in ends) == list(sizes)
    for end in ends:
        written, *lines = end.rstrip(b"\n").split(b"\n")
        numbered = [line for line in lines if line.startswith(b".")]
        assert numbered == [b".%d" % number for number in range(int(written) // 7)]


# --- refusals

PHASES = {
    "connect": Phase.CONNECT,
    "ehlo": Phase.EHLO,
    "auth": Phase.AUTH,
    "mail": Phase.MAIL,
    "rcpt": Phase.RCPT,
    "data": Phase.DATA,
    "dot": Phase.DOT,
}
REFUSALS = {
    "421 4.7.0 try again later": (421, "4.7.0"),
    "450 4.2.1 too quickly": (450, "4.2.1"),
    "550 5.1.1 nobody here": (550, "5.1.1"),
    "552 too big": (552, None),
}


def attempt(server: ScriptedSmtp, impatient: bool = False) -> None:
    session = smtp.open_session(account_at(server.port), IMPATIENT if impatient else TIMEOUTS)
    try:
        send(session, envelope(BIG))
    finally:
        session.close()


@pytest.mark.parametrize("reply", REFUSALS)
@pytest.mark.parametrize("where", PHASES)
def test_f4_a_refusal_tells_its_phase_its_code_and_the_servers_words(where: str, reply: str) -> None:
    with ScriptedSmtp({where: answers(reply)}) as server:
        said = refusal(lambda: attempt(server))
    code, enhanced = REFUSALS[reply]
    assert said == ServerReply(PHASES[where], code, enhanced, reply[4:])
    assert server.taken == []


@pytest.mark.parametrize("where", ["mail", "rcpt", "data", "dot"])
def test_f4_the_next_letter_goes_over_the_same_connection_after_a_refusal(where: str) -> None:
    with ScriptedSmtp({where: [answers("550 5.1.1 nobody here")]}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        refusal(lambda: send(session, envelope()))
        assert session.usable
        send(session, envelope())
        session.close()
    assert (len(server.taken), server.connection_count) == (1, 1)
    assert ("rset" in server.commands) == (where != "dot")


@pytest.mark.parametrize("move", [answers("421 4.3.2 closing"), closes(), resets()])
@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
def test_f4_nothing_more_goes_over_a_connection_that_the_server_ends(where: str, move: Move) -> None:
    with ScriptedSmtp({where: move}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        refusal(lambda: send(session, envelope()))
        assert not session.usable
        session.close()


def test_a_connection_whose_reset_is_refused_is_given_up() -> None:
    with ScriptedSmtp({"rcpt": answers("550 no"), "rset": answers("500 what")}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert refusal(lambda: send(session, envelope())).code == 550
        assert not session.usable


def test_an_answer_of_many_lines_is_kept_whole_in_one() -> None:
    with ScriptedSmtp(
        {"rcpt": answers("550-5.1.1 nobody\r\n550-5.1.1 \x1b[31mhere\r\n550 5.1.1 bye")}
    ) as server:
        said = refusal(lambda: attempt(server))
    assert (said.enhanced, said.text) == ("5.1.1", "5.1.1 nobody 5.1.1 ?[31mhere 5.1.1 bye")


def test_f4_a_letter_over_the_servers_limit_is_refused_before_it_is_sent() -> None:
    with ScriptedSmtp(features=("AUTH PLAIN", "SIZE 1000")) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: send(session, envelope(BIG)))
        assert (said.phase, said.code, said.enhanced) == (Phase.DATA, None, "5.3.4")
        assert classify(said, "imap").reply_class is ReplyClass.MESSAGE
        send(session, envelope())
        session.close()
    assert [command for command in server.commands if command.startswith("MAIL")] == [
        f"MAIL FROM:<anna@example.org> SIZE={len(LETTER)}"
    ]


def test_an_address_in_other_letters_needs_a_server_that_takes_it() -> None:
    for features, expected in (((), None), (("SMTPUTF8",), 250)):
        with ScriptedSmtp(features=("AUTH PLAIN", *features)) as server:
            session = smtp.open_session(account_at(server.port), TIMEOUTS)
            letter = envelope(recipient="zoë@example.com")
            if expected is None:
                assert refusal(lambda: send(session, letter)).enhanced == "5.6.7"  # noqa: B023 - called at once
                assert session.usable
            else:
                assert send(session, letter).code == expected
            session.close()


# --- silence and broken connections

BROKEN: dict[str, Move] = {
    "silence": hangs(),
    "end": closes(),
    "reset": resets(),
    "nonsense": answers("hello there"),
    "code of another protocol": answers("+OK"),
    "drip": drips("250-"),
}


@pytest.mark.parametrize("move", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("where", [where for where in PHASES if where != "dot"])
def test_c2_a_broken_connection_before_the_dot_is_the_paths_trouble(where: str, move: Move) -> None:
    with ScriptedSmtp({where: move}) as server:
        said = refusal(lambda: attempt(server, impatient=True))
    assert (said.phase, said.code, said.enhanced) == (PHASES[where], None, None)
    assert classify(said, "imap").reply_class is ReplyClass.NET
    assert server.dots == []


@pytest.mark.parametrize("move", BROKEN.values(), ids=BROKEN)
def test_f3_silence_or_nonsense_after_the_dot_leaves_the_fate_unknown(move: Move) -> None:
    with ScriptedSmtp({"dot": move}) as server:
        session = smtp.open_session(account_at(server.port), IMPATIENT)
        session.stage(envelope())
        with pytest.raises(FateUnknown) as caught:
            session.commit()
        assert not session.usable
        session.close()
    assert (caught.value.reply.phase, caught.value.reply.code) == (Phase.DOT, None)
    assert classify(caught.value.reply, "imap").reply_class is ReplyClass.UNKNOWN
    assert server.dots == [LETTER]


def test_f3_an_answer_that_is_neither_yes_nor_no_leaves_the_fate_unknown() -> None:
    with ScriptedSmtp({"dot": answers("354 go on")}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        session.stage(envelope())
        with pytest.raises(FateUnknown):
            session.commit()


@pytest.mark.parametrize(
    "move", [answers_and_closes("250 2.0.0 taken"), answers_and_resets("250 2.0.0 taken")]
)
def test_f3_what_happens_after_the_250_makes_it_no_less_sent(move: Move) -> None:
    with ScriptedSmtp({"dot": move}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        try:
            reply = send(session, envelope())
        except FateUnknown as unknown:
            # A reset may overtake the answer in the network, and then nobody has heard it.
            assert move.then == "reset"
            reply = unknown.reply
        session.close()
    assert reply.code in (250, None)
    assert server.taken == [LETTER]


def test_f3_a_farewell_that_is_refused_or_unheard_does_not_matter() -> None:
    for move in (answers("500 no"), closes(), resets(), hangs()):
        with ScriptedSmtp({"quit": move}) as server:
            session = smtp.open_session(account_at(server.port), IMPATIENT)
            assert send(session, envelope()).code == 250
            session.close()
            session.close()


def test_f3_a_server_that_ends_the_transfer_has_not_taken_the_letter() -> None:
    with ScriptedSmtp({"content": answers_and_closes("451 4.3.0 no more")}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        # Longer than the last chunk, so that the server sees some of it before the dot; its words must be
        # here before the dot leaves, else they would be the answer to the dot.
        session.stage(envelope(LETTER + b"word " * 10 + b"\r\n" + (b"word " * 10 + b"\r\n") * 1000))
        assert select.select([session._talk.sock], [], [], 30)[0]
        said = refusal(session.commit)
    assert (said.phase, said.code) == (Phase.DATA, 451)
    assert server.dots == []


@pytest.mark.parametrize("security", [Security.NONE, Security.TLS])
@pytest.mark.parametrize("reply", ["250 2.0.0 taken", "250 2.0.0 taken\r\n421 4.4.2 idle too long"])
def test_a_server_that_has_hung_up_meanwhile_is_noticed_before_the_next_letter(
    reply: str, security: Security, authority: TlsAuthority
) -> None:
    script = {"dot": answers_and_closes(reply)}
    with ScriptedSmtp(script, security=security, tls=authority.server_context()) as server:
        session = smtp.open_session(account_at(server.port, security), TIMEOUTS)
        assert session.usable
        assert send(session, envelope()).code == 250
        # After this the server's end of the connection is closed.
        server.stop()
        assert not session.usable
        session.close()


def test_nothing_is_said_before_the_answer_to_what_was_said_last() -> None:
    """Without PIPELINING: when the server is about to answer, exactly one command more has come."""
    heard: list[tuple[str, int]] = []
    with ScriptedSmtp(before_reply=lambda phase: heard.append((phase, len(server.commands)))) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        send(session, envelope())
        session.close()
    assert heard == [
        ("connect", 0),
        ("ehlo", 1),
        ("auth", 2),
        ("mail", 3),
        ("rcpt", 4),
        ("data", 5),
        ("dot", 5),
        ("quit", 6),
    ]
