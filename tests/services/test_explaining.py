"""`why`, `status`, `settings` and the log: what people are told about what waits."""

import sys
from datetime import timedelta

import pytest
from sqlalchemy import update

from mailrotate.core.rules.transitions import USER
from mailrotate.core.services import periods
from mailrotate.core.services.sending.claiming import Claims, Nothing
from mailrotate.core.services.views import limit_settings, logbook, overview, workspace_settings
from mailrotate.core.services.views.explaining import explain
from mailrotate.core.store import events, mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.engine import Store
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import inboxes, lanes, sending_mailboxes
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.states import Role, SuppressionKind
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

TOMORROW = NOW.replace(hour=23, microsecond=0)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


@pytest.fixture
def campaign(workspace: Workspace, anna: Sender) -> StoredCampaign:
    return workspace.add_campaign("autumn", [anna])


def use_up_the_day(workspace: Workspace, sender: Sender) -> None:
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, sender.connection_id, daily_limit=1)
    workspace.add_sent(sender, NOW)


def test_f5_somebody_without_a_planned_message_is_explained_as_if_it_were_planned(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    use_up_the_day(workspace, anna)
    workspace.add_recipient(
        campaign, "kim@example.com", sender_id=workspace.senders(campaign)[0], next_at=NOW
    )
    said = explain(context_of(workspace), "autumn", "Kim@Example.com", NOW)
    assert (said.binding, said.next_at) == ("daily_limit", TOMORROW)
    assert next(gate for gate in said.gates if gate.gate == "daily_limit").reason == "1 of 1 sent today"


def test_f5_the_last_of_many_is_told_the_earliest_instant_and_how_many_are_due_before(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    use_up_the_day(workspace, anna)
    (sender,) = workspace.senders(campaign)
    names = ["kim", "lee", "max", "noor"]
    people = {
        name: workspace.add_recipient(campaign, f"{name}@example.com", sender_id=sender, next_at=NOW)
        for name in names
    }
    first, *_, last = [explain(context_of(workspace), "autumn", f"{name}@example.com", NOW) for name in names]
    assert (first.next_at, first.ahead, first.summary) == (TOMORROW, 0, "1 of 1 sent today")
    assert (last.next_at, last.ahead) == (TOMORROW, 3)
    assert last.summary == "1 of 1 sent today, but 3 messages of its mailbox are due before it"
    # Planned or not, each counts once.
    workspace.add_message(anna, campaign, people["kim"])
    planned = workspace.add_message(anna, campaign, people["noor"])
    with workspace.store.writing() as connection:
        of_planned = t.recipient.c.id.in_((people["kim"], people["noor"]))
        connection.execute(update(t.recipient).where(of_planned).values(next_at=None))
    said = explain(context_of(workspace), f"m_{planned}", None, NOW)
    assert said.ahead == 3


def test_f5_what_may_leave_now_is_not_promised_before_those_that_are_due_first(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    (sender,) = workspace.senders(campaign)
    for name in ("kim", "lee"):
        workspace.add_recipient(campaign, f"{name}@example.com", sender_id=sender, next_at=NOW)
    workspace.add_runner()
    first, last = (
        explain(context_of(workspace), "autumn", f"{name}@example.com", NOW) for name in ("kim", "lee")
    )
    assert (first.next_at, last.next_at) == (NOW, NOW)
    assert last.ahead == 1


def test_f5_what_is_not_due_yet_is_told_its_own_time_alone(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    (sender,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW)
    tomorrow = NOW.replace(microsecond=0) + timedelta(days=1)
    workspace.add_recipient(campaign, "lee@example.com", sender_id=sender, next_at=tomorrow)
    said = explain(context_of(workspace), "autumn", "lee@example.com", NOW)
    # Those that are due today have gone by then.
    assert (said.binding, said.next_at, said.ahead) == ("due", tomorrow, 0)


def test_f5_somebody_without_a_mailbox_is_told_so(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    recipient_id = workspace.add_recipient(campaign, "kim@example.com")
    said = explain(context_of(workspace), f"r_{recipient_id}", None, NOW)
    assert (said.binding, said.next_at) == ("assignment", None)


def test_f5_an_end_is_told_with_its_reason(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    workspace.add_recipient(
        campaign, "kim@example.com", sender_id=workspace.senders(campaign)[0], state="replied"
    )
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(reason="reply"))
    said = explain(context_of(workspace), "autumn", "kim@example.com", NOW)
    assert said.binding == "recipient"
    assert said.summary == "the recipient has replied"


@pytest.mark.parametrize("state", ["error", "held", "sent", "cancelled"])
def test_f5_a_message_that_does_not_wait_says_what_it_is(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign, state: str
) -> None:
    message_id = workspace.add_message(anna, campaign, state=state)
    said = explain(context_of(workspace), f"m_{message_id}", None, NOW)
    assert (said.binding, said.next_at) == ("message", None)


def test_i4_a_suppression_of_an_erased_contact_still_holds_back_what_is_to_be_sent(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    recipient_id = workspace.add_recipient(campaign, "kim@example.com")
    message_id = workspace.add_message(anna, campaign, recipient_id)
    with workspace.store.writing() as connection:
        suppressions.add(
            connection,
            SuppressionKind.ADDRESS,
            "kim@example.com",
            reason="by_hand",
            source="test",
            added_by=None,
            now=NOW,
        )
        connection.execute(update(t.suppression).values(value=None))
    said = explain(context_of(workspace), f"m_{message_id}", None, NOW)
    assert said.binding == "suppression"


def test_f5_a_campaign_goes_on_with_the_first_of_its_mailboxes(workspace: Workspace, anna: Sender) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    campaign = workspace.add_campaign("autumn", [anna, ben])
    use_up_the_day(workspace, anna)
    soon = (NOW + timedelta(minutes=2)).replace(microsecond=0)
    with workspace.store.writing() as connection:
        lanes.rest(connection, ben.id, soon)
    for sender_id in workspace.senders(campaign):
        workspace.add_recipient(campaign, f"p{sender_id}@example.com", sender_id=sender_id, next_at=NOW)
    said = explain(context_of(workspace), "autumn", None, NOW)
    assert (said.binding, said.next_at) == ("gap", soon)
    shut = {(gate.mailbox, gate.gate) for gate in said.gates if not gate.open}
    assert shut == {("anna@example.org", "daily_limit"), ("ben@example.org", "gap")}


def test_f5_names_that_fit_nothing_are_told_what_was_near(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    context = context_of(workspace)
    for subject, address, code in (
        ("autum", None, "campaign.none"),
        ("ana@example.org", None, "mailbox.none"),
        ("m_77", None, "message.none"),
        ("r_77", None, "recipient.none"),
        ("autumn", "kim@example.com", "recipient.none"),
    ):
        with pytest.raises(NotFound) as refused:
            explain(context, subject, address, NOW)
        assert refused.value.code == code
    workspace.add_campaign("m_1", [anna])
    with pytest.raises(BadInput) as ambiguous:
        explain(context, "m_1", None, NOW)
    assert ambiguous.value.code == "name.ambiguous"


def test_f5_the_status_names_when_each_lane_goes_on(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    """The headline over them has tests of its own: `tests/cli/test_headline.py`."""
    context = context_of(workspace)
    assert overview.look(context, NOW).next_send_at is None
    workspace.add_recipient(
        campaign, "kim@example.com", sender_id=workspace.senders(campaign)[0], next_at=NOW
    )
    use_up_the_day(workspace, anna)
    waiting = overview.look(context, NOW)
    assert waiting.next_send_at == TOMORROW
    assert waiting.mailboxes[0].waits_for == "1 of 1 sent today"
    assert (waiting.mailboxes[0].sent_today, waiting.mailboxes[0].daily_limit) == (1, 1)
    with workspace.store.writing() as connection:
        mailboxes.change(connection, anna.id, hold_reason="550 banned", hold_class="sender")
    stuck = overview.look(context, NOW)
    assert (stuck.next_send_at, stuck.mailboxes[0].waits_for) == (None, "on hold: 550 banned")


def test_f5_a_paused_campaign_whose_only_sender_failed_names_the_reconnect_first(
    workspace: Workspace, anna: Sender
) -> None:
    workspace.add_campaign("rested", [anna], state="paused")
    context = context_of(workspace)
    assert explain(context, "rested", None, NOW).remedy == Command("campaign", "resume", "rested")
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(state="failed"))
    remedy = explain(context, "rested", None, NOW).remedy
    assert remedy == Command("mailbox", "reconnect", "anna@example.org", "--resume")


def test_h4_the_status_counts_what_waits_for_a_release(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    workspace.add_message(anna, campaign, overdue_at=NOW)
    workspace.add_message(anna, campaign, state="error")
    workspace.add_message(anna, campaign, state="held")
    found = overview.look(context_of(workspace), NOW)
    assert (found.errors, found.held, found.campaigns[0].overdue) == (1, 1, 1)


def test_h4_why_foresees_that_a_pass_after_a_long_absence_parks_what_is_late(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    message_id = workspace.add_message(anna, campaign, ready_at=NOW)
    with workspace.store.writing() as connection:
        workspaces.change(connection, last_sending_pass_at=NOW)
    context, week = context_of(workspace), timedelta(days=7)
    assert explain(context, f"m_{message_id}", None, NOW + week).binding is None
    said = explain(context, f"m_{message_id}", None, NOW + week + timedelta(seconds=1))
    assert (said.binding, said.next_at) == ("overdue", None)
    assert said.remedy == Command("outbox", "release", f"m_{message_id}")


def test_settings_are_changed_together_or_not_at_all(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    with pytest.raises(BadInput) as refused:
        workspace_settings.change(
            context, ["lateness=3d", "test_every=1s", "colour=blue", "lateness=90"], NOW
        )
    assert len(refused.value.problems) == 3
    assert {shown.key: shown.value for shown in workspace_settings.show(context)}["lateness"] == "1w"
    workspace_settings.change(context, ["lateness=3d"], NOW)
    with workspace.store.reading() as connection:
        assert periods.period(connection, "lateness") == timedelta(days=3)
        assert periods.period(connection, "network_patience") == timedelta(minutes=30)


def test_f6_two_tolerances_of_the_clock_can_be_turned_off(workspace: Workspace) -> None:
    context = context_of(workspace)
    workspace_settings.change(context, ["clock_jump=off", "database_clock_tolerance=1m"], NOW)
    with workspace.store.reading() as connection:
        assert periods.period(connection, "clock_jump") == timedelta.max
        assert periods.period(connection, "database_clock_tolerance") == timedelta(minutes=1)
    for refused in ("clock_tolerance=off", "lateness=off", "clock_jump=0s", "database_clock_tolerance=2d"):
        with pytest.raises(BadInput):
            workspace_settings.change(context, [refused], NOW)


def test_b4_another_zone_of_the_workspace_gives_no_mailbox_a_second_allowance(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    def box() -> SendingMailbox:
        with workspace.store.reading() as connection:
            return sending_mailboxes.by_id(connection, anna.id)

    assert box().settings.day_until is None
    workspace_settings.change(context_of(workspace), ["timezone=Pacific/Auckland"], NOW)
    # In Auckland the next day begins at 11:00 UTC, in Berlin, which the day began in, at 23:00.
    assert (box().settings.timezone, box().settings.day_until) == ("Pacific/Auckland", TOMORROW)


def test_b4_a_limit_that_the_operator_sets_binds_at_once(
    workspace: Workspace, anna: Sender, campaign: StoredCampaign
) -> None:
    context = context_of(workspace)
    (sender,) = workspace.senders(campaign)
    workspace.add_recipient(campaign, "kim@example.com", sender_id=sender, next_at=NOW)
    limit_settings.change(context, ["imap.hour=1"], ("imap",), NOW)
    workspace.add_sent(anna, NOW)
    said = explain(context, "anna@example.org", None, NOW)
    assert (said.binding, said.next_at) == (
        "provider_limit",
        (NOW + timedelta(hours=1, seconds=1)).replace(microsecond=0),
    )
    with pytest.raises(BadInput):
        limit_settings.change(context, ["imap.hour=2", "imap.year=5"], ("imap",), NOW)
    assert explain(context, "anna@example.org", None, NOW).binding == "provider_limit"


def test_f5_a_follower_misses_no_line_that_is_committed_late(postgresql_store: Store) -> None:
    """On PostgreSQL a lower number may appear after a higher one."""
    with postgresql_store.writing() as connection:
        workspaces.create(connection, "test", "UTC", NOW)
        admin = workspaces.add_user(connection, USER["add"], "ada@example.org", "Ada", Role.ADMIN, NOW)
    follower = logbook.Follower(context_of(Workspace(postgresql_store, admin)))
    with postgresql_store.writing() as slow:
        events.record(slow, RUNNER, "first", NOW, About())
        with postgresql_store.writing() as quick:
            events.record(quick, RUNNER, "second", NOW, About())
        assert [line.action for line in follower.news()] == ["second"]
    assert [line.action for line in follower.news()] == ["first"]
    assert follower.news() == []


@pytest.mark.parametrize("zone", [None, "recipient"])
def test_d4_holidays_that_nobody_can_know_any_more_close_their_own_campaign_alone(
    workspace: Workspace,
    anna: Sender,
    campaign: StoredCampaign,
    monkeypatch: pytest.MonkeyPatch,
    zone: str | None,
) -> None:
    """The extra was removed: rather nothing of it than mail on a holiday."""
    winter = workspace.add_campaign("winter", [anna])
    closed, free = (
        workspace.add_message(anna, each, workspace.add_recipient(each, "kim@example.com"))
        for each in (campaign, winter)
    )
    with workspace.store.writing() as connection:
        of_autumn = t.campaign_version.c.campaign_id == campaign.id
        known = update(t.campaign_version).where(of_autumn).values(holidays='"DE"', timezone=zone)
        connection.execute(known)
    monkeypatch.setitem(sys.modules, "holidays", None)
    context = context_of(workspace)
    assert overview.look(context, NOW).next_send_at is not None
    told = explain(context, f"m_{closed}", None, NOW)
    assert (told.binding, told.next_at) == ("window", None)
    assert "pip install 'mailrotate[holidays]'" in told.summary
    assert explain(context, "autumn", None, NOW).binding == "window"
    lane = workspace.own_lane(anna, workspace.add_runner())
    with workspace.store.writing() as connection:
        inboxes.note_read(connection, anna.id, "INBOX", FolderCursor(1, 0), NOW)
    claimed = Claims(context, lane).next(NOW)
    assert isinstance(claimed, Claim)
    assert claimed.message.id == free
    assert isinstance(Claims(context, lane).next(NOW + timedelta(hours=1)), Nothing)
