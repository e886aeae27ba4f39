"""F5: the instant and the gate that `why` names are those by which sending decides, to the second."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from mailrotate.core.rules.transitions import USER
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.views.explaining import Explanation, explain
from mailrotate.core.store import campaigns, mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import open_store
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import inboxes, lanes, sending_mailboxes
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.states import MessageKind, Priority, Role, SuppressionKind
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Auckland")
STEPS = ((timedelta(), "Hello", "Hello {{ name }}"), (timedelta(days=2), "Again", "Again {{ name }}"))
SECOND = timedelta(seconds=1)

ago = st.integers(1, 40 * 3600).map(lambda seconds: timedelta(seconds=seconds))
ahead = st.integers(1, 4 * 86_400).map(lambda seconds: timedelta(seconds=seconds, microseconds=seconds))
around = st.one_of(ago.map(lambda before: -before), ahead)
zones = st.sampled_from(ZONES)


def rarely(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Mostly None: a situation with everything wrong at once tells little."""
    return st.one_of(st.none(), st.none(), st.none(), strategy)


@dataclass(frozen=True)
class MailboxState:
    connection: str
    locked: bool
    rested: bool
    hold: timedelta | str | None
    daily_limit: int
    sent: list[timedelta]
    sent_state: str
    zone: str | None
    changed_from_zone: str | None
    provider_limit: tuple[str, int] | None
    next_send: timedelta | None
    inbox: str


@dataclass(frozen=True)
class CampaignState:
    state: str
    zone: str | None
    window: list[tuple[str, str]]
    holidays: list[str] | None
    absence: tuple[timedelta, timedelta] | None
    recipient_zone: str | None


@dataclass(frozen=True)
class MessageState:
    is_test: bool
    step: int
    recipient: str
    state: str
    due: timedelta
    ready: timedelta
    released: bool
    parked: bool
    suppressed: bool


often = st.sampled_from
mailbox_states = st.builds(
    MailboxState,
    connection=often(["connected"] * 30 + ["failed", "disconnected"]),
    locked=often([False] * 30 + [True]),
    rested=often([False] * 30 + [True]),
    hold=rarely(st.one_of(around, around, around, st.just("until released"))),
    daily_limit=st.integers(1, 4),
    sent=st.lists(ago, max_size=6),
    sent_state=often(["sent", "held", "sending"]),
    zone=rarely(zones),
    changed_from_zone=rarely(zones),
    provider_limit=st.one_of(
        st.none(), st.tuples(often(["imap.minute", "imap.hour", "imap.day"]), st.integers(1, 5))
    ),
    next_send=st.one_of(st.none(), around),
    inbox=often(["read"] * 10 + ["failing", "never read"]),
)
campaign_states = st.builds(
    CampaignState,
    state=often(["active"] * 25 + ["paused", "draft", "finished"]),
    zone=st.one_of(rarely(zones), st.just("recipient")),
    window=st.lists(
        st.tuples(
            often(["mon-sun"] * 4 + ["mon-fri", "sat,sun", "tue", "wed-thu"]),
            often(["00:00-24:00"] * 4 + ["09:00-17:30", "00:00-00:01", "22:00-24:00", "12:15-12:16"]),
        ),
        min_size=1,
        max_size=2,
    ),
    holidays=rarely(st.just(["2026-12-02", "2026-12-03", "2026-12-24"])),
    absence=rarely(st.tuples(ago, st.integers(8, 30).map(lambda days: timedelta(days=days)))),
    recipient_zone=rarely(zones),
)
message_states = st.builds(
    MessageState,
    is_test=often([False] * 7 + [True]),
    step=often([1, 2]),
    recipient=often(["queued", "active"] * 25 + ["replied", "failed", "finished"]),
    state=often(["scheduled"] * 40 + ["error", "held", "cancelled"]),
    due=around,
    ready=st.one_of(st.just(timedelta()), ahead),
    released=often([False, False, False, True]),
    parked=often([False] * 30 + [True]),
    suppressed=often([False] * 30 + [True]),
)


@contextmanager
def a_workspace(template: Path) -> Iterator[Workspace]:
    """One for each generated situation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.db"
        shutil.copyfile(template, path)
        store = open_store(str(path))
        with store.writing() as connection:
            workspaces.create(connection, "test", "Europe/Berlin", NOW - timedelta(days=90))
            admin = workspaces.add_user(connection, USER["add"], "ada@example.org", "Ada", Role.ADMIN, NOW)
        yield Workspace(store, admin)
        store.close()


def build_mailbox(workspace: Workspace, known: MailboxState, now: datetime) -> Sender:
    sender = workspace.add_mailbox("anna@example.org", state=known.connection, timezone=known.zone)
    for before in known.sent:
        workspace.add_sent(sender, now - before, state=known.sent_state)
    values: dict[str, object] = {}
    if isinstance(known.hold, timedelta):
        values |= {"hold_reason": "too many", "hold_class": "limit", "hold_until": now + known.hold}
    elif known.hold is not None:
        values |= {"hold_reason": "refused", "hold_class": "sender"}
    if known.rested:
        values["paused_at"] = now - SECOND
    with workspace.store.writing() as connection:
        if values:
            mailboxes.change(connection, sender.id, **values)
        if known.changed_from_zone is not None:
            box = sending_mailboxes.by_id(connection, sender.id)
            change_zone(connection, box, known.changed_from_zone, now - timedelta(hours=3))
        mailboxes.change_connection(
            connection,
            sender.connection_id,
            daily_limit=known.daily_limit,
            connected_at=NOW - timedelta(days=80),
        )
        if known.locked:
            connection.execute(update(t.user).values(state="locked"))
        if known.next_send is not None:
            lanes.rest(connection, sender.id, (now + known.next_send).replace(microsecond=0))
        if known.provider_limit is not None:
            name, limit = known.provider_limit
            workspaces.set_setting(connection, f"limit.{name}", str(limit))
        if known.inbox != "never read":
            inboxes.note_read(connection, sender.id, "INBOX", FolderCursor(1, 1), now - SECOND)
        if known.inbox == "failing":
            inboxes.note_failure(connection, sender.id, "INBOX", "no", now)
    return sender


def change_zone(connection: object, box: SendingMailbox, before: str, changed_at: datetime) -> None:
    from mailrotate.core.rules import quota

    running = quota.day_of(changed_at, before, None, None)
    day_from, day_until = quota.day_after_zone_change(changed_at, running, box.settings.timezone)
    mailboxes.change(connection, box.id, day_from=day_from, day_until=day_until)  # type: ignore[arg-type]


def build_campaign(workspace: Workspace, sender: Sender, known: CampaignState, now: datetime) -> int:
    campaign = workspace.add_campaign("autumn", [sender], state=known.state, steps=STEPS)
    window = {"blocks": [{"days": days, "hours": hours} for days, hours in known.window]}
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.campaign_version).values(
                window=json.dumps(window), timezone=known.zone, holidays=json.dumps(known.holidays)
            )
        )
        campaigns.change(connection, campaign.id, started_at=NOW - timedelta(days=80))
        if known.state == "paused":
            campaigns.add_pause(connection, campaign.id, "by_hand", 0, now)
        if known.absence is not None:
            back, length = now - known.absence[0], known.absence[1]
            workspaces.note_absence(connection, back - length, back)
    return campaign.id


def build_message(
    workspace: Workspace,
    sender: Sender,
    campaign_id: int,
    known: MessageState,
    zone: str | None,
    now: datetime,
) -> int:
    with workspace.store.reading() as connection:
        campaign = campaigns.by_id(connection, campaign_id)
    due_at = now + known.due
    recipient_id = workspace.add_recipient(
        campaign, "kim@example.com", sender_id=workspace.senders(campaign)[0], state=known.recipient
    )
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(timezone=zone, next_step=known.step))
        if known.suppressed:
            suppressions.add(
                connection,
                SuppressionKind.DOMAIN,
                "example.com",
                reason="asked",
                source="test",
                added_by=None,
                now=now,
            )
    values: dict[str, object] = {
        "state": known.state,
        "due_at": due_at,
        "released_at": now if known.released else None,
        "overdue_at": now if known.parked and not known.released else None,
    }
    if known.is_test:
        values |= {
            "kind": MessageKind.TEST,
            "priority": Priority.BY_HAND,
            "fields": '{"name": "you"}',
        }
    to_person = None if known.is_test else recipient_id
    return workspace.add_message(
        sender, campaign, to_person, step=known.step, ready_at=due_at + known.ready, **values
    )


def why(context: Context, message_id: int, now: datetime) -> Explanation:
    return explain(context, f"m_{message_id}", None, now)


OPEN_BOX = MailboxState("connected", False, False, None, 4, [], "sent", None, None, None, None, "read")
OPEN_PLAN = CampaignState("active", "UTC", [("mon-sun", "00:00-24:00")], None, None, None)
OPEN_MESSAGE = MessageState(False, 1, "queued", "scheduled", -SECOND, timedelta(), False, False, False)


# No search for the reason of a failure: each example builds a database.
_EACH_BUILDS_A_DATABASE = settings(
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
_worlds = given(
    box=mailbox_states,
    plan=campaign_states,
    what=message_states,
    minutes=st.integers(0, 21 * 24 * 60),
    micro=st.integers(0, 999_999),
)


@settings(_EACH_BUILDS_A_DATABASE, max_examples=30)
@example(replace(OPEN_BOX, next_send=timedelta(minutes=3)), OPEN_PLAN, OPEN_MESSAGE, 0, 1)
@example(replace(OPEN_BOX, provider_limit=("imap.hour", 1), sent=[SECOND]), OPEN_PLAN, OPEN_MESSAGE, 0, 1)
@example(replace(OPEN_BOX, daily_limit=1, sent=[SECOND]), OPEN_PLAN, OPEN_MESSAGE, 0, 0)
@_worlds
def test_f5_a_message_is_refused_a_second_before_the_instant_that_why_names_and_sent_at_it(
    sqlite_template: Path,
    box: MailboxState,
    plan: CampaignState,
    what: MessageState,
    minutes: int,
    micro: int,
) -> None:
    refuse_before_and_send_at(sqlite_template, box, plan, what, minutes, micro)


@pytest.mark.proof
@pytest.mark.timeout(900)
@settings(_EACH_BUILDS_A_DATABASE, max_examples=300)
@_worlds
def test_f5_why_names_the_instant_of_sending_in_many_more_worlds(
    sqlite_template: Path,
    box: MailboxState,
    plan: CampaignState,
    what: MessageState,
    minutes: int,
    micro: int,
) -> None:
    refuse_before_and_send_at(sqlite_template, box, plan, what, minutes, micro)


def refuse_before_and_send_at(
    sqlite_template: Path,
    box: MailboxState,
    plan: CampaignState,
    what: MessageState,
    minutes: int,
    micro: int,
) -> None:
    now = NOW + timedelta(minutes=minutes, microseconds=micro)
    with a_workspace(sqlite_template) as workspace:
        sender = build_mailbox(workspace, box, now)
        campaign_id = build_campaign(workspace, sender, plan, now)
        message_id = build_message(workspace, sender, campaign_id, what, plan.recipient_zone, now)
        # Whoever asks is not the one who may be locked.
        context = context_of(workspace, workspace.add_user("eve@example.org", Role.ADMIN))
        lane = workspace.own_lane(sender, workspace.add_runner())
        said = why(context, message_id, now)
        event(f"binding: {said.binding}, {'named' if said.next_at else 'by an act'}")
        closed = {gate.gate for gate in said.gates if not gate.open}

        def attempt(at: datetime) -> object:
            return Claims(context, lane).next(at, only=message_id)

        if said.next_at is None:
            for later in (timedelta(), timedelta(days=1, hours=7), timedelta(days=45)):
                refused = attempt(now + later)
                assert not isinstance(refused, Claim)
            assert said.binding in closed or said.binding == "recipient_window"
            return
        if said.next_at > now:
            assert said.next_at.microsecond == 0
            refused = attempt(max(now, said.next_at - SECOND))
            assert not isinstance(refused, Claim)
            assert refused.closed is not None  # type: ignore[attr-defined]  # what is no Claim is Nothing
            assert refused.closed.gate == said.binding  # type: ignore[attr-defined]
        else:
            assert said.binding is None
        sent = attempt(said.next_at)
        assert isinstance(sent, Claim)
        assert sent.message.id == message_id
