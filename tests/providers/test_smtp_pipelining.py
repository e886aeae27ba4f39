"""MAIL, RCPT and DATA in one write (RFC 2920) have the verdict of single commands, whatever a server says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from mailrotate.core.rules.replies import classify
from mailrotate.core.values.mail import Envelope, FateUnknown, MailTrouble, ServerReply, Timeouts
from mailrotate.core.values.states import Phase, ReplyClass
from mailrotate.providers import smtp
from tests.providers.conftest import (
    IMPATIENT,
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
    answers_and_closes,
    answers_and_resets,
    closes,
    drips,
    hangs,
    resets,
)

ALONE = ("AUTH PLAIN", "8BITMIME", "SMTPUTF8", "SIZE 1000000")
GROUPS = (*ALONE, "PIPELINING")
GROUP = b"MAIL FROM:<anna@example.org>\r\nRCPT TO:<pia@example.com>\r\nDATA\r\n"
NO_SUCH_USER = "550 5.1.1 no such user"
NEED_MAIL = answers("503 5.5.1 need MAIL")
NO_RECIPIENTS = answers("554 5.5.1 no valid recipients")

Script = Mapping[str, Move | Sequence[Move]]


# --- the same verdict on both ways


@dataclass(frozen=True)
class Scene:
    """`behind`: what the server says to the commands behind a refused one, which only a group has."""

    script: Script = field(default_factory=dict)
    behind: Script = field(default_factory=dict)
    timeouts: Timeouts = TIMEOUTS
    usable: bool = True


def refusals() -> dict[str, Scene]:
    scenes = {}
    for reply in (NO_SUCH_USER, "450 4.2.1 too quickly", "552 too big", "550-5.1.1 no\r\n550 5.1.1 body"):
        for name, behind in {
            "refused": {"rcpt": NEED_MAIL, "data": NEED_MAIL},
            "rcpt taken": {"data": NO_RECIPIENTS},
        }.items():
            scenes[f"mail {reply}, behind {name}"] = Scene({"mail": answers(reply)}, behind)
        scenes[f"mail {reply}, behind all taken"] = Scene({"mail": answers(reply)}, usable=False)
        scenes[f"rcpt {reply}, data refused"] = Scene({"rcpt": answers(reply)}, {"data": NO_RECIPIENTS})
        scenes[f"rcpt {reply}, data taken"] = Scene({"rcpt": answers(reply)}, usable=False)
        scenes[f"data {reply}"] = Scene({"data": answers(reply)})
        scenes[f"dot {reply}"] = Scene({"dot": answers(reply)})
    return scenes


def endings() -> dict[str, Scene]:
    scenes = {}
    for where in ("mail", "rcpt", "data"):
        for name, move in {
            "421": answers("421 4.7.0 later"),
            "421 and end": answers_and_closes("421 4.7.0 later"),
            "421 and reset": answers_and_resets("421 4.7.0 later"),
            "end": closes(),
            "reset": resets(),
            "nonsense": answers("hello there"),
            "another protocol": answers("+OK"),
            "refusal and end": answers_and_closes(NO_SUCH_USER),
        }.items():
            scenes[f"{where} {name}"] = Scene({where: move}, usable=False)
        for name, move in {"silence": hangs(), "drip": drips("250-")}.items():
            scenes[f"{where} {name}"] = Scene({where: move}, timeouts=IMPATIENT, usable=False)
    for name, move in {"end": closes(), "421": answers("421 bye"), "nonsense": answers("hm")}.items():
        scenes[f"mail refused, then {name}"] = Scene(
            {"mail": answers("550 no")}, {"rcpt": move}, usable=False
        )
        scenes[f"rcpt refused, then {name}"] = Scene(
            {"rcpt": answers("550 no")}, {"data": move}, usable=False
        )
    return scenes


SCENES = {
    "taken": Scene(),
    "data answered by a question": Scene({"data": answers("334 more")}, usable=False),
    "data answered by a yes": Scene({"data": answers("250 fine")}, usable=False),
    "mail answered by go on": Scene({"mail": answers("354 go on")}, {"rcpt": NEED_MAIL, "data": NEED_MAIL}),
    "mail out of order, behind all taken": Scene({"mail": answers("503 5.5.1 order")}, usable=False),
    "dot unanswered": Scene({"dot": hangs()}, timeouts=IMPATIENT, usable=False),
    **refusals(),
    **endings(),
}


@dataclass(frozen=True)
class Outcome:
    verdict: ServerReply
    unknown: bool
    dots: list[bytes]
    taken: list[bytes]


def play(
    script: Script,
    features: Sequence[str],
    *,
    delivery: Delivery = Delivery.EACH,
    timeouts: Timeouts = TIMEOUTS,
    letter: Envelope | None = None,
) -> tuple[Outcome, bool]:
    """What came of one letter, and whether the connection may be used for the next."""
    with ScriptedSmtp(script, features=features, delivery=delivery) as server:
        session = smtp.open_session(account_at(server.port), timeouts)
        unknown = False
        try:
            verdict = send(session, letter or envelope())
        except MailTrouble as trouble:
            verdict, unknown = trouble.reply, isinstance(trouble, FateUnknown)
        usable = session.usable
        session.abandon()
    # A transfer that was broken off held nothing that a server could take for content.
    assert server.cut in ([], [b""])
    return Outcome(verdict, unknown, server.dots, server.taken), usable


def played() -> Iterator[Any]:
    for name, scene in SCENES.items():
        for delivery in Delivery:
            # A reset discards the bytes that are on their way: then nobody has heard the answer.
            if delivery is not Delivery.BYTES or "reset" not in name:
                yield pytest.param(scene, delivery, id=f"{name}, {delivery}")


@pytest.mark.parametrize(("scene", "delivery"), list(played()))
def test_f4_a_group_has_the_verdict_of_single_commands(scene: Scene, delivery: Delivery) -> None:
    expected, _ = play(scene.script, ALONE, timeouts=scene.timeouts)
    found, usable = play({**scene.script, **scene.behind}, GROUPS, delivery=delivery, timeouts=scene.timeouts)
    assert found == expected
    assert usable == scene.usable


@pytest.mark.parametrize(
    "letter", [envelope(LETTER + b"x" * 1_000_000), envelope(recipient="zoë@example.com")]
)
def test_f4_what_the_server_cannot_take_is_not_even_begun(letter: Envelope) -> None:
    features = ("AUTH PLAIN", "SIZE 1000000")
    expected, _ = play({}, features, letter=letter)
    assert play({}, (*features, "PIPELINING"), letter=letter) == (expected, True)
    assert expected.verdict.code is None


@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
def test_f4_the_next_letter_goes_over_the_same_connection_after_a_refused_group(where: str) -> None:
    script = {"mail": [], "rcpt": [NEED_MAIL], "data": [NO_RECIPIENTS], where: [answers(NO_SUCH_USER)]}
    if where == "data":
        del script["rcpt"]
    with ScriptedSmtp(script, features=GROUPS) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: session.stage(envelope()))
        assert (said.phase, said.code) == (Phase(where), 550)
        send(session, envelope())
        session.close()
    assert (server.taken, server.connection_count) == ([LETTER], 1)


def test_f4_one_refused_recipient_of_two_is_the_verdict_though_data_is_taken() -> None:
    letter = Envelope("anna@example.org", ("pia@example.com", "ben@example.com"), LETTER)
    script = {"rcpt": [Move(), answers(NO_SUCH_USER)]}
    expected, _ = play(script, ALONE, letter=letter)
    found = play({"rcpt": [Move(), answers(NO_SUCH_USER)]}, GROUPS, letter=letter)
    assert found == (expected, False)
    assert (expected.verdict.code, expected.dots) == (550, [])


_LINES = some.lists(
    some.sampled_from(["", "5.1.1 no", "4.2.2 later", "fine", "5.7.1"]), min_size=1, max_size=3
)


@some.composite
def moves(draw: some.DrawFn, yes: int) -> Move:
    code = draw(some.sampled_from([yes, yes, 250, 334, 421, 450, 452, 500, 503, 550, 554]))
    *first, last = draw(_LINES)
    reply = "\r\n".join([*(f"{code}-{line}" for line in first), f"{code} {last}"])
    # A server that agrees and closes is seen to close or to reset, by chance.
    return Move(reply, draw(some.sampled_from(["go_on", "close"])) if code >= 400 else "go_on")


@settings(max_examples=60)
@given(
    moves(250),
    moves(250),
    moves(354),
    some.sampled_from(Delivery),
    some.sampled_from([NEED_MAIL, NO_RECIPIENTS]),
)
def test_f4_whatever_a_server_answers_groups_change_no_verdict(
    mail: Move, rcpt: Move, data: Move, delivery: Delivery, behind: Move
) -> None:
    script: dict[str, Any] = {"mail": mail, "rcpt": rcpt, "data": data}
    expected, _ = play(script, ALONE)
    if not str(mail.reply).startswith("2"):
        script |= {"rcpt": behind, "data": behind}
    elif not str(rcpt.reply).startswith("2"):
        script |= {"data": behind}
    found, _ = play(script, GROUPS, delivery=delivery)
    assert found == expected


def test_f4_a_server_that_closes_with_a_part_of_the_group_unread_is_heard() -> None:
    """Its kernel then sends a reset after the answer, as if the connection had broken."""
    script = {"mail": answers_and_closes("421 4.7.0 too many messages")}
    with ScriptedSmtp(script, features=GROUPS, reads_at_once=4) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: session.stage(envelope()))
    assert (said.phase, said.code) == (Phase.MAIL, 421)
    assert not b"".join(server.heard).endswith(b"DATA\r\n")


# --- servers that count otherwise


@pytest.mark.parametrize("delivery", Delivery)
@pytest.mark.parametrize(
    "script",
    [
        {"mail": answers(f"250 2.1.0 sender taken\r\n{NO_SUCH_USER}")},
        {"mail": answers("250 2.1.0 sender taken\r\n250 2.1.0 sender taken")},
        {"mail": answers(f"250 2.1.0 sender taken\r\n{NO_SUCH_USER}"), "data": NO_RECIPIENTS},
        {"rcpt": answers(f"{NO_SUCH_USER}\r\n250 2.1.5 recipient taken")},
    ],
    ids=[
        "mail yes and no",
        "mail twice",
        "mail yes and no, no data",
        "rcpt no and yes",
    ],
)
def test_f4_more_answers_than_commands_blame_nobody_and_end_the_connection(
    script: Script, delivery: Delivery
) -> None:
    found, usable = play(script, GROUPS, delivery=delivery)
    assert classify(found.verdict, "imap").reply_class is ReplyClass.NET
    assert (found.verdict.code, found.dots, usable) == (None, [], False)


@pytest.mark.parametrize(
    "script",
    [
        {"rcpt": answers(f"250 2.1.5 recipient taken\r\n{NO_SUCH_USER}")},
        {"mail": [answers("550 5.7.1 no\r\n250 2.1.0 yes")], "rcpt": [NEED_MAIL], "data": [NEED_MAIL]},
    ],
    ids=["rcpt yes and no", "mail no and yes"],
)
def test_f4_an_answer_too_many_after_a_refusal_is_noticed_where_it_comes_with_the_others(
    script: Script,
) -> None:
    """The last answer of such a group could also come late: then nothing tells the answers apart."""
    found, usable = play(script, GROUPS, delivery=Delivery.TOGETHER)
    assert classify(found.verdict, "imap").reply_class is ReplyClass.NET
    assert (found.verdict.code, found.dots, usable) == (None, [], False)


def test_f3_a_second_answer_to_data_is_noticed_before_the_dot() -> None:
    with ScriptedSmtp(
        {"data": answers("354 go on\r\n250 2.0.0 taken")}, features=GROUPS, delivery=Delivery.TOGETHER
    ) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        session.stage(envelope())
        said = refusal(session.commit)
    assert (said.phase, said.code, server.dots) == (Phase.DATA, None, [])


def test_f4_an_answer_that_came_before_the_group_belongs_to_none_of_it() -> None:
    with ScriptedSmtp({"auth": answers("235 welcome\r\n550 5.1.1 no")}, features=GROUPS) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        said = refusal(lambda: session.stage(envelope()))
    assert (said.phase, said.code) == (Phase.MAIL, None)
    assert "answer to no command" in said.text
    assert GROUP not in server.heard


@pytest.mark.parametrize(
    "script",
    [
        # MAIL is lost: what follows answers the next commands.
        {"mail": Move(silent=True), "rcpt": NEED_MAIL, "data": NEED_MAIL},
        {"rcpt": Move(silent=True), "data": NO_RECIPIENTS},
        {"rcpt": Move(silent=True)},
    ],
    ids=["mail", "rcpt", "rcpt, data taken"],
)
def test_f4_fewer_answers_than_commands_blame_nobody_either(script: Script) -> None:
    found, usable = play(script, GROUPS, timeouts=IMPATIENT)
    assert found.verdict.text == "the server gives fewer answers than it was sent commands"
    assert classify(found.verdict, "imap").reply_class is ReplyClass.NET
    assert (found.dots, usable) == ([], False)


@pytest.mark.parametrize("where", ["mail", "rcpt", "data"])
@pytest.mark.parametrize("reply", ["500 5.5.1 Pipelining not supported", "502 5.5.1 what", "503 5.5.1 order"])
def test_f4_a_server_that_refuses_its_own_groups_gets_single_commands(where: str, reply: str) -> None:
    group: dict[str, list[Move]] = {"mail": [], "rcpt": [], "data": [NEED_MAIL]}
    script = {**group, where: [answers(reply)]}
    with ScriptedSmtp(script, features=GROUPS) as server:
        session = smtp.open_session(account_at(server.port), TIMEOUTS)
        for recipient in ("pia@example.com", "zoë@example.com"):
            assert send(session, envelope(recipient=recipient)).code == 250
        session.close()
    assert (server.taken, server.connection_count) == ([LETTER, LETTER], 1)
    assert [
        piece for piece in server.heard if piece.startswith(b"MAIL") and b"RCPT" in piece
    ] == server.heard[2:3]
