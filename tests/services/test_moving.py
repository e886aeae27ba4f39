"""Taking people on from another mailbox: who goes on, where, and who is reported instead."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.core.services.campaigns import campaign_life, campaign_views, reassigning
from mailrotate.core.services.campaigns.reassigning import Moved, Whom
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import (
    grace_extension,
    mailbox_removal,
    mailbox_views,
    reconnecting,
    slot_removal,
)
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.services.views import outbox_actions
from mailrotate.core.services.views.explaining import explain
from mailrotate.core.store import events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import reassignments
from mailrotate.core.store.people.reassignments import Choice
from mailrotate.core.values import reasons
from mailrotate.core.values.errors import Busy, NotFound, Refused
from mailrotate.core.values.hint import Command
from tests.support.addresses import connect
from tests.support.contexts import context_of
from tests.support.people import (
    ANNA,
    BEN,
    CLARA,
    DUE,
    LATER,
    MANY,
    STEPS,
    campaign_of,
    enrol_many,
    person,
    planned_by,
    row,
    sender_of,
    states,
)
from tests.support.rows import NOW, Sender, Workspace
from tests.support.statements import Watched

TOMORROW = NOW + timedelta(days=1)


def assign(
    context: Context, *addresses: str, to: str = BEN, **whom: Any
) -> tuple[Moved, list[tuple[str | None, str]]]:
    with ProblemSpool() as aside:
        moved = reassigning.assign(context, "autumn", Whom(addresses, **whom), to, aside=aside, now=TOMORROW)
        return moved, [(each.email, each.problem) for each in aside]


def test_b8_failed_people_are_taken_on_where_they_were_and_the_others_are_reported(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    workspace.add_mailbox(CLARA)
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    kinds = ("active", "waiting", "held", "new", "stopped", "replied")
    found = {kind: person(workspace, campaign, f"{kind}@example.com", kind, anna) for kind in kinds}
    mailbox_removal.remove(context, ANNA, tag="annas", now=LATER)
    why = explain(context, "autumn", "active@example.com", LATER)
    assert why.binding == "recipient"
    assert why.remedy == Command(
        "recipient", "assign", "autumn", "active@example.com", "--to-sender", "ADDRESS"
    )

    moved, left = assign(context, *(f"{kind}@example.com" for kind in kinds), "nobody@example.com", to=CLARA)
    assert (moved.moved, moved.became_sender) == (2, False)
    reasons = {str(email).partition("@")[0]: problem for email, problem in left}
    assert set(reasons) == {"held", "new", "stopped", "replied", "nobody"}
    assert reasons["stopped"] == "is stopped"
    assert "on its way" in reasons["held"]
    for kind in ("active", "waiting"):
        taken = row(workspace, found[kind])
        assert (taken.state, taken.reason, taken.ended_at, taken.assigned_reason) == (
            "active", None, None, "taken_on",
        )  # fmt: skip
        assert (taken.next_step, taken.next_at) == (2, NOW + STEPS[1][0]), "due as long after the first"
        assert sender_of(context, "autumn", f"{kind}@example.com") == CLARA
    assert row(workspace, found["stopped"]).state == "stopped"
    again, left = assign(context, tag="annas", to=CLARA)
    assert (again.moved, len(left)) == (0, 4), "the tag finds who was affected; nobody goes twice"
    with workspace.store.reading() as connection:
        told = [line.data["people"] for line in events.listing(connection) if "assigned" in line.action]
    assert told == [2], "what changed nothing is not in the log"


def test_b8_late_people_are_due_at_once_and_a_held_message_that_left_counts_as_a_step(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign(
        "autumn", [anna, ben], steps=(STEPS[0], (timedelta(hours=1), None, "B"))
    )
    late = person(workspace, campaign, "late@example.com", "active", anna)
    held = person(workspace, campaign, "held@example.com", "held", anna)
    mailbox_removal.remove(context, ANNA, now=LATER)
    with workspace.store.reading() as connection:
        held_one = select(t.message.c.id).where(t.message.c.state == "held")
        message_id = connection.execute(held_one).scalar_one()
    outbox_actions.resolve(context, [message_id], True, LATER)
    moved, left = assign(context, from_sender=ANNA)
    assert (moved.moved, left) == (2, [])
    assert (row(workspace, late).next_step, row(workspace, late).next_at) == (2, TOMORROW)
    assert (row(workspace, held).next_step, row(workspace, held).next_at) == (2, TOMORROW)
    assert planned_by(workspace, context, ben) == [BEN, BEN]


def test_b8_a_campaign_whose_single_sender_is_gone_gets_another_and_runs_again(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    workspace.add_mailbox(CLARA)
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    person(workspace, campaign, "active@example.com", "active", anna)
    person(workspace, campaign, "other@example.com", "active", anna)
    person(workspace, campaign, "planned@example.com", "planned", anna)
    mailbox_removal.remove(context, ANNA, now=LATER)
    assert campaign_views.show(context, "autumn", LATER).removed_senders == (ANNA,)
    moved, left = assign(context, "active@example.com")
    assert (moved.moved, moved.became_sender, moved.is_paused, left) == (1, True, True, [])
    assert moved.going_on == 2, "the one who was named, and the one who waited"
    assert sender_of(context, "autumn", "planned@example.com") == BEN, "they waited for the next sender"
    campaign_life.resume(context, "autumn", TOMORROW)
    rest, _ = assign(context, from_sender=ANNA, to=CLARA)
    assert (rest.moved, rest.became_sender) == (1, False)
    assert sender_of(context, "autumn", "other@example.com") == CLARA
    shown = campaign_views.show(context, "autumn", TOMORROW)
    assert (shown.mailbox_removed, shown.removed_senders) == (0, ())


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("to", [BEN, ANNA])
def test_b8_who_failed_by_a_removal_is_found_when_the_mailbox_is_connected_again(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender, rotates: bool, to: str
) -> None:
    campaign = workspace.add_campaign(
        "autumn", [anna, ben] if rotates else [anna], rotates=rotates, steps=STEPS
    )
    kinds = ("active", "waiting", "stopped", "replied")
    found = {kind: person(workspace, campaign, f"{kind}@example.com", kind, anna) for kind in kinds}
    mailbox_removal.remove(context, ANNA, now=LATER)
    assert connect(context, ANNA, None).address == ANNA
    assert campaign_views.show(context, "autumn", LATER).removed_senders == (ANNA,)
    moved, left = assign(context, from_sender=ANNA, to=to)
    assert moved.moved == 2
    assert [email for email, _ in left] == ["stopped@example.com"], "each is reported once"
    assert [row(workspace, number).state for number in found.values()] == [
        "active", "active", "stopped", "replied",
    ]  # fmt: skip
    assert {sender_of(context, "autumn", f"{kind}@example.com") for kind in ("active", "waiting")} == {to}


@pytest.mark.parametrize("to", [BEN, CLARA])
def test_b8_nobody_fails_by_the_removal_of_whoever_has_the_slot_now(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender, to: str
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    failed = person(workspace, campaign, "active@example.com", "active", anna)
    mailbox_removal.remove(context, ANNA, now=LATER)
    assert connect(context, CLARA, None).slot_id == anna.slot_id
    with pytest.raises((NotFound, Refused)) as nobody:
        assign(context, from_sender=CLARA, to=to)
    assert nobody.value.code == ("mailbox.same" if to == CLARA else "recipient.nobody")
    assert row(workspace, failed).state == "failed"


@pytest.mark.proof
def test_b8_more_people_may_be_named_than_a_statement_takes(workspace: Workspace, anna: Sender) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    failed = person(workspace, campaign, "active@example.com", "active", anna)
    mailbox_removal.remove(context_of(workspace), ANNA, now=LATER)
    many = Choice(campaign.id, reasons.MAILBOX_REMOVED, ids=range(1, 70_000))
    with workspace.store.writing() as connection:
        assert [one.id for some in reassignments.waiting(connection, many) for one in some] == [failed]
        assert list(reassignments.left_behind(connection, many)) == []


def test_b8_where_nobody_is_found_it_says_why_and_what_to_type(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("autumn", [ben], steps=STEPS)
    for whom in ({"from_sender": ANNA}, {"tag": "annas"}):
        with pytest.raises(NotFound) as nobody:
            assign(context, **whom)
        assert nobody.value.code == "recipient.nobody"
        assert nobody.value.hint
    mailbox_removal.remove(context, ANNA, now=LATER)
    with pytest.raises(NotFound, match=f"waits for {ANNA} or failed with it"):
        assign(context, from_sender=ANNA)
    with pytest.raises(Refused) as same:
        assign(context, from_sender=BEN, to=BEN)
    assert same.value.code == "mailbox.same"


def test_b8_open_people_of_a_living_sender_go_over_with_what_was_planned(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    kinds = ("active", "waiting", "held", "planned", "stopped", "replied")
    found = {kind: person(workspace, campaign, f"{kind}@example.com", kind, anna) for kind in kinds}
    moved, left = assign(context, from_sender=ANNA)
    assert (moved.moved, moved.became_sender) == (3, False)
    assert [email for email, _ in left] == ["held@example.com", "stopped@example.com"]
    for kind in ("active", "waiting", "planned"):
        assert sender_of(context, "autumn", f"{kind}@example.com") == BEN
        assert row(workspace, found[kind]).next_at == DUE
    assert states(workspace, found["waiting"]) == ["sent", "cancelled"]
    assert sender_of(context, "autumn", "held@example.com") == ANNA
    assert sorted(planned_by(workspace, context, ben)) == [BEN] * 3


def test_b8_nobody_is_taken_out_of_a_lane_that_is_at_work(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    with holding_lane(context, anna.id, NOW), pytest.raises(Busy):
        assign(context, from_sender=ANNA)


def test_b8_c6_people_go_only_to_a_connected_mailbox_of_the_owners_and_by_whom_the_campaign_is(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    dan = workspace.add_user("dan@example.org")
    workspace.add_mailbox("dan@example.com", dan)
    workspace.add_campaign("autumn", [anna], rotates=False)

    def code(to: str, by: Context = context) -> str:
        with pytest.raises(Refused) as refused:
            assign(by, from_sender=ANNA, to=to)
        assert refused.value.hint
        return refused.value.code

    assert code("dan@example.com") == "mailbox.not_owners"
    assert code(ANNA) == "mailbox.same"
    assert code(BEN, context_of(workspace, dan)) == "user.not_allowed"
    with workspace.store.writing() as connection:
        stored.change_connection(connection, ben.connection_id, state="failed")
    assert code(BEN) == "mailbox.not_connected"
    campaign_life.stop(context, "autumn", LATER)
    assert code(BEN) == "campaign.not_running"


@pytest.mark.proof
def test_b8_thousands_are_taken_on_in_one_transaction(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    enrol_many(workspace, campaign, anna)
    mailbox_removal.remove(context, ANNA, now=LATER)
    watched = Watched(workspace.store.engine)
    moved, left = assign(context, from_sender=ANNA)
    assert (moved.moved, moved.became_sender, left) == (MANY // 2, True, [])
    (transaction,) = watched.committed
    assert transaction
    assert campaign_of(workspace).pause_reasons == ("mailbox_removed",), "only a resume lifts it"
    r = t.recipient.c
    taken = select(func.count()).where(r.state == "active", r.next_step == 2, r.next_at == NOW + STEPS[1][0])
    with workspace.store.reading() as connection:
        assert connection.execute(taken).scalar_one() == MANY // 2


@pytest.mark.parametrize("move_to", [None, CLARA])
def test_b8_who_took_people_of_a_single_sender_over_can_be_removed_and_loses_nobody(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender, move_to: str | None
) -> None:
    workspace.add_mailbox(CLARA)
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    active = person(workspace, campaign, "active@example.com", "active", anna)
    new = person(workspace, campaign, "new@example.com", "new", anna)
    assert assign(context, from_sender=ANNA)[0].moved == 2
    following = mailbox_removal.consequences(context, BEN, move_to)
    mailbox_removal.remove(context, BEN, move_to=move_to, now=LATER)
    assert campaign_of(workspace, "autumn").state == "active", "its own sender is there"
    assert (row(workspace, new).state, sender_of(context, "autumn", "new@example.com")) == ("queued", ANNA)
    assert row(workspace, new).next_at is not None
    (told,) = following.campaigns
    assert (told.assigned_anew, told.waiting, told.pauses) == (1, 0, False)
    if move_to is None:
        assert (row(workspace, active).state, told.failed) == ("failed", 1)
    else:
        assert (sender_of(context, "autumn", "active@example.com"), told.moved) == (CLARA, 1)


def test_b8_c6_who_only_took_people_over_is_told_of_and_lets_the_campaign_go_on(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], steps=STEPS)
    person(workspace, campaign, "active@example.com", "active", anna)
    assert assign(context, from_sender=ANNA)[0].moved == 1
    (told,) = reconnecting.consequences(context, BEN).campaigns
    assert (told.name, told.people, told.fate) == ("autumn", 1, "goes_on")
    (of_slot,) = slot_removal.consequences(context, ben.slot_id, LATER).campaigns
    assert of_slot == told, "its slot's removal is a disconnect"
    (shown,) = mailbox_views.show(context, BEN, LATER).campaigns
    assert shown.people == 1
    reconnecting.disconnect(context, BEN, LATER)
    assert campaign_of(workspace, "autumn").state == "active"
    assert grace_extension.listing(context, LATER) == [], "C14"
    why = explain(context, "autumn", None, LATER)
    assert {gate.mailbox for gate in why.gates if gate.gate == "connection"} == {ANNA, BEN}
