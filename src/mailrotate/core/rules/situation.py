"""The facts on which gates decide: of the campaign, the mailbox and the message."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mailrotate.core.values.delivery_window import DeliveryWindow
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import CampaignState, ConnectionState, MessageState, RecipientState


@dataclass(frozen=True)
class CampaignFacts:
    name: str
    state: CampaignState
    pause_reasons: tuple[str, ...]
    # None when each recipient has a window of their own zone, unless none of them can be known.
    window: DeliveryWindow | None


@dataclass(frozen=True)
class RollingUse:
    """A provider's rolling limit, and the instant at which the last place was taken (None: room left)."""

    description: str
    period: timedelta
    full_since: datetime | None


@dataclass(frozen=True)
class Obstacle:
    """What keeps every mailbox of the workspace from sending, with its stable code."""

    code: str
    reason: str
    remedy: AnyHint | None = None


@dataclass(frozen=True)
class MailboxFacts:
    address: str
    connection: ConnectionState
    connection_error: str | None
    # The address of its user while they are locked.
    locked_user: str | None
    paused_at: datetime | None
    hold_reason: str | None
    hold_until: datetime | None
    daily_limit: int
    sent_today: int
    day_ends_at: datetime
    # The plan's cap counts what left through the slot under any address (B4).
    daily_cap: int
    slot_sent_today: int
    rolling: tuple[RollingUse, ...]
    next_send_at: datetime | None
    inbox_read_at: datetime | None
    inbox_failing_since: datetime | None
    inbox_error: str | None
    # The day of the ramp-up, if the ramp-up sets the limit (B4).
    ramp_day: int | None = None
    obstacle: Obstacle | None = None
    # The class of the answer that caused the hold, or `refusals`.
    hold_class: str | None = None
    # Disconnected, and its hour runs in a rotation (C8).
    may_rejoin: bool = False
    # Not connected, and a campaign is paused until it is.
    pauses_campaign: bool = False

    def is_on_hold(self, now: datetime) -> bool:
        return self.hold_reason is not None and (self.hold_until is None or now < self.hold_until)


@dataclass(frozen=True)
class Lack:
    """Why no mailbox is assigned to a recipient, and the command that changes it."""

    reason: str
    remedy: Command | None = None


@dataclass(frozen=True)
class MessageFacts:
    is_follow_up: bool
    due_at: datetime
    ready_at: datetime
    # None for a message that would be planned next.
    id: int | None = None
    released_at: datetime | None = None
    # Since when only a runner was missing, if that made the message too late (H4).
    late_since: datetime | None = None
    # A user parked it because it was late (H4).
    is_parked: bool = False
    last_error: str | None = None
    # The campaign whose text could not be written for this message.
    unfit_campaign: str | None = None
    state: MessageState = MessageState.SCHEDULED
    # False if no mailbox can send it yet.
    is_assigned: bool = True
    lack: Lack | None = None
    # Its mailbox was disconnected and has not been added to the campaign's senders again (C8).
    sender_is_away: bool = False
    recipient: RecipientState | None = None
    recipient_reason: str | None = None
    # The suppressed address or domain, and the reason.
    suppression: tuple[str, str] | None = None
    window: DeliveryWindow | None = None
    # A notice to a user: limits of the day do not hold it back (C10).
    is_notice: bool = False


@dataclass(frozen=True)
class Situation:
    """Everything that decides; parts that do not apply are None."""

    campaign: CampaignFacts | None
    mailbox: MailboxFacts | None
    message: MessageFacts | None
