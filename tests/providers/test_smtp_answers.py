"""An answer belongs to one command: servers that answer twice, and servers that refuse a login method."""

import base64

import pytest

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.mail import FateUnknown
from mailrotate.core.values.states import Phase, ReplyClass
from mailrotate.providers import smtp
from tests.providers.conftest import (
    IMPATIENT,
    LETTER,
    PASSWORD,
    TIMEOUTS,
    account_at,
    envelope,
    refusal,
    send,
)
from tests.support.scripted_smtp import Move, ScriptedSmtp, answers, answers_and_closes, hangs

OUT_OF_STEP = "the server gives more answers than it was sent commands"
NO_SUCH_USER = "550 5.1.1 no such user"


def test_f4_a_second_answer_to_mail_is_not_the_answer_to_rcpt() -> None:
    twice = answers(f"250 2.1.0 sender taken\r\n{NO_SUCH_USER}")
    with ScriptedSmtp({"mail": twice}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: session.stage(envelope()))
        assert not session.usable
    assert (said.phase, said.code) == (Phase.RCPT, None)
    assert classify(said, "imap").reply_class is ReplyClass.NET


def test_f4_a_second_answer_that_comes_late_is_noticed_before_anybody_is_blamed() -> None:
    """It arrives only once RCPT was sent, and looks like its answer: from there on all are one too late."""
    late = {
        "rcpt": answers(NO_SUCH_USER),
        "rset": answers("250 2.1.5 recipient taken"),
        "ehlo": [Move(), answers("250 2.0.0 forgotten")],
    }
    with ScriptedSmtp(late) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: session.stage(envelope()))
        assert not session.usable
    assert (said.phase, said.code, said.text) == (Phase.RCPT, None, OUT_OF_STEP)
    assert classify(said, "imap").reply_class is ReplyClass.NET


def test_f4_two_answers_to_rcpt_blame_nobody_either() -> None:
    with ScriptedSmtp({"rcpt": answers(f"{NO_SUCH_USER}\r\n250 2.1.5 taken")}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert refusal(lambda: session.stage(envelope())).text == OUT_OF_STEP


def test_f4_a_server_that_ends_the_connection_after_its_refusal_is_believed() -> None:
    closing = answers_and_closes(f"{NO_SUCH_USER}\r\n421 4.7.0 too many errors, closing")
    with ScriptedSmtp({"rcpt": closing}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert refusal(lambda: session.stage(envelope())).code == 550
        assert not session.usable


@pytest.mark.parametrize(
    ("where", "reply", "phase"),
    [
        ("connect", "220 mail.example.org\r\n554 5.7.1 go away", Phase.EHLO),
        ("auth", "235 2.7.0 welcome\r\n535 5.7.8 no", Phase.MAIL),
        ("rcpt", "250 2.1.5 taken\r\n354 go on", Phase.DATA),
        ("data", "354 go on\r\n250 2.0.0 taken", Phase.DATA),
    ],
)
def test_f4_a_second_answer_ends_the_connection_wherever_it_comes(
    where: str, reply: str, phase: Phase
) -> None:
    with ScriptedSmtp({where: answers(reply)}) as server:

        def attempt() -> None:
            send(smtp.open_session(account_at(server.port), TIMEOUTS), envelope())

        said = refusal(attempt)
    assert said.phase is phase
    assert server.taken == []


def test_f3_a_second_answer_to_the_dot_does_not_take_back_the_first() -> None:
    with ScriptedSmtp({"dot": [answers("250 2.0.0 taken\r\n550 5.1.1 no")]}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert send(session, envelope()).code == 250
        assert not session.usable
    assert server.taken == [LETTER]


def test_f4_a_server_that_refuses_to_greet_again_is_believed_and_left() -> None:
    script = {"rcpt": answers(NO_SUCH_USER), "ehlo": [Move(), answers("503 5.5.1 duplicate EHLO")]}
    with ScriptedSmtp(script) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert refusal(lambda: session.stage(envelope())).code == 550
        assert not session.usable


# --- the login


@pytest.mark.parametrize(
    "refused", ["535 5.7.8 bad", "504 5.5.4 unrecognized", "502 5.5.2 not implemented", "553 no"]
)
def test_b1_a_login_that_plain_refuses_is_tried_as_login(refused: str) -> None:
    with ScriptedSmtp({"auth": answers(refused), "login": Move()}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert send(session, envelope()).code == 250
        session.close()
    sent = [command for command in server.commands if command.startswith("AUTH")]
    assert sent[1:] == ["AUTH LOGIN"]
    assert base64.b64decode(server.commands[3]) == b"anna@example.org"
    assert base64.b64decode(server.commands[4]).decode() == PASSWORD
    assert server.connection_count == 1


@pytest.mark.parametrize("second", ["535 5.7.8 wrong password", "503 5.5.1 what?"])
def test_c1_a_wrong_password_is_one_refusal_in_the_servers_first_words(second: str) -> None:
    with ScriptedSmtp({"auth": answers("535 5.7.8 not you"), "login": answers(second)}) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS))
    assert (said.phase, said.code, said.text) == (Phase.AUTH, 535, "5.7.8 not you")
    assert classify(said, "imap").reply_class is ReplyClass.AUTH


def test_c1_the_second_method_says_what_the_first_could_not() -> None:
    """504 says nothing of the password; 454 says that nobody can log in now."""
    for second in ("535 5.7.8 wrong password", "454 4.7.0 later"):
        with ScriptedSmtp({"auth": answers("504 5.5.4 no PLAIN"), "login": answers(second)}) as server:
            said = refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS))
        assert said.code == int(second[:3])


def test_c1_a_server_that_hangs_up_after_a_wrong_password_is_no_trouble_of_the_path() -> None:
    with ScriptedSmtp({"auth": answers_and_closes("535 5.7.8 not you")}) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS))
    assert said.code == 535


def test_c1_without_another_method_a_refusal_is_final() -> None:
    with ScriptedSmtp({"auth": answers("535 5.7.8 not you")}, features=("AUTH PLAIN",)) as server:
        assert refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS)).code == 535
    assert [command for command in server.commands if "AUTH LOGIN" in command] == []


@pytest.mark.parametrize("code", ["534 5.7.9", "530 5.7.0", "454 4.7.0", "421 4.7.0"])
def test_c1_what_the_method_cannot_change_is_not_tried_again(code: str) -> None:
    with ScriptedSmtp({"auth": answers(f"{code} no")}) as server:
        assert refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS)).code == int(code[:3])
    assert "AUTH LOGIN" not in server.commands


def test_b1_a_question_after_the_initial_response_is_answered() -> None:
    with ScriptedSmtp({"auth": [answers("334 "), answers("235 2.7.0 welcome")]}) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        assert send(session, envelope()).code == 250
        session.close()
    plain = base64.b64encode(f"\0anna@example.org\0{PASSWORD}".encode()).decode()
    assert server.commands[1:3] == [f"AUTH PLAIN {plain}", plain]


def test_c1_a_server_that_asks_on_and_on_is_left() -> None:
    with ScriptedSmtp({"auth": answers("334 "), "login": answers("334 ")}) as server:
        said = refusal(lambda: smtp.open_session(account_at(server.port), TIMEOUTS))
    assert (said.phase, said.code) == (Phase.AUTH, 334)


def test_f3_silence_after_the_dot_is_not_tried_over_another_connection() -> None:
    with ScriptedSmtp({"dot": [Move(), hangs()]}) as server:
        session = smtp.open_session(account_at(server.port), IMPATIENT)
        send(session, envelope())
        session.stage(envelope())
        with pytest.raises(FateUnknown):
            session.commit()
    assert server.connection_count == 1
