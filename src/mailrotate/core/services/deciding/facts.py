"""Gather the facts on which the gates decide."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import provider_limits, quota
from mailrotate.core.rules.situation import (
    CampaignFacts,
    MailboxFacts,
    MessageFacts,
    Obstacle,
    RollingUse,
    Situation,
)
from mailrotate.core.rules.window import next_open
from mailrotate.core.services import periods
from mailrotate.core.services.context import Context
from mailrotate.core.store import campaigns, connections, deadlines, mailboxes, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.people.suppressions import Suppressed
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.reasons import NO_SENDER
from mailrotate.core.values.states import (
    ConnectionState,
    DeadlineKind,
    Departure,
    MessageKind,
    Priority,
    UserState,
)

# A window looks this many years ahead for holidays; a campaign rarely waits longer.
_HOLIDAY_YEARS = 2
RECIPIENT_ZONE = "recipient"


@dataclass(frozen=True)
class _Sent:
    """What was counted for a mailbox: its day, that of its slot, and each limit of its provider.

    `may_rejoin`: it is disconnected, and its hour in some campaign goes on.
    `pauses_campaign`: it is away, and that pauses a campaign.
    """

    today: int
    slot_today: int
    rolling: tuple[RollingUse, ...]
    may_rejoin: bool
    pauses_campaign: bool


def mailbox_facts(connection: Connection, box: SendingMailbox, now: datetime) -> MailboxFacts:
    """The mailbox's state and its sent messages, counted in this transaction."""
    start, _ = _day_of(box, now)
    sent = _Sent(
        today=mailboxes.sent_since(connection, box.id, start),
        slot_today=mailboxes.sent_through_slot_since(connection, box.slot_id, start),
        rolling=rolling_of(connection, box, now),
        may_rejoin=box.state is ConnectionState.DISCONNECTED
        and deadlines.is_any(connection, deadlines.of_mailbox(box.id, DeadlineKind.DISCONNECT)),
        pauses_campaign=bool(_pausing(connection, [box])),
    )
    return _facts_of(box, sent, now, None)


def rolling_of(connection: Connection, box: SendingMailbox, now: datetime) -> tuple[RollingUse, ...]:
    """Count what the mailbox's provider limits."""
    overrides = provider_limits.overrides_in(workspaces.settings(connection))
    return tuple(
        RollingUse(
            limit.description,
            limit.period,
            mailboxes.nth_latest_send(connection, box.id, limit.limit, now - limit.period),
        )
        for limit in provider_limits.limits_for(box.provider, overrides, box.address)
    )


def facts_of_mailboxes(
    connection: Connection, boxes: Sequence[SendingMailbox], now: datetime, obstacle: Obstacle | None
) -> dict[int, MailboxFacts]:
    """Like `mailbox_facts` for many mailboxes, in as few statements as for one.

    Readers pass `obstacle`; a sender meets it before it takes a lane.
    """
    starts = {box.id: _day_of(box, now)[0] for box in boxes}
    slots = {box.id: (box.slot_id, starts[box.id]) for box in boxes}
    today = mailboxes.sent_since_each(connection, starts)
    slot_today = mailboxes.sent_through_slots_since(connection, list(dict.fromkeys(slots.values())))
    away = [box.id for box in boxes if box.state is ConnectionState.DISCONNECTED]
    rejoining = deadlines.mailboxes_with(connection, away, DeadlineKind.DISCONNECT)
    pausing = _pausing(connection, boxes)
    rolling = _rolling_of_each(connection, boxes, now)
    return {
        box.id: _facts_of(
            box,
            _Sent(
                today=today.get(box.id, 0),
                slot_today=slot_today.get(slots[box.id], 0),
                rolling=tuple(rolling[box.id]),
                may_rejoin=box.id in rejoining,
                pauses_campaign=box.id in pausing,
            ),
            now,
            obstacle,
        )
        for box in boxes
    }


def _pausing(connection: Connection, boxes: Sequence[SendingMailbox]) -> set[int]:
    away = {box.id: box.slot_id for box in boxes if box.state is not ConnectionState.CONNECTED}
    return connections.pausing(connection, away, NO_SENDER) if away else set()


def _rolling_of_each(
    connection: Connection, boxes: Sequence[SendingMailbox], now: datetime
) -> dict[int, list[RollingUse]]:
    """Count for each mailbox what its provider limits; one statement for each limit."""
    overrides = provider_limits.overrides_in(workspaces.settings(connection))
    limits = {box.id: provider_limits.limits_for(box.provider, overrides, box.address) for box in boxes}
    bound: dict[tuple[int, timedelta], list[int]] = {}
    for mailbox_id, each in limits.items():
        for limit in each:
            bound.setdefault((limit.limit, limit.period), []).append(mailbox_id)
    nth = {
        (n, period): mailboxes.nth_latest_sends(connection, lanes, n, now - period)
        for (n, period), lanes in bound.items()
    }
    return {
        mailbox_id: [
            RollingUse(limit.description, limit.period, nth[limit.limit, limit.period].get(mailbox_id))
            for limit in each
        ]
        for mailbox_id, each in limits.items()
    }


def _day_of(box: SendingMailbox, now: datetime) -> tuple[datetime, datetime]:
    return quota.day_of(now, box.settings.timezone, box.settings.day_from, box.settings.day_until)


def _facts_of(box: SendingMailbox, sent: _Sent, now: datetime, obstacle: Obstacle | None) -> MailboxFacts:
    start, end = _day_of(box, now)
    daily_limit, ramp_day = box.settings.limit_of_day(start)
    return MailboxFacts(
        address=box.address,
        connection=box.state,
        # A disconnect ends the trouble of before.
        connection_error=None if box.state is ConnectionState.DISCONNECTED else box.health.last_error,
        locked_user=box.user_email if box.user_state is UserState.LOCKED else None,
        paused_at=box.health.paused_at,
        hold_reason=box.health.hold_reason,
        hold_until=box.health.hold_until,
        daily_limit=daily_limit,
        sent_today=sent.today,
        day_ends_at=end,
        daily_cap=box.settings.daily_cap,
        slot_sent_today=sent.slot_today,
        rolling=sent.rolling,
        next_send_at=box.next_send_at,
        inbox_read_at=box.inbox.read_at,
        inbox_failing_since=box.inbox.failing_since,
        inbox_error=box.inbox.error,
        ramp_day=ramp_day,
        obstacle=obstacle,
        hold_class=box.health.hold_class,
        may_rejoin=sent.may_rejoin,
        pauses_campaign=sent.pauses_campaign,
    )


def campaign_facts(
    context: Context, campaign: StoredCampaign, workspace_zone: str, now: datetime
) -> CampaignFacts:
    window = window_of(context, campaign, workspace_zone, now)
    is_own = campaign.timezone != RECIPIENT_ZONE or window.unusable is not None
    return CampaignFacts(campaign.name, campaign.state, campaign.pause_reasons, window if is_own else None)


def window_of(
    context: Context,
    campaign: StoredCampaign,
    workspace_zone: str,
    now: datetime,
    recipient_zone: str | None = None,
) -> DeliveryWindow:
    """The campaign's window, in its own zone or the recipient's, as the campaign says (D4)."""
    zone = campaign.timezone or workspace_zone
    if zone == RECIPIENT_ZONE:
        zone = recipient_zone or workspace_zone
    window = DeliveryWindow.from_json({**json.loads(campaign.window), "zone": zone})
    try:
        return replace(window, closed_on=_closed_on(context, json.loads(campaign.holidays), now))
    except BadInput as trouble:
        # The package was uninstalled, or dropped this code: send nothing rather than on a holiday.
        return replace(window, unusable=trouble.sentence)


def _closed_on(context: Context, holidays: str | Sequence[str] | None, now: datetime) -> frozenset[date]:
    if not holidays:
        return frozenset()
    if isinstance(holidays, str):
        return context.holidays.dates(holidays, range(now.year, now.year + _HOLIDAY_YEARS + 1))
    return frozenset(date.fromisoformat(day) for day in holidays)


@dataclass(frozen=True)
class Absences:
    """When no runner ran, and the lateness that is allowed (H4)."""

    allowed: timedelta
    times: Sequence[tuple[datetime, datetime]]

    @property
    def late_before(self) -> datetime | None:
        """The instant after which due messages are not late; None if no absence was noted."""
        return max((back - self.allowed for _, back in self.times), default=None)


def latest(*instants: datetime | None) -> datetime | None:
    """The latest of the instants that are known."""
    return max((instant for instant in instants if instant is not None), default=None)


def absences_in(connection: Connection) -> Absences:
    """Return the absences that passes have noted (H4)."""
    return Absences(periods.period(connection, "lateness"), workspaces.absences(connection))


def absence_until(connection: Connection, now: datetime) -> tuple[datetime, datetime] | None:
    """The time without a pass that sends before `now`, if it is longer than the allowed lateness."""
    workspace = workspaces.find(connection)
    last = None if workspace is None else workspace.last_sending_pass_at
    if last is None or now - last <= periods.period(connection, "lateness"):
        return None
    return last, now


def absences_foreseen(connection: Connection, now: datetime) -> Absences:
    """The absences as the next pass will know them, for readers: what it will park is late already."""
    known = absences_in(connection)
    present = absence_until(connection, now)
    return known if present is None else replace(known, times=(*known.times, present))


def message_facts(
    context: Context,
    connection: Connection,
    message: Candidate,
    box: SendingMailbox,
    campaign: StoredCampaign | None,
    now: datetime,
    absences: Absences | None = None,
) -> MessageFacts:
    """Gather the facts for the recipient's gates; pass `absences` if already known."""
    suppression = None
    if message.kind is MessageKind.CAMPAIGN:
        suppression = suppressions.covering(connection, message.to_address)
    known = absences or absences_in(connection)
    return facts_of_message(context, message, box, campaign, suppression, now, known)


def facts_of_message(
    context: Context,
    message: Candidate,
    box: SendingMailbox,
    campaign: StoredCampaign | None,
    suppression: Suppressed | None,
    now: datetime,
    absences: Absences,
) -> MessageFacts:
    """Gather the same facts when absences and suppression are known."""
    window = None
    if campaign is not None and campaign.timezone == RECIPIENT_ZONE and message.kind is MessageKind.CAMPAIGN:
        zone = box.settings.workspace_timezone
        window = window_of(context, campaign, zone, now, message.recipient_timezone)
    is_parked = message.parked_before is not None and message.due_at < message.parked_before
    return MessageFacts(
        id=message.id or None,
        is_follow_up=message.priority is Priority.FOLLOW_UP,
        is_notice=message.kind is MessageKind.NOTICE,
        due_at=message.due_at,
        ready_at=message.ready_at,
        released_at=message.released_at,
        # A parked row stays parked until it is released, even if later settings would not park it.
        late_since=(message.due_at if is_parked else message.overdue_at)
        or _late_since(context, message, box, campaign, absences),
        is_parked=is_parked,
        last_error=message.error_text,
        unfit_campaign=None if campaign is None or not message.is_unfit else campaign.name,
        state=message.state,
        sender_is_away=message.sender_left_reason == Departure.DISCONNECTED,
        recipient=message.recipient_state,
        recipient_reason=message.recipient_reason,
        suppression=_in_words(suppression, message.to_address),
        window=window,
    )


def suppression_of(connection: Connection, address: str) -> tuple[str, str] | None:
    """Find the suppression of an address: the address or domain, and the reason."""
    return _in_words(suppressions.covering(connection, address), address)


def _in_words(found: Suppressed | None, address: str) -> tuple[str, str] | None:
    # Of an erased contact only the hash of the address is kept.
    return None if found is None else (found.value or address, found.reason)


def _late_since(
    context: Context,
    message: Candidate,
    box: SendingMailbox,
    campaign: StoredCampaign | None,
    absences: Absences,
) -> datetime | None:
    """Return since when the message only lacked a runner, if that made it later than allowed (H4).

    Pauses, holds and a broken connection do not count: the clock starts at the latest of their ends.
    """
    if message.kind is not MessageKind.CAMPAIGN or campaign is None:
        return None
    others = (campaign.started_at, campaign.resumed_at, box.health.connected_at, box.health.hold_until)
    ready = max(message.due_at, *(instant for instant in others if instant is not None))
    for gone, back in absences.times:
        if ready >= back:
            continue
        zone = message.recipient_timezone
        window = window_of(context, campaign, box.settings.workspace_timezone, gone, zone)
        possible = next_open(window, max(ready, gone))
        if possible is not None and back - possible > absences.allowed:
            return possible
    return None


def situation_of(
    context: Context, connection: Connection, message: Candidate, now: datetime
) -> tuple[Situation, SendingMailbox]:
    """All facts about one message, for `why` and for a claim of just this one."""
    box = sending_mailboxes.by_id(connection, message.mailbox_id)
    campaign = None if message.campaign_id is None else campaigns.by_id(connection, message.campaign_id)
    bound = None
    if campaign is not None and message.kind is MessageKind.CAMPAIGN:
        bound = campaign_facts(context, campaign, box.settings.workspace_timezone, now)
    return (
        Situation(
            bound,
            mailbox_facts(connection, box, now),
            message_facts(context, connection, message, box, campaign, now),
        ),
        box,
    )
