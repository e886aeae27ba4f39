"""Days of a rotation, played at random: each rule types one command, and then every promise is checked.

Hypothesis takes every rule about as often, and leaves some out of an example altogether: therefore several
rules make a pass, a rule that nothing fits stands back, and each example begins with a whole episode.

Not played: refused recipients, limits of the day, and steps with a sender of their own (D9).
"""

from datetime import datetime, timedelta

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from mailrotate.core.services.views.explaining import Explanation
from tests.model import promises
from tests.model.draws import (
    DAY,
    MINUTE,
    Episode,
    around_an_end,
    campaigns,
    deaths,
    deaths_in_a_pass,
    episodes,
    intervals,
    mailboxes,
    new_people,
    picks,
    rotations,
    users,
    ways_back,
)
from tests.model.facts import Facts, Message, Person, Recipient
from tests.model.promises import Record, Step
from tests.model.world import (
    ANNA,
    BEN,
    CLEO,
    DORA,
    ROOT,
    UNA,
    USERS,
    VIC,
    Death,
    Ground,
    say,
    servers_of,
)

# What no command may end with: an unexpected failure.
_UNEXPECTED = 1

_ORDER = (ANNA, BEN, CLEO, DORA)


class Days(RuleBasedStateMachine):
    """`facts` is what the database says now."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.world = ground.fresh()
        self.record = Record()
        for one in ground.taken_before:
            self.record.note(one)
        self.seen = len(self.world.post.taken())
        self.facts = self.world.look()
        # What `why` said last, and at which instant.
        self.told: dict[Person, Explanation] = {}
        self.told_at: datetime | None = None
        self.is_over = False

    def teardown(self) -> None:
        if not self.is_over:
            self.world.close()

    # --- one step

    def type(self, *words: str, who: str = ROOT, input: str | None = None) -> bool:
        """Type a command, and check every promise; return whether it was done to its end."""
        try:
            return self._play(words, who, input)
        except BaseException:
            say(self.world)
            raise

    def _play(self, words: tuple[str, ...], who: str, input: str | None) -> bool:
        if words[0] == "run" and self.world.death is None and self.told_at != self.world.now:
            self.told = self.world.why(self._kinds())
        told, before, in_doubt = self.told, self.facts, self._in_doubt(self.facts)
        ran = self.world.type(*words, who=who, **({} if input is None else {"input": input}))
        status = None if ran is None else ran.status
        assert ran is None or status != _UNEXPECTED, f"{words}: {ran.stderr}"
        self.facts = self.world.look()
        taken = self.world.post.taken(self.seen)
        self.seen += len(taken)
        event(f"{' '.join(words[:2])}: {'died' if status is None else 'refused' if status else 'done'}")
        in_doubt |= self._in_doubt(self.facts)
        turns = self.world.turns(self.facts) if self.facts != before else {}
        step = Step(words, status, self.world.now, before, self.facts, taken, in_doubt, turns)
        # A pass that was meant to die may complete; `why` was not asked before it.
        if step.is_whole_pass and self.told_at == self.world.now:
            promises.a_pass_does_what_why_said(self.record, step, told)
        promises.check(self.record, step)
        if not status or self.facts != before or self.told_at != self.world.now:
            self._check_whys(step)
        return status == 0

    def _in_doubt(self, facts: Facts) -> set[str]:
        """The mailboxes whose state a pass may change."""
        away = {address for address, box in facts.boxes.items() if box.state == "failed"}
        return away | self.world.post.refusing | self.world.post.silent

    def _kinds(self) -> dict[Person, Recipient]:
        """One open recipient of each kind: the others differ in nothing that a gate looks at."""
        messages = {one.person: (one.step, one.state, one.mailbox) for one in self.facts.messages}
        kinds = {
            (person[0], one.adder, one.state, one.next_step, one.sender_id, messages.get(person)): person
            for person, one in self.facts.people.items()
            if one.is_open
        }
        return {person: self.facts.people[person] for person in kinds.values()}

    def _check_whys(self, step: Step) -> None:
        self.told, self.told_at = self.world.why(self._kinds()), self.world.now
        for person, told in self.told.items():
            # After the deadlines that have passed, which are settled for a reader as well.
            if any(gate.gate == "recipient" and not gate.open for gate in told.gates):
                continue
            promises.waits_for_something(step, person, told)

    # --- time, and passes

    @initialize(episode=episodes)
    def begin(self, episode: Episode) -> None:
        self.world.now += episode.after
        self._live_through(episode)

    @rule(episode=episodes)
    def live_through(self, episode: Episode) -> None:
        self._live_through(episode)

    def _live_through(self, episode: Episode) -> None:
        mailbox = self._nearest(episode.mailbox, "connected")
        user = USERS[mailbox]
        if episode.has_messages:
            self.type("mailbox", "pause", mailbox)
            self.run_a_pass_when_follow_ups_are_due()
            self.type("mailbox", "resume", mailbox)
        if episode.trouble == "failed":
            self.fail(mailbox)
        elif episode.trouble == "disconnected":
            self.disconnect(mailbox)
        elif episode.trouble == "removed":
            self.type("mailbox", "remove", mailbox, "--yes")
        else:
            # The admin cannot lock herself.
            user = UNA if user == ROOT else user
            self.type("user", "lock", user, "--yes")
        for campaign in dict.fromkeys(("team", episode.campaign)):
            self._import(campaign, episode.new, USERS[mailbox])
        if episode.end == "over" and self.facts.deadlines:
            self.wait_for_a_deadline(0, timedelta(), has_a_pass=True)
        elif episode.end == "back" and episode.trouble == "failed":
            self.come_back(mailbox, episode.way, works=True)
        elif episode.end == "back" and episode.trouble == "disconnected":
            self.connect(mailbox, ("--rejoin", "--resume"))
        elif episode.end == "back" and episode.trouble == "locked":
            self.type("user", "unlock", user)

    @rule()
    def run_a_pass_when_follow_ups_are_due(self) -> None:
        self.world.now += DAY + MINUTE
        self.type("run", "--once")

    @rule(by=st.just(timedelta()) | intervals)
    def run_a_pass(self, by: timedelta) -> None:
        self.world.now += by
        self.type("run", "--once")

    @rule(death=deaths_in_a_pass)
    def run_a_pass_that_dies(self, death: Death) -> None:
        self.world.now += DAY + MINUTE
        self.world.death = death
        self.type("run", "--once")

    @rule(by=intervals)
    def restart_later(self, by: timedelta) -> None:
        self.world.now += by
        self.world.restart()

    @precondition(lambda self: self.facts.deadlines)
    @rule(pick=picks, beside=around_an_end, has_a_pass=st.booleans())
    def wait_for_a_deadline(self, pick: int, beside: timedelta, has_a_pass: bool) -> None:
        deadline = self.facts.deadlines[pick % len(self.facts.deadlines)]
        self.world.now = max(self.world.now, deadline.ends_at + beside)
        if has_a_pass:
            self.type("run", "--once")

    @precondition(lambda self: self.record.last)
    @rule(pick=picks)
    def reply(self, pick: int) -> None:
        """A recipient answers the latest message."""
        person, message = list(self.record.last.items())[pick % len(self.record.last)]
        self.world.post.answer(message)
        self.record.answers.setdefault(person, (message.login, self.world.now))

    @rule(death=deaths)
    def let_the_next_command_die(self, death: Death) -> None:
        self.world.death = death

    # --- mailboxes

    def _nearest(self, mailbox: str, *states: str) -> str:
        """This mailbox, or else the next one in one of these states: fewer commands are refused then."""
        order = [*_ORDER[_ORDER.index(mailbox) :], *_ORDER]
        known = self.facts.boxes
        return next((one for one in order if one in known and known[one].state in states), mailbox)

    def _is_any(self, *states: str) -> bool:
        return any(box.state in states for box in self.facts.boxes.values())

    @rule(mailbox=mailboxes)
    def fail(self, mailbox: str) -> None:
        mailbox = self._nearest(mailbox, "connected")
        self.world.post.refusing.add(mailbox)
        self.type("mailbox", "test", mailbox)

    @rule(mailbox=mailboxes, is_silent=st.booleans())
    def get_into_trouble_unseen(self, mailbox: str, is_silent: bool) -> None:
        (self.world.post.silent if is_silent else self.world.post.refusing).add(mailbox)

    def _let_in(self, mailbox: str) -> None:
        self.world.post.refusing.discard(mailbox)
        self.world.post.silent.discard(mailbox)

    @rule(mailbox=mailboxes, way=ways_back, works=st.sampled_from((True, True, False)))
    def come_back(self, mailbox: str, way: tuple[str, ...], works: bool) -> None:
        mailbox = self._nearest(mailbox, "failed")
        if works:
            self._let_in(mailbox)
        verb, *flags = way
        self.type("mailbox", verb, mailbox, *flags)

    @rule(mailbox=mailboxes)
    def disconnect(self, mailbox: str) -> None:
        self.type("mailbox", "disconnect", self._nearest(mailbox, "connected", "failed"), "--yes")

    @precondition(lambda self: self._is_any("disconnected") or len(self.facts.boxes) < len(_ORDER) - 1)
    @rule(mailbox=mailboxes, more=st.sampled_from(((), ("--rejoin",), ("--rejoin", "--resume"))))
    def connect(self, mailbox: str, more: tuple[str, ...]) -> None:
        mailbox = self._nearest(mailbox, "disconnected")
        self._let_in(mailbox)
        flags = (*servers_of(mailbox), "--gap", "0s", "--for", USERS[mailbox], "--yes", *more)
        self.type("mailbox", "connect", mailbox, *flags)

    @precondition(lambda self: self._is_any("disconnected"))
    @rule(mailbox=mailboxes)
    def connect_another_address(self, mailbox: str) -> None:
        """Dora, in the slot of a mailbox that was disconnected."""
        box = self.facts.boxes.get(mailbox := self._nearest(mailbox, "disconnected"))
        if box is not None:
            slot = ("--slot", f"s_{box.slot}", "--for", USERS[mailbox], "--yes")
            self.type("mailbox", "connect", DORA, *servers_of(DORA), "--gap", "0s", *slot)

    @rule(mailbox=mailboxes, to=st.none() | mailboxes)
    def remove(self, mailbox: str, to: str | None) -> None:
        moved = [] if to is None else ["--move-to", self._nearest(to, "connected")]
        self.type("mailbox", "remove", mailbox, *moved, "--yes")

    @rule(mailbox=mailboxes)
    def rest_or_go_on(self, mailbox: str) -> None:
        resting = [one for one, box in self.facts.boxes.items() if box.is_paused]
        self.type("mailbox", *(("resume", resting[0]) if resting else ("pause", mailbox)))

    @precondition(lambda self: self.facts.deadlines)
    @rule(pick=picks, by=st.sampled_from(("10m", "1h", "2d")), in_one=st.booleans())
    def extend(self, pick: int, by: str, in_one: bool) -> None:
        deadline = self.facts.deadlines[pick % len(self.facts.deadlines)]
        one = ["--campaign", deadline.campaign] if in_one else []
        self.type("grace", "extend", deadline.mailbox, "--by", by, *one)

    @rule(user=st.sampled_from((UNA, VIC)))
    def lock_or_unlock(self, user: str) -> None:
        is_locked = any(box.is_locked for one, box in self.facts.boxes.items() if USERS[one] == user)
        self.type("user", *(["unlock", user] if is_locked else ["lock", user, "--yes"]))

    # --- campaigns

    def _as_user_of(self, mailbox: str) -> str:
        """Who may pick a mailbox: a personal one its user alone."""
        return USERS[mailbox]

    def _senders(self, campaign: str) -> dict[str, None]:
        """The present ones, in order."""
        senders = self.facts.campaigns[campaign].senders
        return dict.fromkeys(one.mailbox for one in senders if one.mailbox and not one.left_because)

    @rule(campaign=rotations, mailbox=mailboxes)
    def add_sender(self, campaign: str, mailbox: str) -> None:
        present, known = self._senders(campaign), self.facts.boxes
        absent = [one for one in _ORDER if one in known and one not in present]
        mailbox = next((one for one in absent if known[one].state == "connected"), mailbox)
        self.type("campaign", "sender", "add", campaign, mailbox, who=self._as_user_of(mailbox))

    @rule(campaign=rotations, mailbox=mailboxes)
    def remove_sender(self, campaign: str, mailbox: str) -> None:
        present = self._senders(campaign)
        mailbox = mailbox if mailbox in present else next(iter(present), mailbox)
        self.type("campaign", "sender", "remove", campaign, mailbox, "--yes")

    @rule(campaign=campaigns)
    def pause(self, campaign: str) -> None:
        self.type("campaign", "pause", campaign)

    @precondition(lambda self: any(one.state == "paused" for one in self.facts.campaigns.values()))
    @rule(pick=picks, is_without=st.booleans())
    def resume(self, pick: int, is_without: bool) -> None:
        paused = [name for name, one in self.facts.campaigns.items() if one.state == "paused"]
        name = paused[pick % len(paused)]
        away = {
            one.mailbox for one in self.facts.deadlines if (one.campaign, one.kind) == (name, "disconnect")
        }
        flags = [word for one in sorted(away) for word in ("--without", one)] if is_without else []
        self.type("campaign", "resume", name, *flags)

    def _import(self, campaign: str, people: list[str], who: str) -> None:
        who = who if campaign == "team" else ROOT
        self.type("recipient", "import", campaign, "-", who=who, input="\n".join(("email", *people)))

    @rule(campaign=campaigns, people=new_people, who=users)
    def import_people(self, campaign: str, people: list[str], who: str) -> None:
        self._import(campaign, people, who)

    @rule(pick=picks)
    def remove_recipient(self, pick: int) -> None:
        campaign, person = list(self.facts.people)[pick % len(self.facts.people)]
        self.type("recipient", "remove", campaign, person, "--yes")

    @rule(pick=picks, to=mailboxes)
    def assign(self, pick: int, to: str) -> None:
        """Everyone of a recipient's mailbox."""
        found = [(campaign, one.sender) for (campaign, _), one in self.facts.people.items() if one.sender]
        campaign, mailbox = found[pick % len(found)]
        known = self.facts.boxes
        others = [one for one in _ORDER if one in known and known[one].is_able and one != mailbox]
        to = to if to in others else next(iter(others), to)
        flags = ("--from-sender", mailbox, "--to-sender", to)
        self.type("recipient", "assign", campaign, *flags, who=self._as_user_of(to))

    # --- the outbox

    def _messages(self, *states: str) -> list[Message]:
        return [one for one in self.facts.messages if one.state in states]

    @precondition(lambda self: self._messages("scheduled", "error"))
    @rule(pick=picks, mailbox=mailboxes)
    def send_from(self, pick: int, mailbox: str) -> None:
        waiting, mailbox = self._messages("scheduled", "error"), self._nearest(mailbox, "connected")
        flags = (f"m_{waiting[pick % len(waiting)].id}", "--from", mailbox)
        self.type("outbox", "send-from", *flags, who=self._as_user_of(mailbox))

    @precondition(lambda self: self._messages("error"))
    @rule(mailbox=st.none() | mailboxes)
    def retry(self, mailbox: str | None) -> None:
        self.type("outbox", "retry", *(["--all"] if mailbox is None else ["--mailbox", mailbox]))

    @precondition(lambda self: self._overdue())
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        overdue = self._overdue()
        self.type("outbox", "release", "--campaign", overdue[pick % len(overdue)])

    def _overdue(self) -> list[str]:
        """The campaigns with messages that are too late to leave without a word."""
        return [person[0] for person, told in self.told.items() if told.binding == "overdue"]

    @precondition(lambda self: self._messages("held"))
    @rule(pick=picks)
    def resolve(self, pick: int) -> None:
        """The operator looks into the sent mail, and says what is there."""
        held = self._messages("held")
        one = held[pick % len(held)]
        left = one.message_id in {taken.message_id for taken in self.world.post.taken()}
        self.type("outbox", "resolve", f"m_{one.id}", "--sent" if left else "--not-sent")
