"""Removing a mailbox: who ends, who goes on, who waits, and what becomes of the seat, on both databases."""

import csv
import tracemalloc
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from mailrotate.adapters.people_file import write_rows
from mailrotate.core.services.campaigns import campaign_life, campaign_views
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.consequences import Fate, HitCampaign
from mailrotate.core.services.mailboxes import (
    connecting,
    mailbox_removal,
    mailbox_settings,
    mailbox_views,
    plan_changes,
    sharing,
)
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.sending import inbox_reading
from mailrotate.core.services.sending.rendering import StepCache, letter_for, letterhead_of
from mailrotate.core.services.views import outbox_actions
from mailrotate.core.services.views.explaining import explain
from mailrotate.core.store import campaigns as stored_campaigns
from mailrotate.core.store import connections, events, seat_addresses, workspaces
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.dialects import Wall, build_wall
from mailrotate.core.store.events import Actor
from mailrotate.core.store.sending import inboxes, sending_mailboxes
from mailrotate.core.store.sending import outbox as stored_outbox
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import CampaignState, MessageState
from tests.support.contexts import context_of
from tests.support.inbox import Inbox
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
    name_step,
    person,
    planned_by,
    row,
    sender_of,
    states,
)
from tests.support.rows import NOW, Sender, Workspace
from tests.support.statements import Watched


def remove(context: Context, address: str = ANNA, **options: Any) -> mailbox_removal.RemovalConsequences:
    told = mailbox_removal.consequences(context, address, options.get("move_to"))
    done = mailbox_removal.remove(context, address, now=LATER, **options)
    assert vars(done) | {"tagged": 0} == vars(told), "what was shown is what was done"
    return done


def refused(context: Context, address: str = ANNA, **options: Any) -> str:
    with pytest.raises(Refused) as trouble:
        mailbox_removal.remove(context, address, now=LATER, **options)
    assert trouble.value.hint
    return trouble.value.code


# --- without another mailbox


def test_b8_contacted_people_of_a_rotation_fail_and_the_others_are_assigned_anew(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    kinds = ("active", "waiting", "held", "new", "planned", "replied", "stopped")
    found = {kind: person(workspace, campaign, f"{kind}@example.com", kind, anna) for kind in kinds}
    told = remove(context)
    assert told.campaigns == [
        HitCampaign(
            "autumn", CampaignState.ACTIVE, True, people=5, fate=Fate.GOES_ON, failed=3, assigned_anew=2,
            cancelled=2,
        )
    ]  # fmt: skip
    for kind in ("active", "waiting", "held"):
        gone = row(workspace, found[kind])
        assert (gone.state, gone.reason, gone.next_at) == ("failed", "mailbox_removed", None), kind
        assert gone.next_step == (1 if kind == "held" else 2), "they keep their place"
    for kind in ("new", "planned"):
        assert row(workspace, found[kind]).state == "queued"
        assert sender_of(context, "autumn", f"{kind}@example.com") == BEN
        assert row(workspace, found[kind]).next_at == LATER
    assert [row(workspace, found[kind]).state for kind in ("replied", "stopped")] == ["replied", "stopped"]
    assert states(workspace, found["waiting"]) == ["sent", "cancelled"]
    assert states(workspace, found["planned"]) == ["cancelled"]
    assert states(workspace, found["held"]) == ["held"], "nobody knows whether it left"
    assert campaign_of(workspace).state is CampaignState.ACTIVE


def test_b8_a_single_sender_campaign_pauses_and_whoever_was_not_contacted_keeps_their_place(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    draft = workspace.add_campaign("draft", [anna], rotates=False, state="draft")
    active = person(workspace, campaign, "active@example.com", "active", anna)
    planned = person(workspace, campaign, "planned@example.com", "planned", anna)
    told = {campaign.name: campaign for campaign in remove(context).campaigns}
    assert (told["autumn"].failed, told["autumn"].waiting, told["autumn"].pauses) == (1, 1, True)
    assert (told["draft"].state, told["draft"].pauses) == (CampaignState.DRAFT, False)
    assert campaign_of(workspace).pause_reasons == ("mailbox_removed",)
    assert row(workspace, active).state == "failed"
    waiting = row(workspace, planned)
    assert (waiting.state, waiting.next_at) == ("queued", DUE)
    assert waiting.campaign_sender_id == workspace.senders(campaign)[0]
    with pytest.raises(Refused) as no_sender:
        campaign_life.resume(context, "autumn", LATER)
    again = Command("recipient", "assign", "autumn", "--from-sender", ANNA, "--to-sender", "ADDRESS")
    assert no_sender.value.hint == again
    assert explain(context, "autumn", None, LATER).remedy == again
    assert campaign_views.show(context, "autumn", LATER).mailbox_removed == 1
    with workspace.store.reading() as connection:
        assert stored_campaigns.by_id(connection, draft.id).pause_reasons == ()


def test_c7_b8_a_rotation_pauses_with_its_last_able_sender(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    failed = workspace.add_mailbox(CLARA, state="failed")
    campaign = workspace.add_campaign("autumn", [anna, failed], steps=STEPS)
    new = person(workspace, campaign, "new@example.com", "new", anna)
    told = remove(context).campaigns[0]
    assert (told.assigned_anew, told.waiting, told.pauses) == (0, 1, True)
    assert campaign_of(workspace).pause_reasons == ("mailbox_removed",)
    assert row(workspace, new).campaign_sender_id is None


def test_d9_b8_a_mailbox_that_a_step_names_is_removed_only_with_one_that_sends_the_step(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [ben], rotates=False, steps=STEPS)
    name_step(workspace, campaign, 2, anna)
    active = person(workspace, campaign, "active@example.com", "active", ben)
    for act in (lambda: remove(context), lambda: mailbox_removal.consequences(context, ANNA, None)):
        with pytest.raises(Refused, match="'autumn'") as refused:
            act()
        assert refused.value.code == "mailbox.step_sender"
    assert row(workspace, active).state == "active", "nothing has changed"
    campaign_life.stop(context, "autumn", LATER)
    assert not remove(context).campaigns


# --- with another mailbox


def test_b8_d5_another_mailbox_takes_the_contacted_people_of_a_rotation_in_their_threads(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    clara = workspace.add_mailbox(CLARA)
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    active = person(workspace, campaign, "active@example.com", "active", anna)
    waiting = person(workspace, campaign, "waiting@example.com", "waiting", anna)
    stopped = person(workspace, campaign, "stopped@example.com", "stopped", anna)
    new = person(workspace, campaign, "new@example.com", "new", anna)
    told = remove(context, move_to=CLARA).campaigns[0]
    assert (told.failed, told.moved, told.assigned_anew, told.pauses) == (0, 2, 1, False)
    for found in (active, waiting):
        kept = row(workspace, found)
        assert (kept.state, kept.next_step, kept.next_at, kept.assigned_reason) == ("active", 2, DUE, "moved")
    assert row(workspace, stopped).state == "stopped"
    assert sender_of(context, "autumn", "new@example.com") == BEN, "it does not join the rotation"
    assert states(workspace, waiting) == ["sent", "cancelled"]
    assert planned_by(workspace, context, clara) == [CLARA, CLARA]
    with workspace.store.reading() as connection:
        m = t.message.c
        first = connection.execute(
            select(m.message_id).where(m.recipient_id == waiting, m.state == "sent")
        ).scalar_one()
        planned = connection.execute(
            select(m.id).where(m.recipient_id == waiting, m.state == "scheduled")
        ).scalar_one()
        message = stored_outbox.by_id(connection, planned)
        assert message is not None
        assert (message.step_position, message.due_at) == (2, DUE)
        box = sending_mailboxes.by_id(connection, clara.id)
        letter = letter_for(connection, StepCache(), message, letterhead_of(connection, box), campaign)
    assert (letter.in_reply_to, letter.references, letter.from_address) == (first, (first,), CLARA)
    # Whoever comes later is nothing to it either.
    late = workspace.add_recipient(campaign, "late@example.com")
    from mailrotate.core.services.effects import assigning

    with workspace.store.writing() as connection:
        assigning.assign_waiting(connection, campaign.id, LATER)
    assert sender_of(context, "autumn", "late@example.com") == BEN
    assert row(workspace, late).assigned_reason == "equal"
    assert row(workspace, new).assigned_reason == "equal"


def test_b8_a_rotation_without_anybody_else_goes_on_for_those_who_were_moved(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], steps=STEPS)
    person(workspace, campaign, "active@example.com", "active", anna)
    person(workspace, campaign, "new@example.com", "new", anna)
    told = remove(context, move_to=BEN).campaigns[0]
    assert (told.moved, told.assigned_anew, told.waiting, told.pauses) == (1, 0, 1, False)
    assert campaign_of(workspace).state is CampaignState.ACTIVE
    assert planned_by(workspace, context, ben) == [BEN]


def test_b8_a_mailbox_of_the_rotation_may_take_over_and_stays_in_it(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    active = person(workspace, campaign, "active@example.com", "active", anna)
    new = person(workspace, campaign, "new@example.com", "new", anna)
    remove(context, move_to=BEN)
    bens = workspace.senders(campaign)[1]
    assert {row(workspace, found).campaign_sender_id for found in (active, new)} == {bens}


def test_b8_another_mailbox_becomes_the_sender_of_single_sender_campaigns_and_of_named_steps(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    draft = workspace.add_campaign("draft", [anna], rotates=False, state="draft")
    name_step(workspace, draft, 1, anna)
    person(workspace, campaign, "active@example.com", "active", anna)
    person(workspace, campaign, "planned@example.com", "planned", anna)
    told = remove(context, move_to=BEN).campaigns
    assert [(one.name, one.moved, one.pauses) for one in told] == [("autumn", 2, False), ("draft", 0, False)]
    assert {sender_of(context, "autumn", f"{kind}@example.com") for kind in ("active", "planned")} == {BEN}
    assert sorted(planned_by(workspace, context, ben)) == [BEN, BEN]
    assert [sender.address for sender in campaign_views.show(context, "draft", LATER).senders] == [BEN]
    with workspace.store.reading() as connection:
        steps = stored_campaigns.steps_of(connection, draft.id, 1)
    assert steps[0].sender_mailbox_id == ben.id


def test_c6_b8_what_was_paused_stays_paused_and_graces_end(
    workspace: Workspace, context: Context, ben: Sender
) -> None:
    anna = workspace.add_mailbox(ANNA, state="failed")
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, state="paused")
    with workspace.store.writing() as connection:
        stored_campaigns.add_pause(connection, campaign.id, "mailbox_failed", anna.id, NOW)
        connection.execute(
            insert(t.deadline).values(
                mailbox_id=anna.id, campaign_id=campaign.id, kind="failure", started_at=NOW, ends_at=DUE
            )
        )
    remove(context, move_to=BEN)
    assert campaign_of(workspace).pause_reasons == ("mailbox_failed",)
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.deadline.c.ended_at)).scalar_one() == LATER
    campaign_life.resume(context, "autumn", LATER)


def test_b8_c5_the_campaigns_of_a_slot_that_another_address_took_are_not_concerned(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False)
    with workspace.store.writing() as connection:
        stored.change_connection(connection, anna.connection_id, state="disconnected")
        connection.execute(
            update(t.slot).where(t.slot.c.id != anna.slot_id, t.slot.c.user_id == 1).values(user_id=None)
        )
    ben = workspace.add_mailbox(BEN)
    assert ben.slot_id == anna.slot_id
    person(workspace, campaign, "active@example.com", "active", ben)
    assert remove(context).campaigns == []
    assert sender_of(context, "autumn", "active@example.com") == BEN


# --- the same address again


def connect_again(workspace: Workspace, context: Context, **settings: str) -> None:
    """Connect the removed address again, on the same seat and with the same servers."""
    with workspace.store.reading() as connection:
        known = stored.by_address(connection, ANNA)
        assert known is not None
        former = connections.login_of(connection, known.id)
    servers = ServerGuess(former.provider, former.smtp, former.imap, "flags")
    password = Password(Secret("not to be guessed"))
    new = NewConnection(ANNA, servers, password, settings)
    connecting.connect(context, new, LATER)


def test_b6_b8_a_removal_ends_the_mailboxs_shares(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    """A user it was shared with sees neither the removed mailbox nor its next connection."""
    dan, eve = workspace.add_user("dan@example.org"), workspace.add_user("eve@example.org")
    plan_changes.change(context, PlanChange(shared_mailboxes=True), NOW)
    mailbox_settings.change(context, ANNA, {"access": "shared"}, NOW)
    sharing.add(context, ANNA, dan.email, NOW)
    of_dan = replace(context, actor=Actor(dan.id, "tester"))
    assert [one.address for one in mailbox_views.listing(of_dan, NOW)] == [ANNA]
    remove(context)
    assert mailbox_views.listing(of_dan, LATER, removed=True) == []
    with pytest.raises(Refused):
        mailbox_views.show(of_dan, ANNA, LATER)
    connect_again(workspace, context, access="shared")
    sharing.add(context, ANNA, eve.email, LATER)
    assert sharing.listing(context, ANNA) == [eve.email]
    assert mailbox_views.listing(of_dan, LATER) == []


def test_f3_b8_a_removal_drops_the_sent_copies_that_are_still_to_be_filed(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    sent = workspace.add_sent(anna, NOW)
    with workspace.store.writing() as connection:
        inboxes.keep_copy(connection, sent, anna.id, b"Subject: Hello\r\n\r\nHello", NOW)
    remove(context)
    connect_again(workspace, context)
    with workspace.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, anna.id)
    assert inbox_reading.file_copies(context, Inbox(), box, LATER) == 0


# --- refusals


def test_b8_it_moves_only_to_a_connected_mailbox_that_each_owner_may_use(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    dan = workspace.add_user("dan@example.org")
    workspace.add_mailbox("dan@example.com", dan)
    workspace.add_mailbox(CLARA, state="failed")
    workspace.add_campaign("autumn", [anna], rotates=False)
    assert refused(context, move_to=ANNA) == "mailbox.same"
    assert refused(context, move_to=CLARA) == "mailbox.not_connected"
    with pytest.raises(Refused, match=r"autumn.*admin@example\.org") as owners:
        mailbox_removal.consequences(context, ANNA, "dan@example.com")
    assert owners.value.code == "mailbox.not_owners"
    stranger = context_of(workspace, dan)
    assert refused(stranger) == "user.not_allowed", "B6: admins, and the seat's own user"
    with pytest.raises(NotFound):
        mailbox_removal.remove(context, ANNA, move_to="nobody@example.org", now=LATER)


def test_b8_it_is_refused_while_a_message_of_it_is_being_sent(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    from mailrotate.core.services.sending.lane_holding import holding_lane

    campaign = workspace.add_campaign("autumn", [anna])
    sending = person(workspace, campaign, "planned@example.com", "planned", anna)
    with holding_lane(context, anna.id, NOW) as lane:
        with pytest.raises(Busy):
            mailbox_removal.remove(context, ANNA, now=LATER)
        claimed = {"state": "sending", "runner_id": lane.runner_id, "claim_token": "x", "claimed_at": NOW}
        with workspace.store.writing() as connection:
            connection.execute(update(t.message).values(**claimed))
        assert refused(context) == "mailbox.sending"
    assert row(workspace, sending).state == "queued"
    remove_after_its_death = mailbox_removal.remove(context, ANNA, now=LATER)
    assert remove_after_its_death.waiting_messages == 1, "what a dead process left is settled first"


# --- the seat


def test_b5_the_default_passes_to_the_mailbox_that_is_connected_for_longest(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    workspace.add_mailbox(BEN, connected_at=NOW + timedelta(hours=2))
    workspace.add_mailbox(CLARA, connected_at=NOW + timedelta(hours=1))
    with workspace.store.writing() as connection:
        workspaces.set_default_mailbox(connection, workspace.admin.id, anna.id)
    for gone, heir in ((ANNA, CLARA), (CLARA, BEN), (BEN, None)):
        told = remove(context, gone)
        assert (told.is_default, told.next_default) == (True, heir)
    with workspace.store.reading() as connection:
        user = workspaces.user_by_id(connection, workspace.admin.id)
        logged = [e.data["after"] for e in events.listing(connection) if e.action == "mailbox.default"]
    assert user is not None
    assert user.default_mailbox_id is None
    assert [after is None for after in logged] == [False, False, True]


def test_b8_a7_a9_the_seat_is_clear_and_the_history_stays(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    person(workspace, campaign, "active@example.com", "active", anna)
    with workspace.store.writing() as connection:
        stored.change_connection(connection, anna.connection_id, secret=b"sealed")
        connection.execute(
            insert(t.mailbox_request).values(
                address=ANNA, canonical=canonical_address(ANNA), user_id=1, requested_by=1,
                state="approved", requested_at=NOW, checks="[]",
            )
        )  # fmt: skip
    assert remove(context).approval_ends
    with workspace.store.reading() as connection:
        box = stored.by_id(connection, anna.id)
        assert (box.state, box.removed_at) == ("disconnected", LATER)
        assert connections.login_of(connection, anna.id).secret is None
        assert seat_addresses.holding(connection, ANNA) is None
        assert connection.execute(select(t.mailbox_request.c.ended_at)).scalar_one() == LATER
        about = [e.action for e in events.listing(connection, mailbox_id=anna.id)]
    assert about == ["campaign.paused", "campaign.sender_removed", "mailbox.removed"]
    assert mailbox_views.listing(context, LATER) == []
    (gone,) = mailbox_views.listing(context, LATER, removed=True)
    assert (gone.address, gone.sent_today, gone.slot_id) == (ANNA, 1, None)
    assert mailbox_views.show(context, ANNA, LATER).listed.removed_at == LATER
    found = list(outbox_actions.listing(context, outbox_actions.Which(mailbox=ANNA), LATER))
    assert [one.message.state for one in found] == [MessageState.SENT]
    with pytest.raises(NotFound) as removed:
        mailbox_removal.remove(context, ANNA, now=LATER)
    assert removed.value.code == "mailbox.removed"


def test_f3_what_was_held_and_did_not_leave_goes_from_the_mailbox_that_took_over(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    held = person(workspace, campaign, "held@example.com", "held", anna)
    remove(context, move_to=BEN)
    with workspace.store.reading() as connection:
        message_id = connection.execute(select(t.message.c.id)).scalar_one()
    outbox_actions.resolve(context, [message_id], False, LATER)
    assert states(workspace, held) == ["cancelled"]
    assert planned_by(workspace, context, ben) == [BEN]


# --- tag and list


def test_b8_everybody_affected_is_tagged_and_can_be_listed(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender, tmp_path: Path
) -> None:
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    for kind in ("active", "new", "replied"):
        person(workspace, campaign, f"{kind}@example.com", kind, anna)
    person(workspace, campaign, "bens@example.com", "active", ben, number=1)
    with mailbox_removal.people(context, ANNA) as found:
        listed = [(one.campaign, one.email, one.state, one.step, one.last_sent_at) for one in found]
    assert listed == [
        ("autumn", "active@example.com", "active", 2, NOW),
        ("autumn", "new@example.com", "queued", 1, None),
    ]
    assert remove(context, tag="annas").tagged == 2
    with workspace.store.reading() as connection:
        query = select(t.contact.c.address).join(t.contact_tag, t.contact_tag.c.contact_id == t.contact.c.id)
        assert set(connection.execute(query).scalars()) == {"active@example.com", "new@example.com"}


def test_i3_a_list_has_no_formulas_and_is_never_written_over_anything(tmp_path: Path) -> None:
    file = tmp_path / "new" / "people.csv"
    rows = [("=1+1", "+kim@example.com", 'a "b", c'), ("@sum", "-x", "")]
    assert write_rows(file, ("a", "b", "c"), rows) == 2
    assert file.read_bytes().startswith(b'a,b,c\r\n\'=1+1,\'+kim@example.com,"a ""b"", c"\r\n')
    with file.open(newline="") as text:
        assert list(csv.reader(text))[2] == ["'@sum", "'-x", ""]
    with pytest.raises(BadInput) as there:
        write_rows(file, ("a",), [])
    assert there.value.code == "export.exists"
    with pytest.raises(BadInput) as nowhere:
        write_rows(file / "below" / "people.csv", ("a",), [])
    assert nowhere.value.code == "export.failed"


# --- thousands


def everything(connection: Connection) -> dict[str, list[Any]]:
    tables = (t.recipient, t.message, t.campaign_sender, t.connection, t.mailbox, t.event, t.user)
    return {table.name: sorted(map(repr, connection.execute(select(table)))) for table in tables}


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_b8_ten_thousand_people_move_in_one_transaction_and_keep_place_thread_and_history(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], rotates=False, steps=STEPS)
    enrol_many(workspace, campaign, anna)
    query = select(t.recipient).order_by(t.recipient.c.id)
    sent = select(t.message).where(t.message.c.state == "sent").order_by(t.message.c.id)
    with workspace.store.reading() as connection:
        before, history = connection.execute(query).all(), connection.execute(sent).all()
    watched = Watched(workspace.store.engine)
    tracemalloc.start()
    told = mailbox_removal.remove(context, ANNA, move_to=BEN, tag="annas", now=LATER)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (told.campaigns[0].moved, told.waiting_messages, told.tagged) == (MANY, MANY // 2, MANY)
    (transaction,) = watched.committed
    assert len(transaction) < 80, "a statement for a set, not one for each"
    assert peak < 5_000_000
    with workspace.store.reading() as connection:
        after = connection.execute(query).all()
        assert connection.execute(sent).all() == history
        counts = Counter(connection.execute(select(t.message.c.state)).scalars())
    assert counts == {"sent": MANY // 2, "cancelled": MANY // 2}
    places = [(one.id, one.state, one.next_step, one.campaign_sender_id) for one in before]
    assert [(one.id, one.state, one.next_step, one.campaign_sender_id) for one in after] == places
    assert {one.next_at for one in after} == {DUE}
    assert sender_of(context, "autumn", "p1@example.com") == BEN
    planned_by(workspace, context, ben)
    m = t.message.c
    with workspace.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, ben.id)
        planned = connection.execute(select(m.id, m.recipient_id).where(m.state == "scheduled")).all()
        assert planned
        for message_id, recipient_id in planned[:50]:
            message = stored_outbox.by_id(connection, message_id)
            assert message is not None
            letter = letter_for(connection, StepCache(), message, letterhead_of(connection, box), campaign)
            follows = message.step_position == 2
            assert letter.in_reply_to == (f"<s{recipient_id}@example.org>" if follows else None)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_b8_ten_thousand_people_of_a_rotation_go_their_ways_in_one_transaction(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    clara = workspace.add_mailbox(CLARA)
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    enrol_many(workspace, campaign, anna)
    watched = Watched(workspace.store.engine)
    told = mailbox_removal.remove(context, ANNA, move_to=CLARA, now=LATER).campaigns[0]
    assert (told.moved, told.assigned_anew) == (MANY // 2, MANY // 2)
    (transaction,) = watched.committed
    assert len(transaction) < 80
    shares = {s.address: s.assigned for s in campaign_views.show(context, "autumn", LATER).senders}
    assert shares == {ANNA: 0, BEN: MANY // 2, CLARA: MANY // 2}
    assert clara.id


def test_b8_when_its_last_line_cannot_be_written_nothing_was_changed(
    workspace: Workspace, context: Context, anna: Sender, ben: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna, ben], steps=STEPS)
    enrol_many(workspace, campaign, anna, 200)
    with workspace.store.writing() as connection:
        build_wall(
            connection,
            Wall("no_line", "event", "INSERT", "NEW.action = 'mailbox.removed'", "the disk is full"),
        )
        before = everything(connection)
    with pytest.raises(DBAPIError, match="the disk is full"):
        mailbox_removal.remove(context, ANNA, now=LATER)
    with workspace.store.reading() as connection:
        assert everything(connection) == before
