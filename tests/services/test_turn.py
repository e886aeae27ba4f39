"""One turn of a lane: its connections, what it waits for, and what each answer leaves (B3, F3, H5)."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import select, update

from mailrotate.core.ports import MailProvider
from mailrotate.core.services.context import secret_name
from mailrotate.core.services.sending import recording, settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.sending.inbox_reading import MAILS_AT_ONCE
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.sending.turn import KEEP_OPEN_FOR, LaneTurn
from mailrotate.core.store import events
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import inboxes, lanes, liveness
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import Busy, StoreTrouble
from mailrotate.core.values.mail import (
    INBOX,
    Envelope,
    FateUnknown,
    FetchBroke,
    FolderCursor,
    InboxHeaders,
    MailTrouble,
    ServerReply,
)
from mailrotate.core.values.states import Phase
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

TAKEN = ServerReply(Phase.DOT, 250, None, "taken")
SILENCE = FateUnknown(ServerReply(Phase.DOT, None, None, "timed out"))
NO_SUCH_USER = MailTrouble(ServerReply(Phase.DOT, 550, "5.1.1", "no such user"))
GREYLISTED = MailTrouble(ServerReply(Phase.DOT, 451, "4.7.1", "greylisted"))
BROKEN_OFF = FetchBroke(ServerReply(Phase.CONNECT, None, None, "broken off"), (7,))
NO_ROUTE = MailTrouble(ServerReply(Phase.CONNECT, None, None, "no route"))


@dataclass
class Server:
    """A mail server that notes what it is asked, and answers each dot with the next of `answers`."""

    seen: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    answers: deque[ServerReply | BaseException] = field(default_factory=deque)
    staging: Callable[[], None] = lambda: None
    reading: Callable[[], None] = lambda: None
    filing: Callable[[], None] = lambda: None
    stays_open: bool = True
    mails: list[InboxHeaders] = field(default_factory=list)
    at_once: list[int] = field(default_factory=list)

    def open_sender(self, _account: object) -> "SendConnection":
        self.seen.append("open sender")
        return SendConnection(self)

    def open_inbox(self, _account: object) -> "InboxConnection":
        self.seen.append("open inbox")
        return InboxConnection(self)


@dataclass
class SendConnection:
    server: Server
    usable: bool = True

    def stage(self, envelope: Envelope) -> None:
        self.server.envelopes.append(envelope)
        try:
            self.server.staging()
        finally:
            self.usable = self.server.stays_open

    def commit(self) -> ServerReply:
        answer = self.server.answers.popleft() if self.server.answers else TAKEN
        self.server.seen.append("dot")
        if isinstance(answer, ServerReply):
            return answer
        self.usable = not isinstance(answer, FateUnknown)
        raise answer

    def abandon(self) -> None:
        self.server.seen.append("abandon")
        self.usable = False

    def close(self) -> None:
        self.server.seen.append("close sender")


@dataclass
class InboxConnection:
    server: Server

    def new_headers(
        self, _since: object, _folder: str, _again: object, at_once: int
    ) -> tuple[FolderCursor, Iterator[InboxHeaders]]:
        self.server.seen.append("read inbox")
        self.server.at_once.append(at_once)
        self.server.reading()
        return FolderCursor(1, len(self.server.mails)), iter(self.server.mails)

    def has_sent_copy(self, _message_id: str) -> bool:
        self.server.seen.append("look for copy")
        self.server.filing()
        return True

    def file_sent_copy(self, _raw: bytes) -> None:
        raise AssertionError("there is a copy already")

    def close(self) -> None:
        self.server.seen.append("close inbox")


@dataclass
class Time:
    """A clock that only waiting moves, and a list of the waits."""

    now: datetime = NOW
    waits: list[float] = field(default_factory=list)
    ends: bool = False

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)
        return self.ends


@dataclass
class Scene:
    """A mailbox with a campaign and its lane, which we own, and the server that it logs in to."""

    workspace: Workspace
    anna: Sender
    campaign: StoredCampaign
    lane: Lane
    server: Server = field(default_factory=Server)
    time: Time = field(default_factory=Time)

    def turn(self, **how: Any) -> LaneTurn:
        pace = {"clock": lambda: self.time.now, "wait": self.time.wait, "stopping": lambda: False, **how}
        made = context_of(self.workspace)
        context = replace(made, provider=lambda _name: cast(MailProvider, self.server))
        self.set_connection(secret=made.secrets.seal(secret_name(self.anna.connection_id), 1, b"secret"))
        return LaneTurn(context, self.lane, Pace(**pace))

    def add(self, *names: str) -> list[int]:
        """A ready message for a new recipient of each name."""
        made = []
        for address in (f"{name}@example.com" for name in names):
            recipient = self.workspace.add_recipient(self.campaign, address)
            made.append(self.workspace.add_message(self.anna, self.campaign, recipient, to=address))
        return made

    def add_notices(self, count: int) -> None:
        for _ in range(count):
            self.workspace.add_notice(self.anna, to="una@home.example")

    def add_sent_with_copy(self) -> None:
        """A sent message whose copy is still to be filed."""
        sent = self.workspace.add_sent(self.anna, NOW)
        with self.workspace.store.writing() as connection:
            inboxes.keep_copy(connection, sent, self.anna.id, b"mail", NOW)

    def set_connection(self, **values: object) -> None:
        with self.workspace.store.writing() as connection:
            connection.execute(update(t.connection).values(**values))

    def rest_until(self, until: datetime) -> None:
        with self.workspace.store.writing() as connection:
            lanes.rest(connection, self.anna.id, until)

    def states(self) -> list[str]:
        """Of the messages, in the order in which they were added."""
        with self.workspace.store.reading() as connection:
            return list(connection.execute(select(t.message.c.state).order_by(t.message.c.id)).scalars())

    def copies(self) -> list[tuple[int, datetime]]:
        """How often each copy was tried, and when it is tried next."""
        query = select(t.sent_copy.c.attempts, t.sent_copy.c.next_try_at)
        with self.workspace.store.reading() as connection:
            return [(row.attempts, row.next_try_at) for row in connection.execute(query)]


def refusing(trouble: Exception) -> Callable[..., None]:
    """What raises this, whatever it is called with."""

    def refuse(*_anything: object) -> None:
        raise trouble

    return refuse


@pytest.fixture
def scene(workspace: Workspace) -> Scene:
    anna = workspace.add_mailbox("anna@example.org", gap_seconds=0, sent_copy="off")
    campaign = workspace.add_campaign("autumn", [anna])
    return Scene(workspace, anna, campaign, workspace.own_lane(anna, workspace.add_runner()))


# --- connections


def test_h5_a_turn_reads_the_inbox_before_it_sends_and_logs_in_once_for_all_messages(scene: Scene) -> None:
    scene.add("kim", "lee")
    tally = scene.turn().run()
    assert tally == {"sent": 2, "replies": 0, "unsubscribes": 0}
    assert scene.server.seen == [
        "open inbox", "read inbox", "open sender", "dot", "dot", "close sender", "close inbox",
    ]  # fmt: skip
    assert [(one.sender, one.recipients) for one in scene.server.envelopes] == [
        (scene.anna.address, ("kim@example.com",)),
        (scene.anna.address, ("lee@example.com",)),
    ]
    assert all(b"Hello you" in one.raw for one in scene.server.envelopes)


def test_d6_a_connection_that_was_abandoned_is_closed_and_the_next_message_gets_a_new_one(
    scene: Scene,
) -> None:
    """The first recipient ends between claim and dot."""

    def end_the_first() -> None:
        if len(scene.server.envelopes) == 1:
            with scene.workspace.store.writing() as connection:
                connection.execute(update(t.recipient).where(t.recipient.c.id == 1).values(state="replied"))

    scene.add("kim", "lee")
    scene.server.staging = end_the_first
    tally = scene.turn().run()
    assert (tally["cancelled"], tally["sent"], scene.states()) == (1, 1, ["cancelled", "sent"])
    assert scene.server.seen == [
        "open inbox", "read inbox", "open sender", "abandon", "close sender", "open sender", "dot",
        "close sender", "close inbox",
    ]  # fmt: skip


@pytest.mark.parametrize("noted", [{"trouble_since": NOW}, {"last_error": "no route"}])
def test_c2_a_login_that_works_ends_a_noted_trouble(scene: Scene, noted: dict[str, object]) -> None:
    scene.set_connection(**noted)
    scene.add("kim")
    scene.turn().run()
    with scene.workspace.store.reading() as connection:
        left = connection.execute(select(t.connection.c.trouble_since, t.connection.c.last_error)).one()
    assert left == (None, None)


# --- answers


@pytest.mark.parametrize(
    ("answer", "counted", "state", "goes_on"),
    [
        (TAKEN, "sent", "sent", True),
        (NO_SUCH_USER, "failed", "error", True),
        (GREYLISTED, "deferred", "scheduled", True),
        (SILENCE, "held", "held", False),
    ],
)
def test_f4_each_answer_to_the_dot_is_counted_and_says_whether_the_lane_goes_on(
    scene: Scene, answer: ServerReply | MailTrouble, counted: str, state: str, goes_on: bool
) -> None:
    scene.add("kim", "lee")
    scene.server.answers.append(answer)
    tally = scene.turn().run()
    assert scene.states() == [state, "sent" if goes_on else "scheduled"]
    assert tally[counted] == (2 if counted == "sent" else 1)


def test_f4_a_message_that_cannot_be_written_is_counted_as_failed(scene: Scene) -> None:
    scene.add("kim", "lee")
    with scene.workspace.store.writing() as connection:
        connection.execute(update(t.step_version).values(body="{{ missing }}"))
    assert scene.turn().run()["failed"] == 2
    assert (scene.states(), scene.server.envelopes) == (["error", "error"], [])


def test_f4_a_server_that_cannot_be_reached_ends_the_turn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("kim", "lee")
    monkeypatch.setattr(scene.server, "open_sender", refusing(NO_ROUTE))
    assert scene.turn().run()["deferred"] == 1
    assert (scene.states(), scene.server.envelopes) == (["scheduled", "scheduled"], [])


def test_f3_a_defect_before_the_dot_puts_the_message_back_and_is_raised(scene: Scene) -> None:
    scene.add("kim")
    scene.server.staging = partial(int, "no number")
    with pytest.raises(ValueError):
        scene.turn().run()
    assert scene.states() == ["scheduled"]
    assert scene.server.seen[-2:] == ["close sender", "close inbox"]


def test_f3_a_database_that_refuses_to_put_a_message_back_hides_no_defect(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next owner of the lane puts it back."""
    scene.add("kim")
    scene.server.staging = partial(int, "no number")
    for trouble in (
        Busy("store.locked", "another process holds it"),
        StoreTrouble("store.full", "disk full"),
    ):
        monkeypatch.setattr(settling, "put_back", refusing(trouble))
        with pytest.raises(ValueError):
            scene.turn().run()
        assert scene.states() == ["sending"]
        monkeypatch.undo()
        with scene.workspace.store.writing() as connection:
            settling.recover_orphans(connection, scene.lane.runner_id, NOW)
            connection.execute(update(t.lane).values(runner_id=scene.lane.runner_id))


def test_f3_an_interruption_while_waiting_for_the_answer_holds_the_message(scene: Scene) -> None:
    scene.add("kim")
    scene.server.answers.append(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        scene.turn().run()
    with scene.workspace.store.reading() as connection:
        held = connection.execute(select(t.message.c.state, t.message.c.error_text)).one()
    assert held == ("held", "interrupted while waiting (KeyboardInterrupt)")


def test_f6_a_clock_that_is_not_believed_any_more_stops_a_message_before_its_dot(scene: Scene) -> None:
    scene.add("kim")
    believed = [True]
    scene.server.staging = lambda: believed.__setitem__(0, False)
    assert scene.turn(trusted=lambda: believed[0]).run()["deferred"] == 1
    assert scene.states() == ["scheduled"]
    assert "abandon" in scene.server.seen
    assert "dot" not in scene.server.seen


@pytest.mark.parametrize("how", [{"trusted": lambda: False}, {"stopping": lambda: True}])
def test_f6_a_turn_that_may_not_go_on_sends_nothing(scene: Scene, how: dict[str, Any]) -> None:
    scene.add("kim")
    assert scene.turn(**how).run()["sent"] == 0
    assert (scene.states(), scene.server.envelopes) == (["scheduled"], [])


def test_f3_a_lane_that_was_lost_ends_the_turn_before_the_dot(scene: Scene) -> None:
    """Another process took us for dead: it has put the message back and owns the lane."""
    scene.add("kim")

    def take_over() -> None:
        with scene.workspace.store.writing() as connection:
            settling.recover_orphans(connection, scene.lane.runner_id, NOW)
            assert lanes.take(connection, scene.lane.mailbox_id, scene.lane.runner_id) is not None

    scene.server.staging = take_over
    assert scene.turn().run()["lost"] == 1
    assert scene.states() == ["scheduled"]
    assert scene.server.seen[-3:] == ["abandon", "close sender", "close inbox"]


def test_f3_a_message_that_can_be_neither_marked_nor_put_back_ends_the_turn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_the_first() -> None:
        with scene.workspace.store.writing() as connection:
            connection.execute(update(t.recipient).where(t.recipient.c.id == 1).values(state="replied"))
        busy = Busy("store.locked", "another process holds it")
        monkeypatch.setattr(settling, "put_back", refusing(busy))

    scene.add("kim", "lee")
    scene.server.staging = end_the_first
    assert scene.turn().run()["lost"] == 1
    assert scene.states() == ["sending", "scheduled"]


@pytest.mark.parametrize(("code", "stays_open"), [(421, True), (554, False)])
def test_f4_an_answer_over_a_used_connection_counts_unless_the_server_ended_it(
    scene: Scene, code: int, stays_open: bool
) -> None:
    """A 421 that closes the connection is the exception: then the message goes over a new one."""

    def refuse_the_second() -> None:
        if len(scene.server.envelopes) == 2:
            scene.server.stays_open = stays_open
            raise MailTrouble(ServerReply(Phase.MAIL, code, None, "not now"))

    scene.add("kim", "lee")
    scene.server.staging = refuse_the_second
    tally = scene.turn().run()
    assert (tally["sent"], len(scene.server.envelopes)) == (1, 2)
    assert scene.server.seen.count("open sender") == 1


def test_f3_an_answer_is_recorded_however_long_the_database_refuses_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once when the waiting begins, seen by other processes meanwhile, and logged when it ends."""
    (message,) = scene.add("kim")
    store = scene.workspace.store
    settle, pauses, told, seen = settling.settle_sent, list[float](), list[Exception](), set[bool]()

    def refuse_eight_times(*anything: Any) -> Any:
        if len(pauses) < 8:
            raise StoreTrouble("store.full", "the disk is full", "free some space")
        return settle(*anything)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        scene.time.now += timedelta(seconds=seconds)
        with store.reading() as connection:
            seen.add(liveness.is_stuck(store, connection))

    monkeypatch.setattr(settling, "settle_sent", refuse_eight_times)
    monkeypatch.setattr(recording.time, "sleep", pause)
    assert scene.turn(tell=told.append).run()["sent"] == 1
    assert scene.states() == ["sent"]
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert [str(trouble) for trouble in told] == [
        f"the disk is full; what the server answered for m_{message} waits to be recorded, "
        "and its mailbox sends nothing until then"
    ]
    assert seen == {True}
    with store.reading() as connection:
        assert not liveness.is_stuck(store, connection)
        (line,) = events.listing(connection, action="message.recorded")
    assert (line.mailbox, line.message_id) == (scene.anna.address, message)
    assert line.data == {"reason": "the disk is full", "waited": "33 s"}


@pytest.mark.parametrize(
    ("answer", "state"), [(NO_SUCH_USER, "error"), (GREYLISTED, "scheduled"), (SILENCE, "held")]
)
def test_f3_an_answer_of_any_kind_waits_for_the_disk_and_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, answer: MailTrouble, state: str
) -> None:
    scene.add("kim")
    scene.server.answers.append(answer)
    told, writing = list[Exception](), scene.workspace.store.writing
    pauses: list[float] = []

    def full(*_session: object) -> Any:
        # The mark is written before the dot; what comes behind is not, until the third try.
        if "dot" in scene.server.seen and len(pauses) < 3:
            raise StoreTrouble("store.io", "the disk reports an error")
        return writing(*_session)

    monkeypatch.setattr(scene.workspace.store, "writing", full)
    monkeypatch.setattr(recording.time, "sleep", pauses.append)
    scene.turn(tell=told.append).run()
    assert (scene.states(), len(pauses)) == ([state], 3)
    assert [type(trouble) for trouble in told] == [StoreTrouble]


def test_f3_a_log_that_cannot_say_that_an_answer_was_recorded_late_harms_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add("kim")
    settle, record, told = settling.settle_sent, events.record, list[Exception]()

    def record_all_but_that(connection: Any, actor: Any, action: str, *about: Any, **data: Any) -> None:
        if action == "message.recorded":
            raise StoreTrouble("store.full", "full again")
        record(connection, actor, action, *about, **data)

    def refuse_once(*anything: Any) -> Any:
        if not told:
            raise Busy("store.locked", "another process holds it")
        return settle(*anything)

    monkeypatch.setattr(settling, "settle_sent", refuse_once)
    monkeypatch.setattr(recording.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(events, "record", record_all_but_that)
    assert scene.turn(tell=told.append).run()["sent"] == 1
    assert [str(trouble) for trouble in told][1:] == ["full again"]


# --- one message alone


def test_f2_a_message_asked_for_by_name_is_sent_alone_without_a_look_at_the_inbox(scene: Scene) -> None:
    _, wanted = scene.add("kim", "lee")
    (sender,) = scene.workspace.senders(scene.campaign)
    scene.workspace.add_recipient(scene.campaign, "mia@example.com", sender_id=sender, next_at=NOW)
    assert scene.turn().run(only=wanted) == {"sent": 1}
    assert scene.states() == ["scheduled", "sent"], "nothing is planned either"
    assert scene.server.seen == ["open sender", "dot", "close sender"]


# --- waiting in the lane


@pytest.mark.parametrize("seconds", [0.5, KEEP_OPEN_FOR.total_seconds()])
def test_b3_a_turn_that_may_linger_waits_out_a_short_gap_and_goes_on(scene: Scene, seconds: float) -> None:
    """Also for a message that is ready only at the end of the gap."""
    until = NOW.replace(microsecond=0) + KEEP_OPEN_FOR
    scene.time.now = until - timedelta(seconds=seconds)
    scene.add("kim", "lee")
    scene.rest_until(until)
    with scene.workspace.store.writing() as connection:
        connection.execute(update(t.message).values(ready_at=until))
    assert scene.turn(linger=True).run()["sent"] == 2
    assert sum(scene.time.waits) == seconds


@pytest.mark.parametrize(("linger", "seconds"), [(False, 60), (True, 121)])
def test_b3_a_turn_leaves_its_lane_over_a_long_gap_or_when_it_may_not_linger(
    scene: Scene, linger: bool, seconds: int
) -> None:
    scene.add("kim", "lee")
    scene.rest_until(NOW + timedelta(seconds=seconds))
    assert scene.turn(linger=linger).run()["sent"] == 0
    assert scene.time.waits == []


def test_b3_a_turn_does_not_linger_when_nothing_is_due_by_the_end_of_the_gap(scene: Scene) -> None:
    scene.add("kim", "lee")
    scene.rest_until(NOW + timedelta(seconds=60))
    with scene.workspace.store.writing() as connection:
        connection.execute(update(t.message).values(ready_at=NOW + timedelta(seconds=62)))
    scene.turn(linger=True).run()
    assert scene.time.waits == []
    with scene.workspace.store.writing() as connection:
        connection.execute(update(t.message).values(state="cancelled"))
    scene.turn(linger=True).run()
    assert scene.time.waits == []


def test_b3_a_turn_lingers_over_no_other_gate_than_the_gap(scene: Scene) -> None:
    scene.add("kim")
    soon = NOW + timedelta(seconds=60)
    with scene.workspace.store.writing() as connection:
        connection.execute(update(t.mailbox).values(hold_reason="454", hold_class="limit", hold_until=soon))
    scene.turn(linger=True).run()
    assert scene.time.waits == []


def test_h4_a_turn_that_is_asked_to_end_while_it_waits_sends_nothing_more(scene: Scene) -> None:
    scene.add("kim", "lee")
    scene.rest_until(NOW + timedelta(seconds=60))
    scene.time.ends = True
    scene.turn(linger=True).run()
    assert len(scene.time.waits) == 1
    assert scene.server.envelopes == []


def test_h5_a_long_turn_reads_its_inbox_again_as_often_as_the_plan_says(scene: Scene) -> None:
    """Over the connection that is still open, and with a look for people who have become due."""
    scene.add("kim", "lee", "mia")
    (sender,) = scene.workspace.senders(scene.campaign)

    def pass_time() -> None:
        scene.time.now += timedelta(seconds=150)
        if scene.server.seen.count("dot") == 1:
            scene.workspace.add_recipient(
                scene.campaign, "nia@example.com", sender_id=sender, next_at=scene.time.now
            )

    scene.server.staging = pass_time
    assert scene.turn().run()["sent"] == 4
    assert scene.server.seen == [
        "open inbox", "read inbox", "open sender", "dot", "dot", "read inbox", "dot", "dot", "read inbox",
        "close sender", "close inbox",
    ]  # fmt: skip
    assert scene.server.envelopes[-1].recipients == ("nia@example.com",)


def test_h5_what_was_claimed_goes_back_before_the_inbox_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next message is claimed with the settling of the one before; what is read may stop it."""
    scene.add("kim", "lee")
    follow = Claims.follow_in

    def and_time_passes(self: Claims, *about: Any) -> Claim | None:
        claimed = follow(self, *about)
        scene.time.now += timedelta(hours=1)
        return claimed

    def pause() -> None:
        if scene.server.seen.count("read inbox") == 2:
            with scene.workspace.store.writing() as connection:
                connection.execute(update(t.mailbox).values(paused_at=scene.time.now))

    monkeypatch.setattr(Claims, "follow_in", and_time_passes)
    scene.server.reading = pause
    assert scene.turn().run()["sent"] == 1
    assert scene.server.seen.count("read inbox") == 2
    assert scene.states() == ["sent", "scheduled"]


def test_h5_an_inbox_connection_that_was_dropped_meanwhile_is_opened_again(scene: Scene) -> None:
    scene.add("kim")

    def pass_time() -> None:
        scene.time.now += timedelta(seconds=300)

    def drop_the_second() -> None:
        if scene.server.seen.count("read inbox") == 2:
            raise NO_ROUTE

    scene.server.staging, scene.server.reading = pass_time, drop_the_second
    scene.turn().run()
    assert scene.server.seen == [
        "open inbox", "read inbox", "open sender", "dot", "read inbox", "close inbox", "open inbox",
        "read inbox", "close sender", "close inbox",
    ]  # fmt: skip
    with scene.workspace.store.reading() as connection:
        assert inboxes.cursor_of(connection, scene.anna.id, INBOX) is not None
        failing = connection.execute(select(t.folder.c.failing_since, t.folder.c.read_at)).one()
    assert failing == (None, scene.time.now)


def test_h5_an_inbox_that_cannot_be_read_is_noted_and_first_messages_go(scene: Scene) -> None:
    scene.add("kim")
    scene.server.reading = refusing(NO_ROUTE)
    assert scene.turn().run()["sent"] == 1
    assert scene.server.seen[:3] == ["open inbox", "read inbox", "close inbox"]
    with scene.workspace.store.reading() as connection:
        noted = connection.execute(select(t.folder.c.failing_since, t.folder.c.last_error)).one()
    assert noted == (NOW, "connect: no route")


def failures(scene: Scene) -> list[str | None]:
    with scene.workspace.store.reading() as connection:
        return list(connection.execute(select(t.folder.c.last_error)).scalars())


def test_h5_when_a_fetch_breaks_the_connection_each_mail_is_fetched_alone_three_times_at_most(
    scene: Scene,
) -> None:
    scene.server.reading = refusing(BROKEN_OFF)
    scene.turn().sync()
    assert scene.server.at_once == [MAILS_AT_ONCE, 1, 1, 1]
    assert failures(scene) == ["connect: broken off"]


def test_h5_an_open_connection_that_breaks_may_only_have_been_idle_for_too_long(scene: Scene) -> None:
    """So a new one is first read in the same way."""

    def break_later() -> None:
        if len(scene.server.at_once) > 1:
            raise BROKEN_OFF

    def pass_time() -> None:
        scene.time.now += timedelta(seconds=300)

    scene.add("kim")
    scene.server.reading, scene.server.staging = break_later, pass_time
    scene.turn().run()
    assert scene.server.at_once == [MAILS_AT_ONCE, MAILS_AT_ONCE, MAILS_AT_ONCE, 1, 1, 1]


def test_h5_a_reading_that_is_broken_off_by_a_stop_is_not_tried_again_nor_noted(scene: Scene) -> None:
    scene.server.reading = refusing(BROKEN_OFF)
    scene.turn(stopping=lambda: True).sync()
    assert (scene.server.at_once, failures(scene)) == ([MAILS_AT_ONCE], [])


def test_d6_a_turn_counts_replies_and_unsubscribes_over_all_its_readings(scene: Scene) -> None:
    """Here the second reading, after five minutes, finds nothing new."""
    tokens = {"kim": "ab" * 16, "mia": "cd" * 16}
    for name, token in tokens.items():
        person = scene.workspace.add_recipient(scene.campaign, f"{name}@example.com")
        identity = {
            "token": token,
            "message_id": f"<{token}@example.org>",
            "unsubscribe_token": token,
        }
        scene.workspace.add_message(
            scene.anna, scene.campaign, person, to=f"{name}@example.com", state="sent", **identity
        )
    reply = f"From: kim@example.com\r\nIn-Reply-To: <{tokens['kim']}@example.org>\r\n\r\n"
    wish = f"From: mia@example.com\r\nSubject: unsubscribe {tokens['mia']}\r\n\r\n"
    scene.server.mails = [InboxHeaders(1, reply.encode()), InboxHeaders(2, wish.encode())]

    def pass_time() -> None:
        scene.time.now += timedelta(seconds=300)
        scene.server.mails = []

    scene.add("lee")
    scene.server.staging = pass_time
    assert scene.turn().run() == {"replies": 1, "unsubscribes": 1, "sent": 1}
    assert scene.server.seen.count("read inbox") == 2


def test_h5_an_inbox_that_was_left_alone_is_read_from_the_instant_of_its_next_try_on(scene: Scene) -> None:
    with scene.workspace.store.writing() as connection:
        inboxes.note_failure(connection, scene.anna.id, INBOX, "no route", NOW, next_try_at=NOW)
    scene.turn().sync()
    assert "read inbox" in scene.server.seen


# --- only the inbox


def test_h5_a_sync_reads_the_inbox_and_files_copies_and_sends_nothing(scene: Scene) -> None:
    scene.add("kim")
    scene.add_sent_with_copy()
    assert scene.turn().sync() == {"replies": 0, "unsubscribes": 0}
    assert scene.server.seen == ["open inbox", "read inbox", "look for copy", "close inbox"]
    assert (scene.states(), scene.copies()) == (["scheduled", "sent"], [])


def test_f3_copies_that_cannot_be_filed_are_tried_again_later(scene: Scene) -> None:
    scene.add_sent_with_copy()
    scene.server.filing = refusing(NO_ROUTE)
    scene.turn().sync()
    assert scene.server.seen[-2:] == ["look for copy", "close inbox"]
    assert scene.copies() == [(1, NOW + timedelta(minutes=5))]


def test_b10_copies_that_wait_are_worth_a_login_although_nothing_may_be_sent(scene: Scene) -> None:
    scene.add_sent_with_copy()
    with scene.workspace.store.writing() as connection:
        inboxes.note_read(connection, scene.anna.id, INBOX, FolderCursor(1, 0), NOW)
        connection.execute(update(t.mailbox).values(paused_at=NOW))
    scene.turn().run()
    assert scene.server.seen == ["open inbox", "read inbox", "look for copy", "close inbox"]
    scene.server.seen.clear()
    scene.turn().run()
    assert scene.server.seen == [], "there is nothing to do any more"


def test_c1_the_inbox_of_a_mailbox_that_is_not_connected_is_left_alone(scene: Scene) -> None:
    scene.set_connection(state="failed")
    scene.turn().sync()
    assert scene.server.seen == []


# --- notices


def test_c10_a_turn_for_notices_sends_all_of_them_and_nothing_else(scene: Scene) -> None:
    scene.add("kim")
    scene.add_notices(2)
    assert scene.turn().notify() == {"notified": 2}
    assert scene.states() == ["scheduled", "sent", "sent"]
    assert "open inbox" not in scene.server.seen


def test_c10_a_turn_for_notices_ends_at_the_first_that_may_not_leave(scene: Scene) -> None:
    """The second one, because of the gap."""
    tries: list[None] = []

    def stopping() -> bool:
        tries.append(None)
        return False

    scene.set_connection(gap_seconds=90)
    scene.add_notices(3)
    assert scene.turn(stopping=stopping).notify() == {"notified": 1}
    assert (len(tries), scene.states()) == (2, ["sent", "scheduled", "scheduled"])
