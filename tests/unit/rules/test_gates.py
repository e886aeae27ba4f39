"""Each gate's answer, and the first instant at which all are open (F5, E4, H4, H5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.rules.decision import Verdict, decide, first_closed, verdicts
from mailrotate.core.rules.gates import Gate, Scope, inbox_is_read
from mailrotate.core.rules.situation import (
    CampaignFacts,
    MailboxFacts,
    MessageFacts,
    Obstacle,
    RollingUse,
    Situation,
)
from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import CampaignState, ConnectionState, MessageState, RecipientState

# A Tuesday, inside the default window.
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(hours=24),
)

ALWAYS = DeliveryWindow.parse({"days": "mon-sun", "hours": "00:00-24:00"})
CAMPAIGN = CampaignFacts("spring", CampaignState.ACTIVE, (), ALWAYS)
MAILBOX = MailboxFacts(
    address="a@example.org",
    connection=ConnectionState.CONNECTED,
    connection_error=None,
    locked_user=None,
    paused_at=None,
    hold_reason=None,
    hold_until=None,
    daily_limit=50,
    sent_today=49,
    day_ends_at=MIDNIGHT,
    daily_cap=500,
    slot_sent_today=499,
    rolling=(RollingUse("2,000 a day", DAY, None),),
    next_send_at=NOW,
    inbox_read_at=NOW - MINUTE,
    inbox_failing_since=None,
    inbox_error=None,
)
MESSAGE = MessageFacts(
    is_follow_up=True,
    due_at=NOW,
    ready_at=NOW,
    id=17,
    recipient=RecipientState.ACTIVE,
)
OPEN = Situation(CAMPAIGN, MAILBOX, MESSAGE)
OBSTACLE = Obstacle("restored", "the database was restored", Command("db", "adopt"))


def situation(**changed: Any) -> Situation:
    """The open situation with some facts changed, each named after its part: `mailbox__paused_at`."""
    at = OPEN
    for key, value in changed.items():
        part, _, name = key.partition("__")
        at = replace(at, **{part: replace(getattr(at, part), **{name: value})})
    return at


def closed_in(at: Situation, now: datetime = NOW) -> list[Verdict]:
    return [verdict for verdict in verdicts(at, now) if not verdict.open]


def test_f5_with_nothing_in_the_way_every_gate_is_open_now() -> None:
    decision = decide(OPEN, NOW)
    assert [verdict.gate for verdict in decision.gates] == list(Gate)
    assert decision.open
    assert (decision.next_at, decision.binding) == (NOW, None)
    assert decision.summary == "nothing holds it back"
    assert all(verdict.reason for verdict in decision.gates)


def test_f5_each_open_gate_says_why_it_is_open() -> None:
    assert {verdict.gate: verdict.reason for verdict in verdicts(OPEN, NOW)} == {
        "workspace": "nothing holds the whole workspace back",
        "campaign": "the campaign is active",
        "pause": "not paused",
        "window": "inside the delivery window",
        "connection": "connected",
        "user": "its user is active",
        "rest": "the mailbox is not paused",
        "hold": "no hold",
        "daily_limit": "49 of 50 sent today",
        "slot_cap": "499 of the plan's 500 sent from this slot today",
        "provider_limit": "within the provider's limits",
        "gap": "the gap since the last message has passed",
        "message": "the message is scheduled",
        "assignment": "a mailbox is assigned",
        "grace": "its mailbox is a sender of the campaign",
        "recipient": "the recipient is active",
        "suppression": "not suppressed",
        "due": "due since 2026-11-24T10:00:00Z",
        "recipient_window": "no window of its own",
        "retry": "no retry pending",
        "inbox": "the inbox was read at 2026-11-24T09:59:00Z",
        "overdue": "not late",
    }


@pytest.mark.parametrize(
    ("changed", "gate", "words"),
    [
        ({"mailbox__ramp_day": 3}, "daily_limit", "49 of 50 sent today, day 3 of the ramp-up"),
        ({"mailbox__day_ends_at": NOW}, "daily_limit", "a new day: 0 of 50 sent"),
        ({"mailbox__day_ends_at": NOW}, "slot_cap", "a new day: 0 of the plan's 500 sent from this slot"),
        ({"message__recipient": None}, "recipient", "not a message of a campaign"),
        ({"message__is_follow_up": False}, "inbox", "not a follow-up"),
    ],
)
def test_f5_an_open_gate_says_when_it_counts_differently_or_does_not_apply(
    changed: dict[str, Any], gate: str, words: str
) -> None:
    (reason,) = (verdict.reason for verdict in verdicts(situation(**changed), NOW) if verdict.gate == gate)
    assert reason == words


def test_f5_gates_are_asked_campaign_first_and_recipient_last() -> None:
    scopes = [gate.scope for gate in Gate]
    assert scopes == sorted(scopes)
    assert set(scopes) == set(Scope)


def test_f5_gates_of_parts_that_are_missing_do_not_apply() -> None:
    assert verdicts(Situation(None, None, None), NOW) == ()
    of_lane = {verdict.gate.scope for verdict in verdicts(Situation(CAMPAIGN, MAILBOX, None), NOW)}
    assert of_lane == {Scope.CAMPAIGN, Scope.MAILBOX}
    assert "inbox" not in [verdict.gate for verdict in verdicts(Situation(None, None, MESSAGE), NOW)]


@pytest.mark.parametrize(
    ("changed", "gate", "until", "words"),
    [
        ({"campaign__state": CampaignState.DRAFT}, "campaign", None, "the campaign is a draft"),
        ({"campaign__state": CampaignState.PAUSED}, "campaign", None, "the campaign is paused"),
        ({"campaign__state": CampaignState.FINISHED}, "campaign", None, "the campaign was stopped"),
        (
            {"campaign__pause_reasons": ("by_hand", "mailbox_failed")},
            "pause",
            None,
            "paused by hand and because a mailbox failed",
        ),
        (
            {"campaign__window": DeliveryWindow.parse({"days": "tue", "hours": "11:00-12:00"})},
            "window",
            NOW + HOUR,
            "the delivery window opens at 2026-11-24T11:00:00Z",
        ),
        ({"campaign__window": DeliveryWindow(())}, "window", None, "the delivery window never opens"),
        (
            {"campaign__window": DeliveryWindow(unusable="no time zone is called Mars")},
            "window",
            None,
            "no time zone is called Mars",
        ),
        ({"mailbox__connection": ConnectionState.FAILED}, "connection", None, "the mailbox has failed"),
        (
            {"mailbox__connection": ConnectionState.DISCONNECTED},
            "connection",
            None,
            "the mailbox is disconnected",
        ),
        (
            {"mailbox__connection": ConnectionState.DISCONNECTED, "mailbox__connection_error": "535 No"},
            "connection",
            None,
            "the mailbox is disconnected: 535 No",
        ),
        ({"mailbox__locked_user": "mia@example.org"}, "user", None, "its user is locked"),
        (
            {"mailbox__paused_at": NOW - HOUR},
            "rest",
            None,
            "the mailbox is paused since 2026-11-24T09:00:00Z",
        ),
        ({"mailbox__hold_reason": "550 banned"}, "hold", None, "on hold: 550 banned"),
        (
            {"mailbox__hold_reason": "454", "mailbox__hold_until": NOW + HOUR},
            "hold",
            NOW + HOUR,
            "on hold: 454",
        ),
        ({"mailbox__sent_today": 50}, "daily_limit", MIDNIGHT, "50 of 50 sent today"),
        ({"mailbox__sent_today": 51}, "daily_limit", MIDNIGHT, "51 of 50 sent today"),
        ({"mailbox__daily_limit": 0}, "daily_limit", None, "the daily limit is 0"),
        (
            {"mailbox__slot_sent_today": 500},
            "slot_cap",
            MIDNIGHT,
            "500 of the plan's 500 sent from this slot today",
        ),
        ({"mailbox__daily_cap": 0}, "slot_cap", None, "the plan's daily cap is 0"),
        (
            {"mailbox__rolling": (RollingUse("2,000 a day", DAY, NOW - HOUR),)},
            "provider_limit",
            NOW + timedelta(hours=23),
            "the provider's limit is used up: 2,000 a day",
        ),
        (
            {
                "mailbox__rolling": (
                    RollingUse("2,000 a day", DAY, NOW - DAY + HOUR),
                    RollingUse("30 a minute", MINUTE, NOW - SECOND),
                )
            },
            "provider_limit",
            NOW + HOUR,
            "the provider's limit is used up: 2,000 a day",
        ),
        (
            {"mailbox__next_send_at": NOW + MINUTE},
            "gap",
            NOW + MINUTE,
            "the gap after the last message ends at 2026-11-24T10:01:00Z",
        ),
        ({"message__state": MessageState.DRAFT}, "message", None, "the message is a draft"),
        (
            {"message__state": MessageState.ERROR, "message__last_error": "550 No"},
            "message",
            None,
            "the message is in error: 550 No",
        ),
        ({"message__state": MessageState.ERROR}, "message", None, "the message is in error"),
        (
            {
                "message__state": MessageState.ERROR,
                "message__unfit_campaign": "spring",
                "message__last_error": "no name",
            },
            "message",
            None,
            "the message cannot be written: no name",
        ),
        ({"message__state": MessageState.HELD}, "message", None, "the message is held"),
        ({"message__state": MessageState.SENDING}, "message", None, "the message is being sent"),
        ({"message__state": MessageState.SENT}, "message", None, "the message is already sent"),
        ({"message__state": MessageState.CANCELLED}, "message", None, "the message is cancelled"),
        ({"message__is_assigned": False}, "assignment", None, "no mailbox is assigned yet"),
        (
            {"message__recipient": RecipientState.FINISHED, "message__recipient_reason": "all_steps_sent"},
            "recipient",
            None,
            "the recipient has finished: all steps sent",
        ),
        ({"message__recipient": RecipientState.REPLIED}, "recipient", None, "the recipient has replied"),
        (
            {"message__recipient": RecipientState.REPLIED, "message__recipient_reason": "reply"},
            "recipient",
            None,
            "the recipient has replied",
        ),
        (
            {"message__recipient": RecipientState.BOUNCED, "message__recipient_reason": "bounced"},
            "recipient",
            None,
            "the recipient has bounced",
        ),
        ({"message__recipient": RecipientState.STOPPED}, "recipient", None, "the recipient is stopped"),
        (
            {"message__suppression": ("example.com", "hard_bounce")},
            "suppression",
            None,
            "example.com is suppressed: hard bounce",
        ),
        ({"message__due_at": NOW + SECOND}, "due", NOW + SECOND, "due at 2026-11-24T10:00:01Z"),
        (
            {"message__ready_at": NOW + HOUR, "message__last_error": "451 Later"},
            "retry",
            NOW + HOUR,
            "retry at 2026-11-24T11:00:00Z after: 451 Later",
        ),
        # What is not due yet was not put off.
        (
            {"message__due_at": NOW + HOUR, "message__ready_at": NOW + HOUR},
            "due",
            NOW + HOUR,
            "due at 2026-11-24T11:00:00Z",
        ),
        ({"message__ready_at": NOW + HOUR}, "retry", NOW + HOUR, "not before 2026-11-24T11:00:00Z"),
        (
            {"message__window": DeliveryWindow(zone="America/New_York")},
            "recipient_window",
            datetime(2026, 11, 24, 14, 0, tzinfo=UTC),
            "the delivery window opens at 2026-11-24T14:00:00Z",
        ),
        ({"mailbox__inbox_read_at": None}, "inbox", None, "the inbox has not been read yet"),
        (
            {"mailbox__inbox_failing_since": NOW - HOUR, "mailbox__inbox_error": "NO"},
            "inbox",
            None,
            "the inbox cannot be read since 2026-11-24T09:00:00Z: NO",
        ),
        (
            {"mailbox__inbox_failing_since": NOW - HOUR},
            "inbox",
            None,
            "the inbox cannot be read since 2026-11-24T09:00:00Z",
        ),
        (
            {"message__late_since": NOW - 8 * DAY},
            "overdue",
            None,
            "late since 2026-11-16T10:00:00Z because no runner was running; release it to send it",
        ),
        (
            {"message__late_since": NOW - 8 * DAY, "message__is_parked": True},
            "overdue",
            None,
            "late since 2026-11-16T10:00:00Z and parked by a user; release it to send it",
        ),
    ],
)
def test_f5_one_closed_gate_says_why_and_until_when(
    changed: dict[str, Any], gate: str, until: datetime | None, words: str
) -> None:
    at = situation(**changed)
    (closed,) = closed_in(at)
    assert (closed.gate, closed.until, closed.reason) == (gate, until, words)
    assert first_closed(at, NOW) == closed
    decision = decide(at, NOW)
    assert (decision.open, decision.next_at, decision.binding) == (False, until, gate)
    assert decision.summary == closed.reason


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"campaign__state": CampaignState.DRAFT}, Command("campaign", "start", "spring")),
        ({"campaign__state": CampaignState.PAUSED}, Command("campaign", "resume", "spring")),
        ({"campaign__pause_reasons": ("by_hand",)}, Command("campaign", "resume", "spring")),
        (
            {"campaign__pause_reasons": ("by_hand", "content_errors")},
            Command("campaign", "edit", "spring", "FILE"),
        ),
        (
            {"mailbox__connection": ConnectionState.FAILED},
            Command("mailbox", "reconnect", "a@example.org"),
        ),
        (
            {"mailbox__connection": ConnectionState.DISCONNECTED},
            Command("mailbox", "connect", "a@example.org"),
        ),
        ({"mailbox__locked_user": "mia@example.org"}, Command("user", "unlock", "mia@example.org")),
        ({"mailbox__obstacle": OBSTACLE}, Command("db", "adopt")),
        ({"mailbox__paused_at": NOW}, Command("mailbox", "resume", "a@example.org")),
        ({"mailbox__hold_reason": "454"}, Command("mailbox", "release", "a@example.org")),
        (
            {"mailbox__hold_reason": "3 recipients", "mailbox__hold_class": "refusals"},
            Hint(
                Command("mailbox", "release", "a@example.org", "--undo-refusals"),
                "(or",
                Command("mailbox", "release", "a@example.org"),
                "if the recipients do not exist)",
            ),
        ),
        (
            {"mailbox__daily_limit": 0},
            Command("mailbox", "set", "a@example.org", "--daily-limit", "N"),
        ),
        ({"mailbox__daily_cap": 0}, Command("plan", "set", "--daily-cap", "N")),
        ({"message__state": MessageState.ERROR}, Command("outbox", "retry", "m_17")),
        (
            {"message__state": MessageState.ERROR, "message__unfit_campaign": "spring"},
            Hint(Command("campaign", "edit", "spring", "FILE"), ", then", Command("outbox", "retry", "m_17")),
        ),
        (
            {"message__state": MessageState.HELD},
            Hint(Command("outbox", "resolve", "m_17", "--sent"), "(or --not-sent)"),
        ),
        ({"message__is_assigned": False}, Command("mailbox", "connect", "ADDRESS")),
        (
            {"message__suppression": ("example.com", "by_hand")},
            Command("suppression", "remove", "example.com"),
        ),
        ({"mailbox__inbox_read_at": None}, Command("run", "--once")),
        ({"mailbox__inbox_failing_since": NOW}, Command("mailbox", "test", "a@example.org")),
        ({"message__late_since": NOW}, Command("outbox", "release", "m_17")),
    ],
)
def test_f5_a_gate_that_a_person_can_open_names_the_command(
    changed: dict[str, Any], remedy: Command | Hint
) -> None:
    (closed,) = closed_in(situation(**changed))
    assert closed.remedy == remedy


@pytest.mark.parametrize(
    "changed",
    [
        {"campaign__state": CampaignState.FINISHED},
        {"mailbox__sent_today": 50},
        {"message__recipient": RecipientState.REPLIED},
        {"message__suppression": ("example.com", "hard_bounce")},
        {"message__suppression": ("kim@example.com", "unsubscribed")},
    ],
)
def test_f5_no_command_is_offered_where_only_time_helps_or_nothing_may(changed: dict[str, Any]) -> None:
    (closed,) = closed_in(situation(**changed))
    assert closed.remedy is None


@pytest.mark.parametrize(("campaign", "name"), [(CAMPAIGN, "spring"), (None, "NAME")])
def test_h4_a_late_message_that_is_not_planned_yet_is_released_with_its_campaign(
    campaign: CampaignFacts | None, name: str
) -> None:
    unplanned = replace(MESSAGE, id=None, late_since=NOW)
    (closed,) = closed_in(Situation(campaign, MAILBOX, unplanned))
    assert closed.remedy == Command("outbox", "release", "--campaign", name)


@pytest.mark.parametrize(
    "changed",
    [
        {"message__recipient": RecipientState.QUEUED},
        {"message__recipient": None},
        {"mailbox__hold_reason": "454", "mailbox__hold_until": NOW},
        {"mailbox__next_send_at": None},
        {"mailbox__sent_today": 50, "mailbox__day_ends_at": NOW},
        {"mailbox__slot_sent_today": 500, "mailbox__day_ends_at": NOW},
        {"mailbox__rolling": (RollingUse("2,000 a day", DAY, NOW - DAY),)},
        {"mailbox__inbox_read_at": None, "message__is_follow_up": False},
        {"mailbox__inbox_failing_since": NOW, "message__is_follow_up": False},
        {"message__late_since": NOW - 8 * DAY, "message__released_at": NOW},
        {"campaign__window": None},
    ],
)
def test_f5_what_is_over_or_does_not_apply_holds_nothing_back(changed: dict[str, Any]) -> None:
    assert closed_in(situation(**changed)) == []
    assert first_closed(situation(**changed), NOW) is None


def test_e4_a_used_up_day_waits_for_the_window_of_the_next() -> None:
    assert decide(situation(mailbox__sent_today=50), NOW).next_at == MIDNIGHT
    windowed = decide(situation(mailbox__sent_today=50, campaign__window=DeliveryWindow()), NOW)
    assert windowed.next_at == MIDNIGHT + 9 * HOUR
    assert windowed.binding == "window"
    assert "50 of 50" in windowed.summary


def test_e4_the_binding_gate_is_the_one_that_opens_last() -> None:
    at = situation(mailbox__next_send_at=NOW + MINUTE, message__ready_at=NOW + HOUR)
    decision = decide(at, NOW)
    assert (decision.next_at, decision.binding) == (NOW + HOUR, "retry")
    assert "not before" in decision.summary


def test_f5_what_only_somebody_opens_binds_before_any_instant() -> None:
    decision = decide(situation(mailbox__locked_user="mia@example.org", message__ready_at=NOW + HOUR), NOW)
    assert (decision.next_at, decision.binding) == (None, "user")


def test_f5_until_is_rounded_up_to_a_whole_second() -> None:
    at = situation(mailbox__next_send_at=NOW + timedelta(milliseconds=1))
    assert decide(at, NOW).next_at == NOW + SECOND
    assert closed_in(at)[0].until == NOW + SECOND


def test_f5_reasons_tell_whole_seconds_and_of_what_is_permitted_none_that_is_too_early() -> None:
    part = timedelta(milliseconds=1)
    waits = situation(
        message__due_at=NOW + part, message__ready_at=NOW + 2 * part, mailbox__next_send_at=NOW + part
    )
    told = [closed.reason for closed in closed_in(waits)]
    assert len(told) == 3
    assert all("2026-11-24T10:00:01Z" in reason for reason in told)
    (paused,) = closed_in(situation(mailbox__paused_at=NOW - HOUR + part))
    assert paused.reason == "the mailbox is paused since 2026-11-24T09:00:00Z"


def test_f5_windows_that_never_meet_never_open() -> None:
    monday = DeliveryWindow.parse({"days": "mon", "hours": "09:00-17:00"})
    tuesday = DeliveryWindow.parse({"days": "tue", "hours": "09:00-17:00"})
    assert decide(situation(campaign__window=monday, message__window=tuesday), NOW).next_at is None


moments = st.integers(-2 * 86_400, 6 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds))
fractions = st.builds(lambda at, part: at + timedelta(microseconds=part), moments, st.integers(0, 999_999))
maybe = st.one_of(st.none(), fractions)
windows = st.sampled_from(
    [
        DeliveryWindow(),
        DeliveryWindow(zone="Australia/Lord_Howe"),
        DeliveryWindow.parse({"days": "sat,sun", "hours": "22:30-24:00"}, "America/New_York"),
        DeliveryWindow.parse({"days": "mon-sun", "hours": "00:00-00:20"}, "Asia/Kathmandu"),
    ]
)
situations = st.builds(
    situation,
    campaign__window=windows,
    mailbox__hold_reason=st.just("limit"),
    mailbox__hold_until=fractions,
    mailbox__sent_today=st.sampled_from([0, 50]),
    mailbox__slot_sent_today=st.sampled_from([0, 500]),
    mailbox__day_ends_at=moments,
    mailbox__rolling=st.tuples(
        st.builds(RollingUse, st.just("a day"), st.just(DAY), maybe),
        st.builds(RollingUse, st.just("a minute"), st.just(MINUTE), maybe),
    ),
    mailbox__next_send_at=maybe,
    message__due_at=fractions,
    message__ready_at=fractions,
)


@settings(max_examples=200, deadline=None)
@given(situations, st.lists(st.integers(0, 999), min_size=5, max_size=5))
def test_f5_the_decision_names_the_very_first_second(at: Situation, parts: list[int]) -> None:
    decision = decide(at, NOW)
    assert decision.next_at is not None
    assert all(verdict.open for verdict in verdicts(at, decision.next_at))
    assert decision.open == (decision.next_at == NOW)
    assert decision.open == (decision.binding is None)
    if not decision.open:
        assert decision.next_at.microsecond == 0
        before = closed_in(at, decision.next_at - SECOND)
        assert decision.binding in [verdict.gate for verdict in before]
        for part in parts:
            assert closed_in(at, NOW + (decision.next_at - SECOND - NOW) * part // 1000)


@settings(max_examples=100, deadline=None)
@given(situations, moments)
def test_f5_the_quick_answer_is_the_long_ones_first_closed_gate(at: Situation, now: datetime) -> None:
    assert first_closed(at, now) == next(iter(closed_in(at, now)), None)


def test_h5_a_lane_sends_follow_ups_only_while_its_inbox_can_be_read() -> None:
    assert inbox_is_read(MAILBOX)
    assert not inbox_is_read(replace(MAILBOX, inbox_read_at=None))
    assert not inbox_is_read(replace(MAILBOX, inbox_failing_since=NOW))


def test_f5_windows_that_are_never_open_together_are_named_as_what_binds() -> None:
    mondays, sundays = (DeliveryWindow.parse({"days": day, "hours": "09:00-17:00"}) for day in ("mon", "sun"))
    decision = decide(situation(campaign__window=mondays, message__window=sundays), NOW)
    assert decision.next_at is None
    assert decision.binding in ("window", "recipient_window")


@pytest.mark.parametrize("name", ["daily_limit", "daily_cap"])
def test_e4_a_limit_of_one_lets_one_message_go_and_a_limit_of_none_nothing(name: str) -> None:
    unused = {"mailbox__sent_today": 0, "mailbox__slot_sent_today": 0}
    assert closed_in(situation(**unused, **{f"mailbox__{name}": 1})) == []
    (shut,) = closed_in(situation(**unused, **{f"mailbox__{name}": 0}))
    assert (shut.gate, shut.until) == ("slot_cap" if name == "daily_cap" else name, None)


def test_c10_the_limits_of_a_day_do_not_bind_a_notice() -> None:
    full = situation(mailbox__sent_today=50, mailbox__slot_sent_today=500)
    assert {verdict.gate for verdict in closed_in(full)} == {Gate.DAILY_LIMIT, Gate.SLOT_CAP}
    notice = replace(full, message=replace(MESSAGE, is_notice=True))
    assert closed_in(notice) == []
