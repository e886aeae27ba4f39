"""Find when a lane or a campaign may send next, and which gates are closed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from sqlalchemy import Connection

from mailrotate.core.rules.decision import Decision, decide
from mailrotate.core.rules.situation import CampaignFacts, MailboxFacts, Obstacle, Situation
from mailrotate.core.rules.steps import priority_of
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.store import campaigns, senders
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.people import recipients, suppressions
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.store.people.suppressions import Suppressed
from mailrotate.core.store.senders import StoredSender
from mailrotate.core.store.sending import lane_fronts, sending_mailboxes
from mailrotate.core.store.sending.lane_fronts import Front
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.states import MessageKind, MessageState, Priority

_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass
class Prospects:
    """Answers several questions in one transaction; facts are gathered once.

    Questions about many lanes take as few statements as those about one.
    """

    context: Context
    connection: Connection
    now: datetime
    obstacle: Obstacle | None = None
    _campaigns: dict[int, StoredCampaign] = field(default_factory=dict)
    _steps: dict[int, list[StoredStep]] = field(default_factory=dict)
    _boxes: dict[int, SendingMailbox] = field(default_factory=dict)
    _campaign_facts: dict[int, CampaignFacts] = field(default_factory=dict)
    _mailbox_facts: dict[int, MailboxFacts] = field(default_factory=dict)
    _absences: facts.Absences | None = None

    def campaign(self, campaign_id: int) -> StoredCampaign:
        self._know_campaigns([campaign_id])
        return self._campaigns[campaign_id]

    def box(self, mailbox_id: int) -> SendingMailbox:
        self._know_boxes([mailbox_id])
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
        self.know_mailboxes([mailbox_id])
        return self._mailbox_facts[mailbox_id]

    def know_mailboxes(self, mailbox_ids: Sequence[int]) -> None:
        """Gather the facts of many mailboxes together."""
        self._know_boxes(mailbox_ids)
        boxes = [self._boxes[one] for one in dict.fromkeys(mailbox_ids) if one not in self._mailbox_facts]
        if boxes:
            found = facts.facts_of_mailboxes(self.connection, boxes, self.now, self.obstacle)
            self._mailbox_facts |= found

    def _know_boxes(self, mailbox_ids: Sequence[int]) -> None:
        new = [one for one in dict.fromkeys(mailbox_ids) if one not in self._boxes]
        if new:
            self._boxes |= {box.id: box for box in sending_mailboxes.by_ids(self.connection, new)}

    def _know_campaigns(self, campaign_ids: Sequence[int]) -> None:
        new = [one for one in dict.fromkeys(campaign_ids) if one not in self._campaigns]
        if new:
            self._campaigns |= {one.id: one for one in campaigns.by_ids(self.connection, new)}

    def _know_steps(self, campaign_ids: Sequence[int]) -> None:
        new = [one for one in dict.fromkeys(campaign_ids) if one not in self._steps]
        if new:
            self._steps |= campaigns.current_steps(self.connection, new)

    def campaign_facts(self, campaign_id: int, workspace_zone: str) -> CampaignFacts:
        if campaign_id not in self._campaign_facts:
            found = facts.campaign_facts(self.context, self.campaign(campaign_id), workspace_zone, self.now)
            self._campaign_facts[campaign_id] = found
        return self._campaign_facts[campaign_id]

    def situation(self, message: Candidate) -> Situation:
        """All facts about one message, planned or not."""
        return self._situations([message])[0]

    def decide(self, message: Candidate) -> Decision:
        return self.decide_each([message])[0]

    def decide_each(self, messages: Sequence[Candidate]) -> list[Decision]:
        return [decide(situation, self.now) for situation in self._situations(messages)]

    def _situations(self, messages: Sequence[Candidate]) -> list[Situation]:
        self.know_mailboxes([message.mailbox_id for message in messages])
        self._know_campaigns([one.campaign_id for one in messages if one.campaign_id is not None])
        to = {message.to_address for message in messages if message.kind is MessageKind.CAMPAIGN}
        suppressed = suppressions.covering_each(self.connection, to)
        return [self._situation(message, suppressed) for message in messages]

    def _situation(self, message: Candidate, suppressed: Mapping[str, Suppressed]) -> Situation:
        box = self._boxes[message.mailbox_id]
        campaign = None if message.campaign_id is None else self._campaigns[message.campaign_id]
        bound = suppression = None
        if message.kind is MessageKind.CAMPAIGN:
            suppression = suppressed.get(message.to_address)
            if campaign is not None:
                bound = self.campaign_facts(campaign.id, box.settings.workspace_timezone)
        known = facts.facts_of_message(
            self.context, message, box, campaign, suppression, self.now, self.absences
        )
        return Situation(bound, self._mailbox_facts[box.id], known)

    def of_lane(self, mailbox_id: int) -> Decision | None:
        """The decision on a lane's first message; None if nothing waits."""
        return self.of_lanes([mailbox_id])[mailbox_id]

    def of_lanes(self, mailbox_ids: Sequence[int]) -> dict[int, Decision | None]:
        """The decision on the first message of each lane; None where nothing waits."""
        self._know_boxes(mailbox_ids)
        waiting: dict[int, list[Candidate]] = {mailbox_id: [] for mailbox_id in mailbox_ids}
        for priority in (Priority.NOTICE, Priority.BY_HAND):
            by_hand = lane_fronts.first_in_lanes(self.connection, mailbox_ids, priority)
            for mailbox_id, message in by_hand.items():
                waiting[mailbox_id].append(message)
        slots = {mailbox_id: self._boxes[mailbox_id].slot_id for mailbox_id in mailbox_ids}
        active = campaigns.active_in_lanes(self.connection, slots)
        self._campaigns |= {one.id: one for of_lane in active.values() for one in of_lane}
        fronts = [Front(lane, one.id) for lane, of_lane in active.items() for one in of_lane]
        for front, messages in self.first_of_campaigns(fronts).items():
            waiting[front.mailbox_id] += messages
        decisions = iter(self.decide_each([message for each in waiting.values() for message in each]))
        return {lane: earliest(list(islice(decisions, len(each)))) for lane, each in waiting.items()}

    def first_of_campaigns(self, fronts: Sequence[Front]) -> dict[Front, list[Candidate]]:
        """The earliest messages of campaigns in lanes, one of each priority; behind those that are late
        also the earliest that are not."""
        self._know_campaigns([front.campaign_id for front in fronts])
        self._know_steps([front.campaign_id for front in fronts])
        known = senders.senders_of_each(self.connection, list({front.campaign_id for front in fronts}))
        of_front = {
            front: [one for one in known[front.campaign_id] if one.mailbox_id == front.mailbox_id]
            for front in fronts
        }
        found = self._first_since(of_front, dict.fromkeys(fronts))
        since: dict[Front, datetime | None] = {}
        for front in fronts:
            parked = (sender.parked_before for sender in of_front[front])
            before = facts.latest(self.absences.late_before, *parked)
            if before is not None and found[front]:
                since[front] = before
        for front, messages in self._first_since(of_front, since).items():
            found[front] += messages
        return found

    def _first_since(
        self, of_front: Mapping[Front, Sequence[StoredSender]], since: Mapping[Front, datetime | None]
    ) -> dict[Front, list[Candidate]]:
        found: dict[Front, list[Candidate]] = {front: [] for front in since}
        if not since:
            return found
        for priority in (Priority.FOLLOW_UP, Priority.FIRST):
            for front, message in lane_fronts.first_of_campaigns(self.connection, since, priority).items():
                found[front].append(message)
        waits_since = {sender.id: since[front] for front in since for sender in of_front[front]}
        people = [
            lane_fronts.first_people(self.connection, waits_since, follow_ups=follow_ups)
            for follow_ups in (True, False)
        ]
        ids = [person_id for each in people for person_id in each.values()]
        known = recipients.by_ids(self.connection, ids)
        lanes = [front.mailbox_id for front in since]
        self._know_boxes([*lanes, *self._own_senders(known.values())])
        for front in since:
            campaign = self._campaigns[front.campaign_id]
            for sender in of_front[front]:
                persons = [known[each[sender.id]] for each in people if sender.id in each]
                planned = [self.next_message(campaign, person, sender) for person in persons]
                found[front] += [message for message in planned if message is not None]
        return found

    def _own_senders(self, people: Iterable[StoredRecipient]) -> list[int]:
        """The mailboxes that their next steps name."""
        return [
            step.sender_mailbox_id
            for person in people
            for step in self._steps[person.campaign_id]
            if step.position == person.next_step and step.sender_mailbox_id is not None
        ]

    def next_message(
        self, campaign: StoredCampaign, person: StoredRecipient, sender: StoredSender | None
    ) -> Candidate | None:
        """The message that would be planned next for a recipient; None if no mailbox would send it."""
        self._know_steps([campaign.id])
        step = next((one for one in self._steps[campaign.id] if one.position == person.next_step), None)
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
