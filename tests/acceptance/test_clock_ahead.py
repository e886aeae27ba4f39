"""F6: one pass with a clock that is ahead, and the way back."""

from collections import Counter
from datetime import timedelta

import pytest

from tests.acceptance.old_workspace import PEOPLE, Old

pytestmark = pytest.mark.proof


def test_f6_after_a_pass_40_days_ahead_runner_clock_accept_takes_the_present_clock(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.at(timedelta(days=40)).run("run", "--once")
    assert old.taken() == Counter(PEOPLE)

    refused = old.console.run("run", "--once", "--json", check_status=1).error()
    assert (refused["code"], "runner clock --accept" in refused["hint"]) == ("clock.behind", True)
    seen = old.console.run("status", "--json").json()
    assert (seen["sending"], seen["obstacle"]["code"]) == (False, "clock")
    why = old.console.run("why", old.anna, "--json").json()
    assert (why["binding"], "clock" in why["gates"][0]["reason"]) == ("workspace", True)
    assert old.console.run("runner", "clock", "--json").json()["trusted"] is False

    told = old.console.run("runner", "clock", "--accept", check_status=7).stderr
    assert "4 messages recorded after now will count as sent now" in told, "it says first what follows"
    assert old.console.run("runner", "clock", "--json").json()["trusted"] is False, "and changes nothing"
    old.console.run("runner", "clock", "--accept", "--yes")
    assert old.console.run("runner", "clock", "--json").json()["trusted"] is True
    assert old.console.run("status", "--json").json()["obstacle"] is None
    assert old.console.run("run", "--once", "--json").json()["sent"] == 0
    follow_ups = old.at(timedelta(days=3, minutes=5)).run("run", "--once", "--json").json()
    assert follow_ups["sent"] == 4, "the delay of 3 days counts from the clock that was accepted"


def test_f6_a_right_clock_has_nothing_to_accept(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("run", "--once")
    assert "nothing to accept" in old.console.run("runner", "clock", "--accept", "--yes").stdout


def test_f6_a_member_does_not_accept_a_clock(old: Old) -> None:
    old.console.run("user", "add", "kim@old.example.org")
    old.console.run("campaign", "start", "autumn")
    old.at(timedelta(hours=2)).run("run", "--once")
    told = old.console.run(
        "--as", "kim@old.example.org", "runner", "clock", "--accept", "--yes", check_status=4
    )
    assert "admin" in told.stderr
    assert old.console.run("run", "--once", "--json", check_status=1).error()["code"] == "clock.behind"


def test_f6_messages_that_were_parked_by_the_jump_go_on_after_it_was_accepted(old: Old) -> None:
    old.console.run("campaign", "start", "autumn")
    old.console.run("run", "--once")
    old.at(timedelta(days=40)).run("run", "--once")
    old.console.run("runner", "clock", "--accept", "--yes")
    later = old.at(timedelta(days=3, minutes=5))
    later.run("run", "--once")
    assert old.taken() == Counter(PEOPLE * 2), "step 2 left once, whether by the wrong clock or the right one"
