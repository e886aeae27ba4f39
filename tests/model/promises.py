"""What must hold after every step, seen from outside: at the mail servers, in the database, and in `why`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil, floor

from mailrotate.core.services.views.explaining import Explanation
from tests.model.facts import Campaign, Facts, Person, Pool, Sender
from tests.model.post import Taken


@dataclass(frozen=True)
class Step:
    """One command, and what it changed. `status` is None if its process died.

    `in_doubt` are the mailboxes whose state a pass may change. `turns` are the senders that the next new
    recipients would get.
    """

    words: tuple[str, ...]
    status: int | None
    now: datetime
    before: Facts
    after: Facts
    taken: list[Taken]
    in_doubt: set[str]
    turns: Mapping[Pool, list[int]]

    @property
    def is_pass(self) -> bool:
        return self.words[0] == "run"

    @property
    def is_whole_pass(self) -> bool:
        """Exit status 5: something is due, and no mailbox can send."""
        return self.is_pass and self.status in (0, 5)

    @property
    def moves_people(self) -> bool:
        """Whether it may change the mailbox of recipients who have one, by a person's wish (B8, E5)."""
        return self.words[:2] in (("outbox", "send-from"), ("recipient", "assign"), ("mailbox", "remove"))


@dataclass
class Record:
    """What the model remembers of each person: the messages, who may write next, and how it ended.

    `may_write` has more than one mailbox only after a command that died, and with a single sender's slot.
    `answers` are replies that wait in an inbox: in which one, and since when.
    """

    steps_taken: dict[Person, list[int]] = field(default_factory=dict)
    last: dict[Person, Taken] = field(default_factory=dict)
    may_write: dict[Person, set[str]] = field(default_factory=dict)
    stopped: set[Person] = field(default_factory=set)
    answers: dict[Person, tuple[str, datetime]] = field(default_factory=dict)
    replied: set[Person] = field(default_factory=set)

    def note(self, one: Taken) -> None:
        if one.step:
            person = (one.campaign, one.to)
            self.steps_taken.setdefault(person, []).append(one.step)
            self.may_write[person] = {one.login}
            self.last[person] = one


def check(record: Record, step: Step) -> None:
    """Check everything that needs no question to the program, and take the step into the record."""
    stopped_people_get_nothing(record, step)
    steps_come_once_and_in_order(record, step)
    follow_ups_keep_their_mailbox(record, step)
    a_reply_ends_the_sequence(record, step)
    new_people_are_spread(step)
    the_next_people_would_be_spread(step)
    only_its_own_people_pay_for_a_mailbox(record, step)
    passed_deadlines_are_settled(record, step)
    nothing_waits_in_a_mailbox_that_is_away(step)
    ended_people_have_nothing_waiting(step)
    pauses_have_reasons(step)
    everyone_has_a_mailbox_or_a_deadline(step)
    for one in step.taken:
        record.note(one)
    record.stopped |= step.after.in_state("stopped")
    record.replied |= step.after.in_state("replied")


def stopped_people_get_nothing(record: Record, step: Step) -> None:
    """C9: a stopped recipient gets no other message of that campaign, and stays stopped."""
    stopped = record.stopped | step.after.in_state("stopped")
    written_to = {(one.campaign, one.to) for one in step.taken}
    assert not written_to & stopped, f"stopped, and written to: {written_to & stopped}"
    undone = {person for person in record.stopped if _state(step.after, person) not in ("stopped", None)}
    assert not undone, f"no longer stopped: {undone}"
    assert step.after.tombstones >= len(stopped)


def _state(facts: Facts, person: Person) -> str | None:
    return facts.people[person].state if person in facts.people else None


def steps_come_once_and_in_order(record: Record, step: Step) -> None:
    """F3: no recipient gets a step twice, and no step is left out."""
    had = {person: list(steps) for person, steps in record.steps_taken.items()}
    for one in step.taken:
        if one.step:
            steps = had.setdefault((one.campaign, one.to), [])
            assert one.step == len(steps) + 1, f"{one} after {steps}"
            steps.append(one.step)


def follow_ups_keep_their_mailbox(record: Record, step: Step) -> None:
    """D5: a follow-up leaves from the mailbox of the message before, unless a person changed that."""
    for one in step.taken:
        may_write = record.may_write.get((one.campaign, one.to))
        assert one.step < 2 or may_write is None or one.login in may_write, f"{one}, not from {may_write}"
    for person in step.after.people if step.moves_people else ():
        sender = step.after.people[person].sender
        if sender is None or person not in step.before.people or person not in record.may_write:
            continue
        if sender != step.before.people[person].sender:
            known = set() if step.status == 0 else record.may_write[person]
            record.may_write[person] = {sender, *known}
    if step.words[:2] == ("mailbox", "connect"):
        # C5: a campaign with a single sender goes on from whatever is connected in its slot.
        for person in record.may_write:
            if step.after.campaigns[person[0]].rotation is None:
                record.may_write[person].add(step.words[2])


# How often an inbox is read (B10).
_READ_EVERY = timedelta(minutes=5)


def a_reply_ends_the_sequence(record: Record, step: Step) -> None:
    """D6: a recipient who has replied gets no other message; nothing leaves a mailbox before it was read.

    G2: what arrives in a mailbox that is disconnected afterwards need not be recognised.
    """
    for one in step.taken:
        person = (one.campaign, one.to)
        login, since = record.answers.get(person, ("", step.now))
        assert person not in record.replied, f"{one}, after a reply"
        assert login != one.login or step.now < since + _READ_EVERY, f"{one}, with a reply in the inbox"
    for person, (login, since) in list(record.answers.items()):
        box, state = step.after.boxes.get(login), _state(step.after, person)
        is_read = step.is_whole_pass and step.now >= since + _READ_EVERY and login not in step.in_doubt
        if box is None or box.state == "disconnected" or state in ("replied", "stopped", None):
            del record.answers[person]
        else:
            assert not is_read, f"{person} has replied to {login}, and is {state}"


def new_people_are_spread(step: Step) -> None:
    """E1, E2: the rotation's assignments go to able senders alone, to the one with the least load first.

    A step may make some senders able, or take some away, before or after it assigns.
    """
    for (name, adder), given in _given_by_rotations(step).items():
        campaign = step.after.campaigns[name]
        ways = [step.before.able(name, adder), _before_it(step, name, step.after.able(name, adder))]
        assert given.keys() <= ways[0].keys() | ways[1].keys(), f"{name}: {given}, of {ways}"
        if campaign.rotation == "capacity" or (step.is_pass and ways[0].keys() != ways[1].keys()):
            continue
        assert any(_is_fair(way, given, _weights(campaign)) for way in ways if way), (
            f"{name}: {given}, of {ways}"
        )


def _before_it(step: Step, name: str, able: dict[int, Sender]) -> dict[int, Sender]:
    """These senders with what the step did not assign yet."""
    known = step.before.campaigns.get(name)
    former = {} if known is None else {one.id: one for one in known.senders}
    return {number: former.get(number, one) for number, one in able.items()}


def _given_by_rotations(step: Step) -> dict[Pool, Counter[int]]:
    """How many recipients each sender got in this step by its rotation's own choice."""
    given: dict[Pool, Counter[int]] = {}
    for person, one in step.after.people.items():
        rotation = step.after.campaigns[person[0]].rotation
        if rotation is None or one.sender_id is None or one.assigned_by != rotation:
            continue
        known = step.before.people.get(person)
        if known is None or known.sender_id != one.sender_id:
            pool = (person[0], one.adder if rotation == "adder" else None)
            given.setdefault(pool, Counter())[one.sender_id] += 1
    return given


def the_next_people_would_be_spread(step: Step) -> None:
    """E1, E2: a new recipient would get the sender with the least load, of equal ones the one added first."""
    for (name, adder), turns in step.turns.items():
        able, weights = step.after.able(name, adder), _weights(step.after.campaigns[name])
        counts, wanted = _counts(able, weights), []
        for _ in turns:
            wanted.append(
                min(counts, key=lambda one: (Fraction(counts[one], weights[one]), able[one].position))
            )
            counts[wanted[-1]] += 1
        assert bool(turns) == bool(able), f"{name} of {adder}: {turns}, of {able}"
        assert turns == wanted, f"{name} of {adder}: {turns} instead of {wanted}, of {able}"


def _weights(campaign: Campaign) -> dict[int, int]:
    """The weight of each sender: where no present sender was given one, the daily limit, the same for all."""
    has_weights = any(one.weight for one in campaign.senders if one.left_because is None)
    usual = 500 if campaign.rotation == "weighted" and not has_weights else 1
    return {one.id: (one.weight or 1) if has_weights else usual for one in campaign.senders}


def _is_fair(able: dict[int, Sender], given: dict[int, int], weights: dict[int, int]) -> bool:
    """Whether everyone went to the sender with the fewest assignments for its weight."""
    after = {sender: count + given.get(sender, 0) for sender, count in _counts(able, weights).items()}
    least = min(Fraction(count, weights[sender]) for sender, count in after.items())
    is_equal = len({weights[sender] for sender in after}) == 1
    return all(
        Fraction(count - 1, weights[sender]) <= least
        for sender, count in after.items()
        if is_equal or sender in given
    )


def _counts(able: dict[int, Sender], weights: dict[int, int]) -> dict[int, int]:
    """The counts to begin with: who joins or returns takes the count next to its own that is in reach."""
    order = sorted(able.values(), key=lambda one: one.position)
    counts = {one.id: one.assigned_count for one in order if one.counted_weight == weights[one.id]}
    for one in order:
        if one.id not in counts:
            weight = weights[one.id]
            loads = [Fraction(count, weights[sender]) for sender, count in counts.items()]
            if not loads:
                counts[one.id] = one.assigned_count
                continue
            is_equal = all(weights[sender] == weight for sender in counts)
            low = ceil((max(loads) if is_equal else min(loads)) * weight) - 1
            counts[one.id] = min(max(one.assigned_count, low), floor(min(loads) * weight) + 1)
    return counts


def only_its_own_people_pay_for_a_mailbox(record: Record, step: Step) -> None:
    """A mailbox in trouble harms no recipient of another."""
    for person, one in step.after.people.items():
        known = step.before.people.get(person)
        if known is None or not known.is_open:
            continue
        if one.state == "stopped":
            mailbox = (one.reason or "").rpartition(" ")[2]
            assert mailbox == known.sender, f"{person} waited for {known.sender}, and is {one.reason}"
            assert (mailbox, person[0]) in step.after.settled, f"{person}: {one.reason} without a deadline"
            assert person in record.steps_taken, f"{person} had no message, and is stopped"
        elif one.state == "failed":
            assert step.words[:3] == ("mailbox", "remove", known.sender), f"{person}: {one.reason}"
    failed_before = {one.id for one in step.before.messages if one.state == "error"}
    for message in step.after.messages:
        if message.state == "error" and message.id not in failed_before:
            box = step.after.boxes.get(message.mailbox)
            assert message.error_class == "connection", f"{message} in error"
            assert box is None or box.state != "connected", f"{message} in error, and its mailbox works"


def passed_deadlines_are_settled(record: Record, step: Step) -> None:
    """C9, C11: after a pass no deadline is past its end; contacted people who waited for it are stopped."""
    if not step.is_whole_pass:
        return
    assert all(one.ends_at > step.now for one in step.after.deadlines), step.after.deadlines
    passed = {(one.mailbox, one.campaign) for one in step.before.deadlines if one.ends_at <= step.now}
    for person, one in step.before.people.items():
        if one.is_open and (one.sender, person[0]) in passed and person in record.steps_taken:
            left_because = _sender_of(step.before, person).left_because
            is_awaited = left_because in (None, "disconnected", "failed")
            state = _state(step.after, person)
            assert state == "stopped" or not is_awaited, f"{person} waited too long, and is {state}"


def _sender_of(facts: Facts, person: Person) -> Sender:
    sender_id = facts.people[person].sender_id
    return next(one for one in facts.campaigns[person[0]].senders if one.id == sender_id)


def nothing_waits_in_a_mailbox_that_is_away(step: Step) -> None:
    """C15: what would leave from a mailbox that is away is in error, and says so."""
    for message in step.after.messages:
        if message.state == "scheduled":
            box = step.after.boxes.get(message.mailbox)
            assert box is not None, f"{message} waits in a removed mailbox"
            assert box.state == "connected", f"{message} waits in a mailbox that is {box.state}"


def ended_people_have_nothing_waiting(step: Step) -> None:
    """C15: when a recipient ends, what is scheduled or in error is cancelled."""
    for message in step.after.messages:
        if message.state in ("scheduled", "error"):
            recipient = step.after.people[message.person]
            assert recipient.is_open, f"{message} of a recipient who is {recipient.state}"


def pauses_have_reasons(step: Step) -> None:
    """C6: a campaign is paused exactly while it has a reason.

    C6, C7: a campaign runs with an able sender, a rotation also for recipients that a removal gave to another
    mailbox (B8).
    """
    for name, campaign in step.after.campaigns.items():
        assert (campaign.state == "paused") == bool(campaign.pauses), f"{name} is {campaign}"
        if campaign.state == "active":
            stand_ins = [one for one in campaign.senders if one.left_because == "took_over"]
            assert stand_ins or step.after.able(name), f"{name} runs without an able sender"


def everyone_has_a_mailbox_or_a_deadline(step: Step) -> None:
    """C8, C10, E1: while a sender is able, each recipient has one, or waits for a deadline."""
    after = step.after
    for person, one in after.people.items():
        campaign = after.campaigns[person[0]]
        if not one.is_open or campaign.rotation is None:
            continue
        if one.sender_id is None:
            assert campaign.state != "active" or not _takers(step, person), f"{person} got no mailbox"
            continue
        sender = _sender_of(after, person)
        if sender.left_because in ("disconnected", "failed") or _has_failed(after, sender):
            assert after.has_deadline(sender.mailbox, person[0]), f"{person} waits for {sender} without end"


def _takers(step: Step, person: Person) -> list[Sender]:
    """The senders of which one should have taken a new recipient by now."""
    able = list(step.after.able(person[0], step.after.people[person].adder).values())
    if step.after.campaigns[person[0]].rotation != "capacity":
        return able
    # Who has room is asked by a pass.
    away = step.in_doubt | {address for address, box in step.after.boxes.items() if box.is_paused}
    return [one for one in able if one.mailbox not in away] if step.is_whole_pass else []


def _has_failed(facts: Facts, sender: Sender) -> bool:
    """Of present senders: those that only took recipients over have no deadline (C14)."""
    box = None if sender.mailbox is None else facts.boxes.get(sender.mailbox)
    return sender.left_because is None and box is not None and box.state == "failed"


# --- what `why` says


def waits_for_something(step: Step, person: Person, told: Explanation) -> None:
    """F5: an open recipient is due, or waits for a named gate or a named deadline."""
    is_due = told.next_at is not None and told.next_at <= step.now
    closed = {gate.gate: gate.reason for gate in told.gates if not gate.open}
    if is_due:
        assert not closed, f"{person} is due, and waits for {closed}"
        return
    assert closed, f"{person} waits for nothing: {told}"
    assert all(closed.values()), f"{person}: a gate says nothing: {told}"
    assert told.binding is not None, f"{person}: no gate binds: {told}"
    if told.next_at is None:
        one = step.after.people[person]
        has_end = step.after.has_deadline(one.sender, person[0])
        # Of a process that died: the next pass finds out.
        is_sending = any(each.person == person and each.state == "sending" for each in step.after.messages)
        is_taken_by_a_pass = step.after.campaigns[person[0]].rotation == "capacity" and one.sender_id is None
        has_end |= is_sending or is_taken_by_a_pass
        assert told.remedy is not None or has_end, f"{person} waits without a way on: {told}"


def a_pass_does_what_why_said(record: Record, step: Step, told: dict[Person, Explanation]) -> None:
    """F5: after a whole pass, who was due has a message more, and who was not has none.

    Not told by it: what the pass itself finds out, of a mailbox that works again or does not any more, and
    of a reply.
    """
    written_to = {(one.campaign, one.to) for one in step.taken}
    for person, one in told.items():
        is_due = one.next_at is not None and one.next_at <= step.now
        mailbox = step.before.people[person].sender
        if mailbox in step.in_doubt or mailbox is None or person in record.answers:
            continue
        if is_due:
            assert person in written_to, f"{person} was due and got nothing: {one}"
        elif one.binding not in _OPENED_BY_A_PASS:
            assert person not in written_to, f"{person} was not due and got a message: {one}"


# A message that a dead process had in hand, an inbox not read yet, a hold that a login ends.
_OPENED_BY_A_PASS = ("message", "inbox", "hold")
