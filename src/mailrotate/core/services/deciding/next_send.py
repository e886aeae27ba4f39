"""Find when a lane or a campaign may send next, and which gates are closed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection

from mailrotate.core.rules.decision import Decision, decide
from mailrotate.core.rules.situation import CampaignFacts, MailboxFacts, Obstacle, Situation
from mailrotate.core.rules.steps import priority_of
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.store import campaigns, senders
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.people import due_recipients, recipients
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.store.sending import outbox, sending_mailboxes
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.states import MessageKind, MessageState, Priority

_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass
class Prospects:
    """Answers several questions in one transaction; facts of campaigns and mailboxes are gathered once."""

    context: Context
    connection: Connection
    now: datetime
    obstacle: Obstacle | None = None
    _campaigns: dict[int, StoredCampaign] = field(default_factory=dict)
    _boxes: dict[int, SendingMailbox] = field(default_factory=dict)
    _campaign_facts: dict[int, CampaignFacts] = field(default_factory=dict)
    _mailbox_facts: dict[int, MailboxFacts] = field(default_factory=dict)
    _absences: facts.Absences | None = None

    def campaign(self, campaign_id: int) -> StoredCampaign:
        if campaign_id not in self._campaigns:
            self._campaigns[campaign_id] = campaigns.by_id(self.connection, campaign_id)
        return self._campaigns[campaign_id]

    def box(self, mailbox_id: int) -> SendingMailbox:
        if mailbox_id not in self._boxes:
            self._boxes[mailbox_id] = sending_mailboxes.by_id(self.connection, mailbox_id)
        return self._boxes[mailbox_id]

    @property
    def boxes(self) -> list[SendingMailbox]:
        """The mailboxes that were looked at."""
        return list(self._boxes.values())

    @property
    def absences(self) -> facts.Absences:
        if self._absences is None:
            self._absences = facts.absences_foreseen(self.connection, self.now)
        return self._absences

    def mailbox_facts(self, mailbox_id: int) -> MailboxFacts:
        if mailbox_id not in self._mailbox_facts:
            found = facts.mailbox_facts(self.connection, self.box(mailbox_id), self.now, self.obstacle)
            self._mailbox_facts[mailbox_id] = found
        return self._mailbox_facts[mailbox_id]

    def campaign_facts(self, campaign_id: int, workspace_zone: str) -> CampaignFacts:
        if campaign_id not in self._campaign_facts:
            found = facts.campaign_facts(self.context, self.campaign(campaign_id), workspace_zone, self.now)
            self._campaign_facts[campaign_id] = found
        return self._campaign_facts[campaign_id]

    def situation(self, message: Candidate) -> Situation:
        """All facts about one message, planned or not."""
        box = self.box(message.mailbox_id)
        campaign = None if message.campaign_id is None else self.campaign(message.campaign_id)
        bound = None
        if campaign is not None and message.kind is MessageKind.CAMPAIGN:
            bound = self.campaign_facts(campaign.id, box.settings.workspace_timezone)
        known = facts.message_facts(
            self.context, self.connection, message, box, campaign, self.now, self.absences
        )
        return Situation(bound, self.mailbox_facts(box.id), known)

    def decide(self, message: Candidate) -> Decision:
        return decide(self.situation(message), self.now)

    def of_lane(self, mailbox_id: int) -> Decision | None:
        """The decision on a lane's first message; None if nothing waits."""
        box = self.box(mailbox_id)
        waiting = list(self._by_hand(box))
        for campaign in campaigns.active_in_lane(self.connection, box.id, box.slot_id):
            waiting += self.first_of_campaign(campaign, box.id)
        return earliest([self.decide(message) for message in waiting])

    def _by_hand(self, box: SendingMailbox) -> Iterator[Candidate]:
        for find in (outbox.earliest_notice, outbox.earliest_by_hand):
            found = find(self.connection, box.id, _FAR)
            if found is not None:
                yield found

    def first_of_campaign(self, campaign: StoredCampaign, mailbox_id: int) -> list[Candidate]:
        """A campaign's earliest messages in a lane, one of each priority; behind those that are late also
        the earliest that are not."""
        of_lane = [
            sender
            for sender in senders.senders_of(self.connection, campaign.id)
            if sender.mailbox_id == mailbox_id
        ]
        found = list(self._first_since(campaign, mailbox_id, of_lane, None))
        late_before = facts.latest(self.absences.late_before, *(sender.parked_before for sender in of_lane))
        if late_before is not None and found:
            found += self._first_since(campaign, mailbox_id, of_lane, late_before)
        return found

    def _first_since(
        self,
        campaign: StoredCampaign,
        mailbox_id: int,
        of_lane: Sequence[StoredSender],
        since: datetime | None,
    ) -> Iterator[Candidate]:
        found = [
            outbox.earliest_ready(self.connection, mailbox_id, campaign.id, priority, _FAR, since)
            for priority in (Priority.FOLLOW_UP, Priority.FIRST)
        ]
        for sender in of_lane:
            found += [self._unplanned(campaign, sender, kind, since) for kind in (True, False)]
        return (message for message in found if message is not None)

    def _unplanned(
        self, campaign: StoredCampaign, sender: StoredSender, follow_ups: bool, since: datetime | None
    ) -> Candidate | None:
        people = due_recipients.due_in_lane(self.connection, sender.id, _FAR, follow_ups, 1, since)
        if not people:
            return None
        person = recipients.by_id(self.connection, people[0].id)
        return None if person is None else self.next_message(campaign, person, sender)

    def next_message(
        self, campaign: StoredCampaign, person: recipients.StoredRecipient, sender: StoredSender | None
    ) -> Candidate | None:
        """The message that would be planned next for a recipient; None if no mailbox would send it."""
        steps = campaigns.steps_of(self.connection, campaign.id, campaign.version)
        step = next((step for step in steps if step.position == person.next_step), None)
        mailbox_id = None if sender is None else sender.mailbox_id
        if step is not None and step.sender_mailbox_id is not None:
            mailbox_id = step.sender_mailbox_id
        if mailbox_id is None:
            return None
        due_at = person.next_at or self.now
        return Candidate(
            id=0,
            kind=MessageKind.CAMPAIGN,
            state=MessageState.SCHEDULED,
            priority=priority_of(person.next_step),
            mailbox_id=mailbox_id,
            campaign_id=campaign.id,
            campaign_sender_id=None if sender is None else sender.id,
            recipient_id=person.id,
            step_position=person.next_step,
            to_address=person.email,
            from_address=self.box(mailbox_id).address,
            message_id="",
            token="",
            own_fields=None,
            due_at=due_at,
            ready_at=due_at,
            recipient_state=person.state,
            recipient_reason=person.reason,
            recipient_timezone=person.timezone,
            sender_left_reason=None if sender is None else sender.left_reason,
            parked_before=None if sender is None else sender.parked_before,
        )


def earliest(decisions: list[Decision]) -> Decision | None:
    """The decision that opens first; those that need a user's action come last."""
    timed = [decision for decision in decisions if decision.next_at is not None]
    return min(timed, key=lambda decision: decision.next_at or _FAR, default=next(iter(decisions), None))
