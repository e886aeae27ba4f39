"""Read models of the outbox: listings, one message in full, and counts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from mailrotate.core.store import tables as t
from mailrotate.core.store import visibility
from mailrotate.core.values.reasons import NOT_CONNECTED
from mailrotate.core.values.states import MessageKind, MessageState, ReplyClass


@dataclass(frozen=True)
class ListedMessage:
    """One row of the outbox, with names where the table has ids."""

    id: int
    state: MessageState
    kind: MessageKind
    mailbox: str
    campaign: str | None
    step: int | None
    to_address: str
    from_address: str
    subject: str | None
    message_id: str
    due_at: datetime
    ready_at: datetime
    overdue_at: datetime | None
    sent_at: datetime | None
    attempts: int
    error_class: str | None
    error_phase: str | None
    error_code: int | None
    error_enhanced: str | None
    error_text: str | None
    error_hint: str | None


@dataclass(frozen=True)
class MessageDetail:
    """One message in full, except its recipient's fields."""

    listed: ListedMessage
    mailbox_id: int
    campaign_id: int | None
    recipient_id: int | None
    planned_at: datetime
    released_at: datetime | None
    claimed_at: datetime | None
    marked_at: datetime | None
    settled_at: datetime | None
    first_failed_at: datetime | None
    runner_id: int | None
    in_reply_to: str | None
    cited_ids: tuple[str, ...]
    content_hash: str | None


# More than a screen shows; each has a line of its own there.
_MOST_UNFIT = 10
_SAME_NAMES = (
    "id", "to_address", "from_address", "subject", "message_id", "due_at", "ready_at", "overdue_at",
    "sent_at", "attempts", "error_class", "error_phase", "error_code", "error_enhanced", "error_text",
    "error_hint",
)  # fmt: skip
_DETAILS = (
    "mailbox_id", "campaign_id", "recipient_id", "planned_at", "released_at", "claimed_at", "marked_at",
    "settled_at", "first_failed_at", "runner_id", "in_reply_to", "content_hash",
)  # fmt: skip


def _query() -> Select[tuple[object, ...]]:
    return (
        select(
            t.message,
            t.mailbox.c.address.label("mailbox_address"),
            t.campaign.c.name.label("campaign_name"),
        )
        .join(t.mailbox, t.mailbox.c.id == t.message.c.mailbox_id)
        .outerjoin(t.campaign, t.campaign.c.id == t.message.c.campaign_id)
    )


def _read(m: dict[str, object]) -> ListedMessage:
    return ListedMessage(
        state=MessageState(str(m["state"])),
        kind=MessageKind(str(m["kind"])),
        mailbox=str(m["mailbox_address"]),
        campaign=m["campaign_name"],  # type: ignore[arg-type]  # a row's mapping is untyped
        step=m["step_position"],  # type: ignore[arg-type]
        **{name: m[name] for name in _SAME_NAMES},  # type: ignore[arg-type]
    )


def _which(mailbox_id: int | None, campaign_id: int | None) -> list[ColumnElement[bool]]:
    asked = ((t.message.c.mailbox_id, mailbox_id), (t.message.c.campaign_id, campaign_id))
    return [column == wanted for column, wanted in asked if wanted is not None]


def listing(
    connection: Connection,
    *,
    state: MessageState | None = None,
    mailbox_id: int | None = None,
    campaign_id: int | None = None,
    seen_by: int | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Iterator[ListedMessage]:
    """List messages by id, streamed; with `seen_by`, only those of the member's campaigns and mailboxes."""
    query = _query().where(*_which(mailbox_id, campaign_id)).order_by(t.message.c.id)
    if state is not None:
        query = query.where(t.message.c.state == state)
    if state in (MessageState.ERROR, MessageState.HELD):
        query = query.where(t.wants_attention)
    if seen_by is not None:
        query = query.where(_is_seen_by(seen_by))
    if after is not None:
        query = query.where(t.message.c.id > after)
    if limit is not None:
        query = query.limit(limit)
    for row in connection.execute(query.execution_options(yield_per=500)):
        yield _read(dict(row._mapping))


def _is_seen_by(user_id: int) -> ColumnElement[bool]:
    return or_(
        t.message.c.campaign_id.in_(visibility.campaigns_of(user_id)),
        t.message.c.mailbox_id.in_(visibility.mailboxes_of(user_id)),
    )


def detail(connection: Connection, message_id: int) -> MessageDetail | None:
    row = connection.execute(_query().where(t.message.c.id == message_id)).one_or_none()
    if row is None:
        return None
    m = dict(row._mapping)
    return MessageDetail(
        listed=_read(m),
        cited_ids=tuple(str(m["cited_ids"]).split()),
        **{name: m[name] for name in _DETAILS},
    )


def foreign_to(connection: Connection, settler: int, ids: Sequence[int]) -> int | None:
    """The first of these messages that belongs neither to the user's mailboxes nor to their campaigns."""
    foreign = ~visibility.is_settled_by(settler)
    query = select(t.message.c.id).where(t.message.c.id.in_(ids), foreign).order_by(t.message.c.id).limit(1)
    return connection.execute(query).scalar_one_or_none()


def retryable(
    connection: Connection,
    *,
    settler: int | None = None,
    mailbox_id: int | None = None,
    campaign_id: int | None = None,
) -> list[int]:
    """The ids in `error`, of a mailbox, a campaign or everywhere; for a `settler`, of what is theirs."""
    theirs = () if settler is None else (visibility.is_settled_by(settler),)
    query = (
        select(t.message.c.id)
        .where(
            t.wants_attention,
            t.message.c.state == MessageState.ERROR,
            *_which(mailbox_id, campaign_id),
            *theirs,
        )
        .order_by(t.message.c.id)
    )
    return [int(found) for found in connection.execute(query).scalars()]


def errors_of_step(connection: Connection, campaign_id: int, step_position: int, error_class: str) -> int:
    query = select(func.count()).where(
        t.message.c.campaign_id == campaign_id,
        t.message.c.state == MessageState.ERROR,
        t.message.c.step_position == step_position,
        t.message.c.error_class == error_class,
    )
    return int(connection.execute(query).scalar_one())


@dataclass(frozen=True)
class UnfitStep:
    """A step that could not be written for `count` recipients, for one reason."""

    campaign: str
    step: int | None
    reason: str
    count: int


def unfit_steps(
    connection: Connection, *, campaign_id: int | None = None, seen_by: int | None = None
) -> list[UnfitStep]:
    """The steps with content errors, most messages first; `seen_by` a member as in `listing`."""
    c = t.message.c
    count = func.count()
    query = (
        select(t.campaign.c.name, c.step_position, c.error_text, count)
        .join(t.campaign, t.campaign.c.id == c.campaign_id)
        .where(
            t.wants_attention,
            c.state == MessageState.ERROR,
            c.error_class == ReplyClass.MESSAGE,
            c.error_phase.is_(None),
            *_which(None, campaign_id),
        )
        .group_by(t.campaign.c.name, c.step_position, c.error_text)
        .order_by(count.desc(), t.campaign.c.name, c.step_position, c.error_text)
        .limit(_MOST_UNFIT)
    )
    if seen_by is not None:
        query = query.where(_is_seen_by(seen_by))
    return [UnfitStep(row[0], row[1], row[2] or "", row[3]) for row in connection.execute(query)]


def attention_counts(connection: Connection, seen_by: int | None = None) -> dict[MessageState, int]:
    """How many messages are in error, and how many are held; `seen_by` a member as in `listing`.

    Messages that only lack their mailbox are left out: they go on with it.
    """
    c = t.message.c
    is_cut_off = and_(c.state == MessageState.ERROR, func.coalesce(c.error_class, "") == NOT_CONNECTED)
    query = select(c.state, func.count()).where(t.wants_attention, ~is_cut_off).group_by(c.state)
    if seen_by is not None:
        query = query.where(_is_seen_by(seen_by))
    return {MessageState(state): count for state, count in connection.execute(query)}


def waits_in(connection: Connection, campaign_id: int) -> bool:
    """Whether a campaign has scheduled messages or messages being sent."""
    c = t.message.c
    states = (MessageState.SCHEDULED, MessageState.SENDING)
    query = select(c.id).where(c.campaign_id == campaign_id, c.state.in_(states)).limit(1)
    return connection.execute(query).first() is not None


@dataclass(frozen=True)
class Ours:
    """One of our messages, recognised by its Message-ID's token."""

    id: int
    message_id: str
    state: MessageState
    kind: MessageKind
    campaign_id: int | None
    recipient_id: int | None
    to_address: str


def by_unsubscribe_token(connection: Connection, token: str, *, of_message_id: bool) -> list[Ours]:
    """Find the message whose recipient may unsubscribe with this token.

    `of_message_id` also takes that of a Message-ID, for messages that have none of their own.
    """
    own = t.message.c.unsubscribe_token
    found = _ours(connection, own == token)
    return found or (
        _ours(connection, and_(t.message.c.token == token, own.is_(None))) if of_message_id else []
    )


def by_tokens(connection: Connection, tokens: Sequence[str]) -> list[Ours]:
    return _ours(connection, t.message.c.token.in_(tokens))


def _ours(connection: Connection, which: ColumnElement[bool]) -> list[Ours]:
    query = select(
        *(
            t.message.c[name]
            for name in ("id", "message_id", "state", "kind", "campaign_id", "recipient_id", "to_address")
        )
    ).where(which)
    return [
        Ours(row[0], row[1], MessageState(row[2]), MessageKind(row[3]), row[4], row[5], row[6])
        for row in connection.execute(query)
    ]
