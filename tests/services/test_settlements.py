"""What the end of a deadline does to people, senders and messages, on both databases (C8, C9, C11, F6)."""

import json
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.core.rules.transitions import DEADLINE
from mailrotate.core.services.campaigns import campaign_life, enrolment, rotation_senders
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import door, grace_periods
from mailrotate.core.services.effects.grace_periods import Settled
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.store import deadlines, senders
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.store.events import RUNNER
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import ClockTrouble, Refused
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import DeadlineKind, Departure, Phase
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace

HOUR = timedelta(hours=1)
END = NOW + HOUR
SECOND = timedelta(seconds=1)
KINDS = ("sent", "sending", "held", "error", "scheduled", "nothing")
CONTACTED = {"sent", "sending", "held"}


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


class Rotation:
    """Anna, who is away, and Ben; a recipient of Anna's for each state that a first message can be in."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.anna, self.ben = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben"))
        self.campaign: StoredCampaign = workspace.add_campaign("autumn", [self.anna, self.ben])
        self.annas, self.bens = workspace.senders(self.campaign)
        self.people: dict[str, int] = {}
        for kind in KINDS:
            address = f"{kind}@example.com"
            person = workspace.add_recipient(
                self.campaign, address, sender_id=self.annas, state="active" if kind == "sent" else "queued"
            )
            self.people[kind] = person
            if kind != "nothing":
                workspace.add_message(
                    self.anna, self.campaign, person, to=address, state=kind, campaign_sender_id=self.annas
                )

    def away(self, ends_at: datetime = END, kind: DeadlineKind = DeadlineKind.DISCONNECT) -> None:
        with self.workspace.store.writing() as connection:
            if kind is DeadlineKind.DISCONNECT:
                senders.depart(connection, [self.annas], Departure.DISCONNECTED, NOW)
            state = "disconnected" if kind is DeadlineKind.DISCONNECT else "failed"
            own = t.connection.c.mailbox_id == self.anna.id
            connection.execute(update(t.connection).where(own).values(state=state))
            deadlines.begin(
                connection, DEADLINE["begin"], self.anna.id, [self.campaign.id], kind, NOW, ends_at
            )

    def states(self) -> dict[str, str]:
        found = self.rows(select(t.recipient.c.id, t.recipient.c.state))
        named = {number: kind for kind, number in self.people.items()}
        return {named[row.id]: row.state for row in found}

    def messages(self) -> dict[str, str]:
        found = self.rows(select(t.message.c.to_address, t.message.c.state).order_by(t.message.c.id))
        return {row.to_address.partition("@")[0]: row.state for row in found}

    def rows(self, query: Any) -> list[Any]:
        with self.workspace.store.reading() as connection:
            return list(connection.execute(query).all())


@pytest.fixture
def rotation(workspace: Workspace) -> Rotation:
    return Rotation(workspace)


def settle(store: Store, now: datetime) -> Settled:
    with store.writing() as connection:
        return grace_periods.apply_passed(connection, now)


@pytest.mark.parametrize("kind", DeadlineKind)
def test_c9_the_contacted_are_stopped_for_good_and_the_others_go_to_another_sender(
    rotation: Rotation, kind: DeadlineKind
) -> None:
    rotation.away(kind=kind)
    store = rotation.workspace.store
    assert settle(store, END - SECOND) == Settled()
    assert settle(store, END) == Settled(3, 3)
    assert settle(store, END) == Settled(), "once"
    assert {one for one, state in rotation.states().items() if state == "stopped"} == CONTACTED
    given = rotation.rows(select(t.recipient.c.id).where(t.recipient.c.campaign_sender_id == rotation.bens))
    assert {row.id for row in given} == {rotation.people[one] for one in ("error", "scheduled", "nothing")}
    # C15: what is on its way or held stays, all else that was planned goes.
    messages = rotation.messages()
    assert messages == {
        "sent": "sent", "sending": "sending", "held": "held", "error": "cancelled", "scheduled": "cancelled",
    }  # fmt: skip
    (marks,) = rotation.rows(select(func.count()).select_from(t.stopped))
    assert marks[0] == 3
    (ended,) = rotation.rows(select(t.deadline.c.ended_by, t.deadline.c.ended_at, t.deadline.c.stopped_count))
    assert tuple(ended) == ("settled", END, 3)
    (anna,) = rotation.rows(
        select(t.campaign_sender.c.left_reason).where(t.campaign_sender.c.id == rotation.annas)
    )
    assert anna.left_reason == {"disconnect": "disconnected", "failure": "failed"}[kind]


@pytest.mark.parametrize("kind", DeadlineKind)
@pytest.mark.parametrize("has_other", [True, False])
def test_f5_a_settlement_is_one_event_that_says_whose_it_was_and_what_became_of_the_people(
    rotation: Rotation, kind: DeadlineKind, has_other: bool
) -> None:
    rotation.away(kind=kind)
    if not has_other:
        with rotation.workspace.store.writing() as connection:
            of_ben = t.connection.c.mailbox_id == rotation.ben.id
            connection.execute(update(t.connection).where(of_ben).values(state="failed"))
    settle(rotation.workspace.store, END + HOUR)
    e, d = t.event.c, t.deadline.c
    query = select(e.actor_id, e.mailbox_id, e.campaign_id, e.data, e.at).where(e.action == "grace.ended")
    (event,) = rotation.rows(query)
    assert event.actor_id is RUNNER.user_id
    assert (event.mailbox_id, event.campaign_id) == (rotation.anna.id, rotation.campaign.id)
    assert event.at == END + HOUR, "when it was done, which may be long after the end"
    assert json.loads(event.data) == {
        "kind": kind,
        "ends_at": END.isoformat(),
        "stopped": 3,
        "given_back": 3,
        "assigned": 3 if has_other else 0,
    }
    (counts,) = rotation.rows(select(d.stopped_count, d.reassigned_count))
    assert tuple(counts) == (3, 3)


def test_c9_a_deadline_on_which_nobody_hangs_ends_and_assigns_nobody(workspace: Workspace) -> None:
    rotation = Rotation(workspace)
    with workspace.store.writing() as connection:
        connection.execute(delete(t.message))
        connection.execute(delete(t.recipient))
    rotation.away()
    assert settle(workspace.store, END) == Settled()
    (event,) = rotation.rows(select(t.event.c.data).where(t.event.c.action == "grace.ended"))
    data = json.loads(event.data)
    assert (data["stopped"], data["given_back"], data["assigned"]) == (0, 0, 0)


WALLS = {
    "a state": lambda person: update(t.recipient).where(t.recipient.c.id == person).values(state="active"),
    "its deletion": lambda person: delete(t.recipient).where(t.recipient.c.id == person),
    "its address": lambda person: (
        update(t.recipient).where(t.recipient.c.id == person).values(address_hash="x")
    ),
    "its mark": lambda _person: delete(t.stopped),
    "a mark's instant": lambda _person: update(t.stopped).values(stopped_at=END + HOUR),
    "its message": lambda person: (
        update(t.message).where(t.message.c.recipient_id == person).values(state="scheduled")
    ),
}


@pytest.mark.parametrize("change", WALLS)
def test_c9_story_28_the_database_itself_refuses(rotation: Rotation, change: str) -> None:
    rotation.away()
    settle(rotation.workspace.store, END)
    with (
        pytest.raises(DBAPIError, match=r"stopped recipient|tombstone"),
        rotation.workspace.store.engine.begin() as own,
    ):
        own.execute(WALLS[change](rotation.people["sent"]))


def test_c9_nobody_with_a_mark_is_enrolled_whoever_writes(rotation: Rotation) -> None:
    rotation.away()
    settle(rotation.workspace.store, END)
    columns = [column for column in t.recipient.c if column.name not in ("id", "contact_id", "state")]
    first = select(*columns, func.max(t.contact.c.id).over(), text("'queued'")).where(
        t.recipient.c.id == rotation.people["sent"]
    )
    names = [*(column.name for column in columns), "contact_id", "state"]
    extra = rotation.workspace.add_recipient(
        rotation.workspace.add_campaign("other", [rotation.ben]), "new@example.com"
    )
    assert extra
    statement = insert(t.recipient).from_select(
        names, first.select_from(t.recipient.join(t.contact, text("true")))
    )
    with pytest.raises(DBAPIError, match="stopped recipient"), rotation.workspace.store.engine.begin() as own:
        own.execute(statement)


def test_c9_story_32_a_message_that_is_sending_at_the_end_is_recorded_and_its_recipient_stays_stopped(
    rotation: Rotation, context: Context
) -> None:
    store = rotation.workspace.store
    with store.writing() as connection:
        kept = t.message.c.to_address.not_in(["sending@example.com"])
        connection.execute(update(t.message).where(kept, t.is_waiting).values(ready_at=END + HOUR))
        connection.execute(update(t.message).where(~kept).values(state="scheduled", ready_at=NOW))
    lane = rotation.workspace.own_lane(rotation.anna, rotation.workspace.add_runner())
    claimed = Claims(context, lane).next(NOW)
    assert isinstance(claimed, Claim)
    rotation.away()
    settle(store, END)
    assert rotation.states()["sending"] == "stopped"
    reply = ServerReply(Phase.DOT, 250, "2.0.0", "2.0.0 taken")
    with context.store.sending() as block:
        settling.settle_sent(block, claimed, claimed.box, reply, END + SECOND)
    assert rotation.messages()["sending"] == "sent"
    assert rotation.states()["sending"] == "stopped"


def test_c9_all_else_of_a_stopped_recipient_stays_writable(rotation: Rotation) -> None:
    """The message in flight is settled, a reply is recorded, a contact is erased (D6, I4)."""
    rotation.away()
    settle(rotation.workspace.store, END)
    sending = t.message.c.recipient_id == rotation.people["sending"]
    with rotation.workspace.store.engine.begin() as own:
        own.execute(update(t.message).where(sending).values(state="sent", sent_at=END))
        own.execute(update(t.recipient).values(fields="{}", reason="erased"))
        own.execute(update(t.contact).values(address=None, canonical=None, domain=None))
    assert rotation.messages()["sending"] == "sent"


def test_c11_deadlines_are_settled_in_the_order_of_their_instants(workspace: Workspace) -> None:
    """Ben's time is over first: Anna, whose failure ends later, still gets his people then."""
    anna, ben, cleo = (workspace.add_mailbox(f"{name}@example.org") for name in ("anna", "ben", "cleo"))
    campaign = workspace.add_campaign("autumn", [anna, ben, cleo])
    ids = workspace.senders(campaign)
    for number in range(2):
        workspace.add_recipient(campaign, f"p{number}@example.com", sender_id=ids[1])
    with workspace.store.writing() as connection:
        for box, after in ((anna, 2 * HOUR), (ben, HOUR)):
            own = t.connection.c.mailbox_id == box.id
            connection.execute(update(t.connection).where(own).values(state="failed"))
            deadlines.begin(
                connection, DEADLINE["begin"], box.id, [campaign.id], DeadlineKind.FAILURE, NOW, NOW + after
            )
    assert settle(workspace.store, NOW + 3 * HOUR) == Settled(0, 2)
    with workspace.store.reading() as connection:
        ended = connection.execute(select(t.deadline.c.mailbox_id).order_by(t.deadline.c.ended_at)).scalars()
        assert list(ended) == [ben.id, anna.id]
        holders = connection.execute(select(t.recipient.c.campaign_sender_id)).scalars()
        assert set(holders) == {ids[2]}


def test_c11_a_reader_shows_the_state_after_a_deadline_and_changes_nothing(
    rotation: Rotation, context: Context
) -> None:
    rotation.away()
    states = select(t.recipient.c.state)
    with door.looking(context, END) as connection:
        assert list(connection.execute(states).scalars()).count("stopped") == 3
    with door.looking(context, None) as connection:
        assert list(connection.execute(states).scalars()).count("stopped") == 0
    assert "stopped" not in rotation.states().values()


def test_c11_a_deciding_service_settles_first_in_its_own_transaction(
    rotation: Rotation, context: Context
) -> None:
    rotation.away()
    with pytest.raises(RuntimeError), door.acting(context, END):
        raise RuntimeError("the command failed")
    assert "stopped" not in rotation.states().values()
    with door.acting(context, END):
        pass
    assert list(rotation.states().values()).count("stopped") == 3


def test_f6_a_clock_that_lags_decides_nothing_while_a_deadline_runs(
    rotation: Rotation, context: Context
) -> None:
    rotation.away()
    with rotation.workspace.store.writing() as connection:
        connection.execute(update(t.workspace).values(last_pass_at=NOW + timedelta(minutes=30)))
    behind = NOW + timedelta(minutes=28)
    with pytest.raises(ClockTrouble), door.acting(context, behind):
        pass
    with rotation.workspace.store.writing() as connection:
        grace_periods.end_with_mailbox(connection, rotation.anna.id, NOW)
    with door.acting(context, behind):
        pass


def test_c8_added_again_within_the_hour_it_has_its_place_and_later_a_new_one(
    rotation: Rotation, context: Context
) -> None:
    rotation.away()
    with rotation.workspace.store.writing() as connection:
        own = t.connection.c.mailbox_id == rotation.anna.id
        connection.execute(update(t.connection).where(own).values(state="connected"))
    joined = rotation_senders.add(context, "autumn", rotation.anna.address, END - SECOND)
    assert (joined.came_back, joined.people) == (True, 6)
    rotation.away(END + HOUR)
    with rotation.workspace.store.writing() as connection:
        connection.execute(update(t.connection).where(own).values(state="connected"))
    joined = rotation_senders.add(context, "autumn", rotation.anna.address, END + HOUR)
    assert (joined.came_back, joined.people) == (False, 0)
    assert list(rotation.states().values()).count("stopped") == 3


def test_c8_when_the_hour_is_over_a_plain_resume_works_again(rotation: Rotation, context: Context) -> None:
    rotation.away()
    campaign_life.pause(context, "autumn", NOW)
    with pytest.raises(Refused) as refused:
        campaign_life.resume(context, "autumn", END - SECOND)
    assert refused.value.code == "campaign.grace"
    assert campaign_life.resume(context, "autumn", END).names == ("autumn",)


def test_c9_who_is_stopped_in_one_campaign_can_join_another(rotation: Rotation, context: Context) -> None:
    rotation.away()
    settle(rotation.workspace.store, END)
    rotation.workspace.add_campaign("winter", [rotation.ben])
    with ProblemSpool() as aside:
        with pytest.raises(Refused, match="was stopped in this campaign"):
            enrolment.add(context, "autumn", "sent@example.com", {"name": "Kim"}, aside=aside, now=END)
        enrolment.add(context, "winter", "sent@example.com", {"name": "Kim"}, aside=aside, now=END)


def test_e3_a_sender_that_is_taken_out_gives_back_who_was_not_contacted(
    rotation: Rotation, context: Context
) -> None:
    leaving = rotation_senders.remove(context, "autumn", rotation.anna.address, NOW)
    assert (leaving.finished, leaving.given_back, leaving.waiting) == (3, 3, 0)
    assert {one for one, state in rotation.states().items() if state == "finished"} == CONTACTED
    given = rotation.rows(select(t.recipient.c.id).where(t.recipient.c.campaign_sender_id == rotation.bens))
    assert {row.id for row in given} == {rotation.people[one] for one in ("error", "scheduled", "nothing")}


def test_c9_field_54_two_processes_at_the_end_settle_once(rotation: Rotation) -> None:
    rotation.away()
    store = rotation.workspace.store
    found: list[Settled] = []
    ready = threading.Barrier(2)

    def run() -> None:
        own = open_store(str(store.path)) if store.path else open_store(store.name)
        try:
            ready.wait(10)
            found.append(settle(own, END))
        finally:
            own.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found, key=lambda one: one.stopped) == [Settled(), Settled(3, 3)]
