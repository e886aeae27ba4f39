"""The order in which the headline names what stops sending (F5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mailrotate.core.rules.decision import Decision
from mailrotate.core.rules.headline import headline
from mailrotate.core.rules.runner_watch import stops_all
from mailrotate.core.rules.world import Code, Lane, Machine, Outage, Trouble, World
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RUNNING = Machine(runner_works=True, last_pass_at=NOW)
REFUSED = Outage("smtp.example.org", "connect: Connection refused", NOW - 12 * MINUTE)


def lane(name: str, **facts: object) -> Lane:
    """A mailbox with a message that may go now."""
    known = {"decision": Decision((), NOW, None), **facts}
    return Lane(f"{name}@example.org", ConnectionState.CONNECTED, **known)  # type: ignore[arg-type]  # by name


def world(*lanes: Lane, **facts: object) -> World:
    return replace(World(RUNNING, lanes or (lane("anna"), lane("ben"))), **facts)  # type: ignore[arg-type]


def machine(*codes: Code) -> Machine:
    return replace(RUNNING, troubles=tuple(Trouble(code, f"of {code}", "hint") for code in codes))


@pytest.mark.parametrize("first", [Code.DISK_FULL, Code.CLOCK, Code.NO_KEY, Code.RESTORED])
def test_a_trouble_of_the_machine_stops_all_and_those_further_out_come_first(first: Code) -> None:
    later = list(Code)[list(Code).index(first) + 1 :]
    said = headline(world(machine=machine(*reversed([first, *later]))), NOW)
    assert (said.code, said.text, said.sending) == (first, f"not sending: of {first}", False)


def test_a_trouble_of_the_machine_comes_before_an_empty_workspace_and_a_missing_runner() -> None:
    empty = World(replace(machine(Code.CLOCK), runner_works=False, last_pass_at=None))
    assert headline(empty, NOW).code is Code.CLOCK
    assert headline(World(Machine()), NOW).code is Code.NO_SENDER


def test_a_full_disk_is_named_with_what_is_left() -> None:
    full = Trouble(Code.DISK_FULL, "the disk of /data/w.db is full (3 MB left)", Command("db", "check"))
    said = headline(world(machine=replace(RUNNING, troubles=(full,))), NOW)
    assert said.text == "not sending: the disk of /data/w.db is full (3 MB left)"
    assert said.command == Command("db", "check")


def test_a_lane_that_died_is_named_while_the_others_send_and_when_none_is_left() -> None:
    died = lane("anna", broke_by="ValueError")
    some = headline(world(died, lane("ben")), NOW)
    assert (some.code, some.sending) == (Code.LANE_DOWN, True)
    failure = "anna@example.org: its last pass ended in an unexpected failure (ValueError)"
    assert some.text == f"sending: 0 today, more with the next pass; {failure}"
    none = headline(world(died), NOW)
    assert (none.code, none.sending) == (Code.LANE_DOWN, False)


def test_a_missing_runner_comes_before_a_server_that_failed_while_it_ran() -> None:
    down = world(lane("anna", smtp=REFUSED))
    assert headline(down, NOW).code is Code.SERVER_DOWN
    gone = replace(RUNNING, runner_works=False, last_pass_at=NOW - 3 * MINUTE)
    assert headline(replace(down, machine=gone), NOW).code is Code.NO_RUNNER


def test_one_server_of_all_mailboxes_is_down_and_not_the_network() -> None:
    silent = replace(REFUSED, said="resolve: smtp.example.org has no address")
    said = headline(world(lane("anna", smtp=silent), lane("ben", smtp=silent)), NOW)
    assert said.code is Code.SERVER_DOWN
    assert said.text.startswith("not sending: smtp.example.org has no address since ")


def test_a_server_with_an_answer_of_its_own_is_quoted_without_a_since_that_nobody_knows() -> None:
    busy = Outage("smtp.example.org", "connect: 421 try later", None)
    said = headline(world(lane("anna", smtp=busy)), NOW)
    assert said.text == "not sending: smtp.example.org cannot be used (1 mailbox): 421 try later"


@pytest.mark.parametrize("said", ["connect: timed out", "connect: the server did not answer within 30 s"])
def test_a_server_that_hangs_does_not_answer(said: str) -> None:
    hung = headline(world(lane("anna", smtp=replace(REFUSED, said=said))), NOW)
    assert hung.text.startswith("not sending: smtp.example.org does not answer since ")


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (timedelta(), "more with the next pass"),
        (timedelta(milliseconds=300), "next in 1 s"),
        (timedelta(seconds=4), "next in 4 s"),
        (timedelta(seconds=90), "next in 90 s"),
        (timedelta(minutes=9), "next in 9 min"),
    ],
)
def test_the_next_message_is_counted_down(rest: timedelta, words: str) -> None:
    said = headline(world(lane("anna", decision=Decision((), NOW + rest, None))), NOW)
    assert said.text == f"sending: 0 today, {words}"


def test_of_several_mailboxes_the_one_that_may_send_first_counts() -> None:
    late = lane("anna", decision=Decision((), NOW + timedelta(hours=3), None))
    never = lane("carl", decision=Decision((), None, None))
    assert headline(world(late, never, lane("ben")), NOW).text == "sending: 0 today, more with the next pass"


def test_two_minutes_after_the_last_pass_there_is_no_runner_any_more() -> None:
    cron = replace(RUNNING, runner_works=False)
    assert stops_all(cron, NOW + 2 * MINUTE) is None
    stopped = stops_all(cron, NOW + 2 * MINUTE + timedelta(seconds=1))
    assert stopped is not None
    assert stopped.code is Code.NO_RUNNER
