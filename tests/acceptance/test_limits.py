"""A mailbox's limit and gap: what waits, until when, and that `why` names the very second."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.autumn import MONDAY, start_campaign
from tests.acceptance.conftest import ANNA, BEN
from tests.support.post_office import PostOffice, sent_by
from tests.support.program import Program

FRIDAY_AT_TEN = MONDAY + timedelta(days=4, hours=1)
SECOND = timedelta(seconds=1)


def pass_at(program: Program, instant: datetime, *, standing_still: bool = False) -> Any:
    return program.at(instant, standing_still=standing_still).run("run", "--once", "--json").json()


def next_waiting(program: Program, mailbox: str, now: datetime) -> tuple[Any, Any]:
    """The mailbox's first waiting message, and what `why` says of it."""
    there = program.at(now)
    waiting = there.run("outbox", "list", "--state", "scheduled", "--mailbox", mailbox, "--json").json()
    return waiting, there.run("why", waiting[0]["id"], "--json").json()


def closed_gates(why: Any) -> dict[str, str | None]:
    return {gate["gate"]: gate["until"] for gate in why["gates"] if not gate["open"]}


# A process for each pass of a simulated week.
@pytest.mark.proof
def test_e4_the_fourth_of_three_a_day_waits_for_the_next_day_inside_the_window(
    program: Program, post_office: PostOffice
) -> None:
    people = [post_office.add(f"limit-{number}@example.com") for number in range(14)]
    before = len(post_office.smtp.received)
    # In Auckland the day turns at 11:00 UTC in March, in the middle of the campaign's window.
    limit = ("--daily-limit", "3", "--timezone", "Pacific/Auckland")
    program.at(MONDAY).run("mailbox", "set", ANNA, *limit)
    start_campaign(program.at(FRIDAY_AT_TEN - timedelta(hours=3)), people, ANNA, BEN)

    def counts() -> dict[str, int]:
        return Counter(one.login for one in post_office.smtp.received[before:])

    assert pass_at(program, FRIDAY_AT_TEN)["sent"] == 10
    assert counts() == {ANNA: 3, BEN: 7}, "E4: only the limited mailbox's wait"

    waiting, why = next_waiting(program, ANNA, FRIDAY_AT_TEN + timedelta(minutes=5))
    assert len(waiting) == 3, "F1: rows for what it can send before its next day ends"
    day_turns = FRIDAY_AT_TEN.replace(hour=11)
    assert (why["binding"], why["next_at"]) == ("daily_limit", "2031-03-07T11:00:00Z"), "F5, B4"
    assert closed_gates(why) == {"daily_limit": "2031-03-07T11:00:00Z"}
    assert waiting[0]["expected_at"] == why["next_at"]
    assert pass_at(program, day_turns - SECOND, standing_still=True)["sent"] == 0, "F5: not a second before"
    assert pass_at(program, day_turns)["sent"] == 3, "F5: at the instant that `why` names"
    assert counts() == {ANNA: 6, BEN: 7}

    (_last,), why = next_waiting(program, ANNA, day_turns + timedelta(minutes=5))
    assert (why["binding"], why["next_at"]) == ("window", "2031-03-10T09:00:00Z"), "E4: the next open window"
    assert closed_gates(why) == {"daily_limit": "2031-03-08T11:00:00Z"}
    monday = MONDAY + timedelta(days=7)
    assert pass_at(program, monday - SECOND, standing_still=True)["sent"] == 0, "F5: not a second before"
    assert pass_at(program, monday)["sent"] == 1
    assert counts() == {ANNA: 7, BEN: 7}
    written = [person for those in sent_by(post_office.smtp.received[before:]).values() for person in those]
    assert sorted(written) == sorted(people), "F3: each once"


# A process for each pass.
@pytest.mark.proof
def test_b4_the_gap_between_two_messages_is_kept_from_pass_to_pass(
    program: Program, post_office: PostOffice
) -> None:
    people = [post_office.add(f"gap-{number}@example.com") for number in range(3)]
    program.at(MONDAY - timedelta(hours=1)).run("mailbox", "set", ANNA, "--gap", "default")
    start_campaign(program.at(MONDAY - timedelta(hours=1)), people, ANNA)

    assert pass_at(program, MONDAY)["sent"] == 1, "one message, then the mailbox rests"
    waiting, why = next_waiting(program, ANNA, MONDAY + timedelta(seconds=30))
    assert why["binding"] == "gap"
    at = datetime.fromisoformat(why["next_at"])
    sent = program.at(MONDAY).run("outbox", "list", "--state", "sent", "--json").json()
    rest = at - datetime.fromisoformat(sent[0]["sent_at"])
    assert timedelta(seconds=60) <= rest <= timedelta(seconds=82), "60 s and up to a third more"
    assert pass_at(program, at - SECOND, standing_still=True)["sent"] == 0, "F5: not a second before"
    assert pass_at(program, at)["sent"] == 1, "F5: at the instant that `why` names"
    assert len(waiting) == 2
