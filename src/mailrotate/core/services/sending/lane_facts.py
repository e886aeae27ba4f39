"""Facts for the claims of a lane, kept from one claim to the next until something changes them.

The facts are read inside the transaction of a claim, and belong to the version of the database that it sees.
While the version stays, nobody has written but lanes to single messages; what time alone changes is asked
again at each claim, or ends the facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules.decision import first_closed
from mailrotate.core.rules.situation import MailboxFacts, Situation
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.deciding.facts import Absences
from mailrotate.core.services.sending.rendering import Letterhead, letterhead_of
from mailrotate.core.store import campaigns, deadlines
from mailrotate.core.store.campaigns import Pace, StoredCampaign
from mailrotate.core.store.group_commit import Block, Version
from mailrotate.core.store.sending import outbox, sending_mailboxes
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.states import Priority

_MINUTE = timedelta(minutes=1)


@dataclass
class LaneFacts:
    """The facts of one lane; `campaigns` are those whose own gates are open."""

    box: SendingMailbox
    mailbox: MailboxFacts
    campaigns: dict[int, StoredCampaign]
    absences: Absences
    # When the first open deadline ends; None if none is open.
    deadline_at: datetime | None
    may_be_kept: bool = field(default=True, compare=False)
    # By priority and campaign: no message is ready before this instant; None: none is planned.
    _idle: dict[tuple[Priority, int | None], datetime | None] = field(default_factory=dict, compare=False)
    _letterhead: Letterhead | None = field(default=None, compare=False)
    _sequences: dict[int, Sequence[Pace]] = field(default_factory=dict, compare=False)

    @property
    def has_no_gap(self) -> bool:
        """Whether the mailbox has no gap set and none running."""
        return not self.box.settings.gap and self.mailbox.next_send_at is None

    def letterhead(self, connection: Connection) -> Letterhead:
        """Who the messages are from."""
        self._letterhead = self._letterhead or letterhead_of(connection, self.box)
        return self._letterhead

    def sequence(self, connection: Connection, campaign_id: int) -> Sequence[Pace]:
        """The steps of a campaign, without their texts."""
        if campaign_id not in self._sequences:
            self._sequences[campaign_id] = campaigns.sequence_of(connection, campaign_id)
        return self._sequences[campaign_id]

    def earliest(
        self, connection: Connection, priority: Priority, now: datetime, campaign_id: int | None = None
    ) -> Candidate | None:
        """The first ready message of a priority, of one campaign or of any."""
        key = priority, campaign_id
        if key in self._idle:
            ready_at = self._idle[key]
            if ready_at is None or now < ready_at:
                return None
        found = outbox.earliest_ready(connection, self.box.id, priority, now, campaign_id)
        if found is None and self.may_be_kept:
            self._idle[key] = outbox.next_ready_at(connection, self.box.id, priority, campaign_id)
        return found

    def recount(self, connection: Connection, now: datetime) -> None:
        """Count the messages within the provider's limits again: room becomes free at any instant."""
        if self.mailbox.rolling:
            rolling = facts.rolling_of(connection, self.box, now)
            self.mailbox = replace(self.mailbox, rolling=rolling)

    def count_one(self) -> None:
        """Count a message that was claimed."""
        self.mailbox = replace(
            self.mailbox,
            sent_today=self.mailbox.sent_today + 1,
            slot_sent_today=self.mailbox.slot_sent_today + 1,
        )


def gather(context: Context, block: Block, mailbox_id: int, now: datetime) -> LaneFacts:
    """Read the facts of a lane."""
    connection = block.connection
    box = sending_mailboxes.by_id(connection, mailbox_id)
    known = facts.mailbox_facts(connection, box, now)
    running = open_campaigns(context, connection, box, now)
    absences, deadline_at = facts.absences_in(connection), deadlines.earliest_end(connection)
    return LaneFacts(box, known, running, absences, deadline_at, block.version is not None)


def open_campaigns(
    context: Context, connection: Connection, box: SendingMailbox, now: datetime
) -> dict[int, StoredCampaign]:
    """The campaigns of a lane whose own gates are open."""
    zone, found = box.settings.workspace_timezone, {}
    for campaign in campaigns.active_in_lane(connection, box.id, box.slot_id):
        known = facts.campaign_facts(context, campaign, zone, now)
        if first_closed(Situation(known, None, None), now) is None:
            found[campaign.id] = campaign
    return found


class KeptFacts:
    """The facts of a lane's latest claim, and how long they hold."""

    def __init__(self) -> None:
        self._facts: LaneFacts | None = None
        self._version: Version | None = None
        self._since = self._until = datetime.min.replace(tzinfo=UTC)

    def find(self, version: Version | None, now: datetime) -> LaneFacts | None:
        """The facts if they still hold."""
        if version is None or version != self._version or not self._since <= now < self._until:
            return None
        return self._facts

    def keep(self, version: Version | None, found: LaneFacts, now: datetime) -> None:
        """Keep the facts that a claim in this transaction went by."""
        if found is self._facts and version == self._version:
            return
        self._facts, self._version, self._since = found, version, now
        # Days begin and windows open and close with whole minutes.
        self._until = now.replace(second=0, microsecond=0) + _MINUTE
        if found.deadline_at is not None:
            self._until = min(self._until, found.deadline_at)

    def forget(self) -> None:
        """Drop the facts: they changed, or the transaction that read them may be lost."""
        self._facts = None
