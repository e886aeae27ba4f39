"""The outbox: plan, find, postpone, release and cancel messages.

From the claim on, `claims` has the changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, insert, select, update

from mailrotate.core.store import moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.store.ready import Ready, Record
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.states import MessageKind, MessageState, Priority, RecipientState, ReplyClass
from mailrotate.core.values.transition import Transition

# What a message has that is not in error.
NO_ERROR = dict.fromkeys(
    ("error_class", "error_phase", "error_code", "error_enhanced", "error_text", "error_hint")
)


@dataclass(frozen=True)
class Candidate:
    """A message that may be next in a lane, with what the recipient's gates and the rendering need."""

    id: int
    kind: MessageKind
    state: MessageState
    priority: Priority
    mailbox_id: int
    campaign_id: int | None
    campaign_sender_id: int | None
    recipient_id: int | None
    step_position: int | None
    to_address: str
    from_address: str
    message_id: str
    token: str
    own_fields: str | None
    due_at: datetime
    ready_at: datetime
    # The defaults below are those of a new row.
    released_at: datetime | None = None
    overdue_at: datetime | None = None
    attempts: int = 0
    first_failed_at: datetime | None = None
    error_text: str | None = None
    error_class: str | None = None
    error_phase: str | None = None
    recipient_state: RecipientState | None = None
    recipient_reason: str | None = None
    recipient_timezone: str | None = None
    recipient_fields: str | None = None
    turn_at: datetime | None = None
    unsubscribe_token: str | None = None
    sender_left_reason: str | None = None
    # What its sender would send that was due before this instant is parked (H4).
    parked_before: datetime | None = None

    @property
    def is_unfit(self) -> bool:
        """Whether it could not be written, so that no server ever saw it."""
        return self.error_class == ReplyClass.MESSAGE and self.error_phase is None


@dataclass(frozen=True)
class Claim:
    """A message that is ours to send, with its fencing token and content."""

    message: Candidate
    claim_token: str
    claimed_at: datetime
    box: SendingMailbox
    raw: bytes = field(repr=False)


@dataclass(frozen=True)
class Thread:
    """The previous message of the campaign, which a follow-up answers."""

    message_id: str
    cited_ids: tuple[str, ...]
    subject: str


@dataclass(frozen=True)
class NewMessage:
    """A row to be planned."""

    kind: MessageKind
    priority: Priority
    mailbox_id: int
    campaign_id: int | None
    campaign_sender_id: int | None
    recipient_id: int | None
    step_id: int | None
    step_position: int | None
    to_address: str
    from_address: str
    token: str
    message_id: str
    due_at: datetime
    ready_at: datetime
    unsubscribe_token: str | None = None
    fields: str | None = None


_CANDIDATE = select(
    *(
        t.message.c[name]
        for name in (
            "id", "kind", "state", "priority", "mailbox_id", "campaign_id", "campaign_sender_id",
            "recipient_id", "step_position", "to_address", "from_address", "message_id", "token",
            "unsubscribe_token",
        )
    ),
    t.message.c.fields.label("own_fields"),
    *(
        t.message.c[name]
        for name in (
            "due_at", "ready_at", "released_at", "overdue_at", "attempts", "first_failed_at", "error_text",
            "error_class", "error_phase",
        )
    ),
    t.recipient.c.state.label("recipient_state"),
    t.recipient.c.reason.label("recipient_reason"),
    t.recipient.c.timezone.label("recipient_timezone"),
    t.recipient.c.fields.label("recipient_fields"),
    t.campaign_sender.c.turn_at,
    t.campaign_sender.c.parked_before,
    t.campaign_sender.c.left_reason.label("sender_left_reason"),
).select_from(
    t.message.outerjoin(t.recipient, t.recipient.c.id == t.message.c.recipient_id).outerjoin(
        t.campaign_sender, t.campaign_sender.c.id == t.message.c.campaign_sender_id
    )
)  # fmt: skip


def _candidate(m: Mapping[Any, Any]) -> Candidate:
    values = dict(m)
    values["kind"] = MessageKind(str(values["kind"]))
    values["state"] = MessageState(str(values["state"]))
    values["priority"] = Priority(str(values["priority"]))
    if values["recipient_state"] is not None:
        values["recipient_state"] = RecipientState(str(values["recipient_state"]))
    return Candidate(**values)


_PLAN = Ready(insert(t.message))


def plan(
    connection: Connection, transition: Transition, messages: Sequence[NewMessage], now: datetime
) -> None:
    """Add rows to the outbox."""
    begun = {**moves.born(transition), "planned_at": now}
    _PLAN.change_each(connection, [{**vars(new), **begun} for new in messages])


_c = t.message.c
_SCHEDULED = select(func.count()).where(
    t.is_waiting,
    _c.priority == bindparam("b_priority"),
    _c.campaign_id.in_(bindparam("b_campaigns", expanding=True)),
)
_SCHEDULED_HERE = _SCHEDULED.where(_c.mailbox_id == bindparam("b_mailbox"))
_SCHEDULED_ELSEWHERE = _SCHEDULED.where(
    _c.mailbox_id != bindparam("b_mailbox"),
    _c.campaign_sender_id.in_(
        select(t.campaign_sender.c.id).where(t.campaign_sender.c.slot_id == bindparam("b_slot"))
    ),
)


def scheduled_count(
    connection: Connection, mailbox_id: int, campaign_ids: Sequence[int], priority: Priority
) -> int:
    """Count the waiting rows of some campaigns in a lane; planning bounds the number."""
    known = {"b_mailbox": mailbox_id, "b_campaigns": campaign_ids, "b_priority": priority}
    return int(connection.execute(_SCHEDULED_HERE, known).scalar_one())


def scheduled_elsewhere(
    connection: Connection, mailbox_id: int, slot_id: int, campaign_ids: Sequence[int], priority: Priority
) -> int:
    """Count a slot's recipients that wait in other lanes, because a step has its own sender (D9)."""
    known = {"b_mailbox": mailbox_id, "b_slot": slot_id, "b_campaigns": campaign_ids, "b_priority": priority}
    return int(connection.execute(_SCHEDULED_ELSEWHERE, known).scalar_one())


_IS_EARLIEST = (
    _CANDIDATE.where(
        _c.mailbox_id == bindparam("b_mailbox"),
        _c.priority == bindparam("b_priority"),
        t.is_waiting,
        _c.ready_at <= bindparam("b_now"),
    )
    .order_by(_c.ready_at, _c.id)
    .limit(1)
)
_EARLIEST = Ready(_IS_EARLIEST)
_EARLIEST_OF_CAMPAIGN = Ready(_IS_EARLIEST.where(_c.campaign_id == bindparam("b_campaign")))


def earliest_by_hand(connection: Connection, mailbox_id: int, now: datetime) -> Candidate | None:
    """The first ready hand-written message of a lane, tests of a campaign included."""
    return earliest_ready(connection, mailbox_id, Priority.BY_HAND, now)


def earliest_notice(connection: Connection, mailbox_id: int, now: datetime) -> Candidate | None:
    """The first ready notice of a lane."""
    return earliest_ready(connection, mailbox_id, Priority.NOTICE, now)


def earliest_ready(
    connection: Connection,
    mailbox_id: int,
    priority: Priority,
    now: datetime,
    campaign_id: int | None = None,
) -> Candidate | None:
    """The first ready message of a priority in a lane, of one campaign or of any."""
    known: dict[str, object] = {"b_mailbox": mailbox_id, "b_priority": priority, "b_now": now}
    if campaign_id is None:
        return _one(_EARLIEST.first(connection, **known))
    return _one(_EARLIEST_OF_CAMPAIGN.first(connection, **known, b_campaign=campaign_id))


def _one(row: Record | None) -> Candidate | None:
    return None if row is None else _candidate(row)


_NEXT_READY = select(func.min(_c.ready_at, type_=_c.ready_at.type).label("ready_at")).where(
    _c.mailbox_id == bindparam("b_mailbox"), t.is_waiting
)
_OF_PRIORITY = _NEXT_READY.where(_c.priority == bindparam("b_priority"))
_NEXT = Ready(_NEXT_READY)
_NEXT_OF_PRIORITY = Ready(_OF_PRIORITY)
_NEXT_OF_CAMPAIGN = Ready(_OF_PRIORITY.where(_c.campaign_id == bindparam("b_campaign")))


def next_ready_at(
    connection: Connection,
    mailbox_id: int,
    priority: Priority | None = None,
    campaign_id: int | None = None,
) -> datetime | None:
    """When the lane's first waiting row may be tried, of any or one priority, of any or one campaign."""
    found: datetime | None
    if priority is None:
        found = _NEXT.value(connection, b_mailbox=mailbox_id)
    elif campaign_id is None:
        found = _NEXT_OF_PRIORITY.value(connection, b_mailbox=mailbox_id, b_priority=priority)
    else:
        known = {"b_mailbox": mailbox_id, "b_priority": priority, "b_campaign": campaign_id}
        found = _NEXT_OF_CAMPAIGN.value(connection, **known)
    return found


def by_id(connection: Connection, message_id: int) -> Candidate | None:
    row = connection.execute(_CANDIDATE.where(t.message.c.id == message_id)).one_or_none()
    return None if row is None else _candidate(row._mapping)


def by_ids(connection: Connection, message_ids: Sequence[int]) -> dict[int, Candidate]:
    """The messages with these ids."""
    rows = rows_with(connection, _CANDIDATE, t.message.c.id, message_ids)
    return {row.id: _candidate(row._mapping) for row in rows}


_UNSENT_OF = (
    _CANDIDATE.where(
        _c.recipient_id == bindparam("b_recipient"),
        t.is_living_step,
        _c.state.in_((MessageState.SCHEDULED, MessageState.SENDING, MessageState.ERROR, MessageState.HELD)),
    )
    .order_by(_c.step_position.desc())
    .limit(1)
)


def unsent_of(connection: Connection, recipient_id: int) -> Candidate | None:
    """A recipient's unsent message of the latest step."""
    row = connection.execute(_UNSENT_OF, {"b_recipient": recipient_id}).mappings().one_or_none()
    return _one(row)


def thread_before(connection: Connection, recipient_id: int, step_position: int) -> Thread | None:
    """The last message that this recipient was sent before the step."""
    c = t.message.c
    query = (
        select(c.message_id, c.cited_ids, c.subject)
        .where(
            c.recipient_id == recipient_id,
            t.is_living_step,
            c.step_position < step_position,
            c.state.in_((MessageState.SENT, MessageState.HELD)),
        )
        .order_by(c.step_position.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return Thread(row.message_id, tuple(row.cited_ids.split()), row.subject or "")


def of_campaign(campaign_id: int, *, tests: bool = False) -> ColumnElement[bool]:
    """The messages to a campaign's people; with its test messages, everything that names it."""
    named = t.message.c.campaign_id == campaign_id
    return named if tests else and_(named, t.is_living_step)


def of_recipients(recipient_ids: Sequence[int]) -> ColumnElement[bool]:
    """The messages of their campaigns to some recipients, at most a few hundred."""
    return and_(t.message.c.recipient_id.in_(recipient_ids), t.is_living_step)


def change_sender(
    connection: Connection,
    message: Candidate,
    mailbox_id: int,
    from_address: str,
    message_id: str,
    campaign_sender_id: int | None,
) -> bool:
    """Let a waiting message leave from another mailbox; False if it has changed meanwhile."""
    changed = connection.execute(
        update(t.message)
        .where(_c.id == message.id, _c.state == message.state, _c.mailbox_id == message.mailbox_id)
        .values(
            mailbox_id=mailbox_id,
            from_address=from_address,
            message_id=message_id,
            campaign_sender_id=campaign_sender_id,
        )
    )
    return changed.rowcount == 1


def in_lane(mailbox_id: int) -> ColumnElement[bool]:
    """All messages of a mailbox."""
    return t.message.c.mailbox_id == mailbox_id


def in_lane_for(mailbox_id: int, sender_ids: Sequence[int]) -> ColumnElement[bool]:
    """The messages in a mailbox's lane for recipients of some senders."""
    theirs = select(t.recipient.c.id).where(t.recipient.c.campaign_sender_id.in_(sender_ids))
    return and_(in_lane(mailbox_id), t.is_living_step, t.message.c.recipient_id.in_(theirs))


def identify(connection: Connection, message_id: int, mailbox_id: int, token: str, header_id: str) -> None:
    """Give a message the identity of the mail that its recipient had, and the mailbox that it left."""
    known = {"mailbox_id": mailbox_id, "token": token, "message_id": header_id}
    connection.execute(update(t.message).where(t.message.c.id == message_id).values(**known))


def postpone(connection: Connection, message_id: int, until: datetime) -> None:
    """Postpone a scheduled row until an instant; `due_at` stays."""
    connection.execute(
        update(t.message).where(t.message.c.id == message_id, t.is_scheduled).values(ready_at=until)
    )


def set_overdue(connection: Connection, message_id: int, since: datetime) -> None:
    """Park a row that waits for the operator's word (H4)."""
    connection.execute(update(t.message).where(t.message.c.id == message_id).values(overdue_at=since))


def release(
    connection: Connection, now: datetime, *, message_id: int | None = None, campaign_id: int | None = None
) -> int:
    """Release late rows, parked or not; for a campaign, all parked ones."""
    query = update(t.message).where(t.is_scheduled)
    if message_id is not None:
        query = query.where(t.message.c.id == message_id)
    if campaign_id is not None:
        query = query.where(t.message.c.campaign_id == campaign_id, t.message.c.overdue_at.is_not(None))
    return connection.execute(query.values(overdue_at=None, released_at=now)).rowcount
