"""Which notice of a failed mailbox is due, to whom, and what it says (C10)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules import notice_letter
from mailrotate.core.rules.notice_letter import CampaignLoss
from mailrotate.core.rules.notice_schedule import Failure, Notice, addressees, continues, due, schedule

FAILED = datetime(2026, 12, 1, 9, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def failure(ends: Mapping[int, timedelta], *given: str, continued: bool = False) -> Failure:
    return Failure(FAILED, {one: FAILED + end for one, end in ends.items()}, continued, set(given))


def plan(ends: Mapping[int, timedelta], *, continued: bool = False) -> list[tuple[str, timedelta]]:
    return [(notice.nth, notice.due_at - FAILED) for notice in schedule(failure(ends, continued=continued))]


DAYS = [("0", 0 * DAY), ("1", DAY), ("3", 3 * DAY), ("6", 6 * DAY), ("8", 8 * DAY)]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ({}, DAYS),
        ({1: 9 * DAY}, [*DAYS, ("end 1", 9 * DAY)]),
        # Two campaigns with the same end have one notice for it.
        ({1: 9 * DAY, 2: 9 * DAY}, [*DAYS, ("end 1", 9 * DAY)]),
        # A campaign that was started two days after the failure.
        (
            {1: 9 * DAY, 2: 11 * DAY},
            [*DAYS, ("end 1", 9 * DAY), ("before 2", 10 * DAY), ("end 2", 11 * DAY)],
        ),
        ({2: 11 * DAY}, [*DAYS, ("end 2", 11 * DAY)]),
        ({1: 2 * DAY}, [*DAYS[:2], ("end 1", 2 * DAY)]),
        # A day's notice that falls on the end itself would say the same.
        ({1: 3 * DAY}, [*DAYS[:2], ("end 1", 3 * DAY)]),
        ({1: HOUR}, [("0", 0 * DAY), ("end 1", HOUR)]),
        (
            {1: 9 * DAY, 2: 9 * DAY + HOUR},
            [*DAYS, ("before 2", 8 * DAY + HOUR), ("end 1", 9 * DAY), ("end 2", 9 * DAY + HOUR)],
        ),
        # The first notice is also the one of the day before the second end.
        ({1: HOUR, 2: DAY}, [("0", 0 * DAY), ("end 1", HOUR), ("end 2", DAY)]),
    ],
)
def test_c10_notices_are_those_of_the_days_before_the_first_end_and_two_for_each_later_one(
    ends: dict[int, timedelta], expected: list[tuple[str, timedelta]]
) -> None:
    assert plan(ends) == expected
    assert plan(ends, continued=True) == expected[1:]


@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ({}, []),
        ({1: 9 * DAY}, ["8"]),
        ({1: 12 * DAY}, ["8"]),
        ({1: 9 * DAY, 2: 11 * DAY}, ["8", "before 2"]),
        ({1: HOUR}, ["0"]),
    ],
)
def test_c10_the_last_before_an_end_says_so(ends: dict[int, timedelta], last: list[str]) -> None:
    assert [notice.nth for notice in schedule(failure(ends)) if notice.is_last] == last


@pytest.mark.parametrize(
    ("after", "announced", "expected"),
    [
        (0 * HOUR, True, True),
        (24 * HOUR - timedelta(microseconds=1), True, True),
        (24 * HOUR, True, False),
        (HOUR, False, False),
    ],
)
def test_c10_failing_again_within_a_day_of_recovering_goes_on_with_what_was_announced(
    after: timedelta, announced: bool, expected: bool
) -> None:
    assert continues(FAILED + after, FAILED, announced) is expected


def test_c10_a_notice_is_due_at_its_instant_and_not_before() -> None:
    ends = {1: 9 * DAY}
    given: list[str] = []
    for nth, at in plan(ends):
        assert due(failure(ends, *given), FAILED + at - timedelta(microseconds=1)) is None
        found = due(failure(ends, *given), FAILED + at)
        assert found is not None
        assert found.nth == nth
        given.append(nth)
    assert due(failure(ends, *given), FAILED + 1000 * DAY) is None


def test_c10_after_a_gap_only_the_latest_is_given() -> None:
    found = due(failure({1: 9 * DAY}), FAILED + timedelta(days=10.5))
    assert found is not None
    assert (found.nth, found.is_end) == ("end 1", True)
    assert due(failure({1: 9 * DAY}, "end 1"), FAILED + 11 * DAY) is None


def test_c10_a_continued_failure_is_silent_until_its_first_day_is_over() -> None:
    assert due(failure({1: 9 * DAY}, continued=True), FAILED + DAY - HOUR) is None
    assert due(failure({1: 9 * DAY}, continued=True), FAILED + DAY) is not None


def test_c12_a_deadline_that_was_extended_is_announced_at_its_new_end() -> None:
    given = [nth for nth, _ in DAYS]
    assert due(failure({1: 12 * DAY}, *given), FAILED + 9 * DAY) is None
    found = due(failure({1: 12 * DAY}, *given), FAILED + 12 * DAY)
    assert found is not None
    assert found.nth == "end 1"


some_ends = st.dictionaries(
    st.integers(1, 5), st.integers(1, 20 * 24).map(lambda hours: hours * HOUR), max_size=4
)


@given(some_ends, st.booleans(), st.lists(st.integers(0, 25 * 24), max_size=60))
def test_c10_however_runs_come_each_notice_is_given_at_most_once_in_order_and_the_last_is_the_latest(
    ends: dict[int, timedelta], continued: bool, hours: list[int]
) -> None:
    given: list[Notice] = []
    for hour in sorted(hours):
        now = FAILED + hour * HOUR
        known = failure(ends, *(notice.nth for notice in given), continued=continued)
        found = due(known, now)
        if found is not None:
            assert found.due_at <= now
            given.append(found)
        passed = [notice for notice in schedule(known) if notice.due_at <= now]
        assert given[-1:] == passed[-1:]
    names = [notice.nth for notice in given]
    assert len(names) == len(set(names))
    assert given == sorted(given, key=lambda notice: (notice.due_at, notice.is_end))


@given(some_ends, st.booleans())
def test_c10_a_run_every_hour_gives_every_notice_whose_instant_is_its_own(
    ends: dict[int, timedelta], continued: bool
) -> None:
    given: list[str] = []
    for hour in range(21 * 24):
        found = due(failure(ends, *given, continued=continued), FAILED + hour * HOUR)
        if found is not None:
            given.append(found.nth)
    instants = {notice.due_at: notice.nth for notice in schedule(failure(ends, continued=continued))}
    assert given == list(instants.values())


@given(some_ends, some_ends, st.integers(0, 20 * 24))
def test_c10_deadlines_that_change_repeat_no_notice(
    before: dict[int, timedelta], after: dict[int, timedelta], hour: int
) -> None:
    """Extended, ended, begun: what was given once stays given."""
    given: list[str] = []
    for each in range(25 * 24):
        found = due(failure(before if each < hour else after, *given), FAILED + each * HOUR)
        if found is not None:
            assert found.nth not in given
            given.append(found.nth)


UNA, ROOT, ZOE, BEN = "una@home.example", "root@example.net", "zoe@example.net", "ben@example.org"


@pytest.mark.parametrize(
    ("own", "admins", "broken", "carrier", "expected"),
    [
        (UNA, [ROOT], [], BEN, [UNA]),
        (UNA, [ROOT, ZOE], [UNA], BEN, [ROOT, ZOE]),
        (UNA, [ROOT, ZOE], [UNA, ROOT], BEN, [ZOE]),
        # The user is the only admin.
        (UNA, [UNA], [UNA], BEN, [BEN]),
        (None, [ROOT], [], BEN, [ROOT]),
        (None, [], [], BEN, [BEN]),
        (UNA, [ROOT], [], None, []),
        (UNA, [UNA], [UNA], None, []),
    ],
)
def test_c10_a_notice_goes_to_the_user_else_to_the_admins_else_to_the_mailbox_that_sends_it(
    own: str | None, admins: list[str], broken: list[str], carrier: str | None, expected: list[str]
) -> None:
    assert addressees(own, admins, broken.__contains__, carrier) == expected


def spell(hint: object) -> str:
    return " ".join(("mailrotate", *getattr(hint, "words", ())))


def test_c10_field_12_a_notice_says_the_servers_words_who_is_stopped_when_and_how_to_avoid_it() -> None:
    losses = [
        CampaignLoss("intro", 5, 3, ends_at=FAILED + 9 * DAY),
        CampaignLoss("winter", 1, 1, ends_at=FAILED + 10 * DAY),
        CampaignLoss("solo", 2, 2),
    ]
    told = notice_letter.of_failure(
        "anna@example.org", FAILED, "auth: 535 bad\r\nday", losses, True, "Europe/Berlin", spell
    )
    assert told.subject == "anna@example.org has failed: last notice before recipients are stopped"
    assert told.lines == (
        "anna@example.org has failed since 2026-12-01 10:00:00 Europe/Berlin.",
        "Its server said: login: 535 bad day",
        "In intro, 3 recipients will be stopped at 2026-12-10 10:00:00 Europe/Berlin; "
        "2 recipients not contacted yet will go to other senders.",
        "In winter, 1 recipient will be stopped at 2026-12-11 10:00:00 Europe/Berlin.",
        "In solo, 2 recipients wait until it is reconnected.",
        "This is the last notice before that. It is irreversible: they stay stopped for good.",
        "To reconnect it: mailrotate mailbox reconnect anna@example.org",
    )


def test_c10_the_notice_at_the_end_counts_those_who_were_stopped() -> None:
    losses = [CampaignLoss("intro", 0, 0, 3, FAILED + 9 * DAY, has_passed=True)]
    told = notice_letter.of_failure("anna@example.org", FAILED, None, losses, False, "UTC", spell)
    assert told.subject == "anna@example.org: 3 recipients stopped"
    assert "In intro, 3 recipients were stopped at 2026-12-10 09:00:00 UTC." in told.lines


def test_c10_a_recovery_names_the_campaigns_that_wait_for_resume() -> None:
    told = notice_letter.of_recovery("anna@example.org", FAILED, ["solo"], "UTC", spell)
    assert told.lines == (
        "anna@example.org works again since 2026-12-01 09:00:00 UTC.",
        "solo is still paused. To resume it: mailrotate campaign resume solo",
    )


def test_c10_notices_for_one_addressee_are_one_mail() -> None:
    told = [notice_letter.of_recovery(f"{name}@example.org", FAILED, [], "UTC", spell) for name in "ab"]
    subject, text = notice_letter.mail(told)
    assert subject == "2 mailboxes need your attention"
    assert text.count("works again") == 2
    assert notice_letter.mail(told[:1])[0] == "a@example.org works again"
