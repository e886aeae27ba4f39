"""Slots, the team's pool and what a removal ends, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, update

from mailrotate.core.services.campaigns import campaign_life
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import grace_periods
from mailrotate.core.services.mailboxes import (
    connecting,
    mailbox_views,
    plan_changes,
    reconnecting,
    slot_pool,
    slot_removal,
)
from mailrotate.core.services.mailboxes.connecting import NewConnection
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.mailboxes.slot_pool import UserSlots
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import overview
from mailrotate.core.store import events, senders
from mailrotate.core.store import slots as stored
from mailrotate.core.store import tables as t
from mailrotate.core.values.credential import Password
from mailrotate.core.values.errors import (
    BadInput,
    Busy,
    ConfirmationNeeded,
    MailrotateError,
    NotFound,
    Refused,
)
from mailrotate.core.values.hint import Ask, Command, Hint
from mailrotate.core.values.mail import Endpoint, ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import ConnectionState, Role, Security
from tests.support.contexts import KeyInMemory, context_of
from tests.support.rows import NOW, Sender, Workspace

BEN = "ben@example.org"
ANNA = "anna@example.org"
LATER = NOW + timedelta(minutes=10)
SERVERS = ServerGuess(
    "imap",
    Endpoint("smtp.example.org", 465, Security.TLS),
    Endpoint("imap.example.org", 993, Security.TLS),
    "flags",
)


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def of_admin(context: Context, now: datetime = NOW) -> UserSlots:
    return slot_pool.listing(context, now).users[0]


def connect(context: Context, address: str, *, takes: bool = False, **wanted: object) -> connecting.Connected:
    """As after a login; the servers are not asked again."""
    password = Password(Secret("s"))
    new = NewConnection(address, SERVERS, password, {}, takes_awaited_slot=takes, **wanted)  # type: ignore[arg-type]  # fields by name
    return connecting.connect(context, new, LATER)


def refusal(deed: object) -> MailrotateError:
    with pytest.raises(MailrotateError) as refused:
        deed()  # type: ignore[operator]  # a lambda of the test
    return refused.value


def fill_slots(workspace: Workspace) -> list[Sender]:
    return [workspace.add_mailbox(f"box{n}@example.org") for n in (1, 2)]


def removed_slots(workspace: Workspace) -> dict[int, datetime]:
    query = select(t.slot.c.id, t.slot.c.removed_at).where(t.slot.c.removed_at.is_not(None))
    with workspace.store.reading() as connection:
        return {row.id: row.removed_at for row in connection.execute(query)}


def told(workspace: Workspace, action: str) -> list[object]:
    with workspace.store.reading() as connection:
        return [event.data for event in events.listing(connection) if event.action == action]


# --- the pool


def test_a2_slots_are_bought_into_the_pool_and_assigned_the_oldest_first(
    workspace: Workspace, context: Context
) -> None:
    ben = workspace.add_user(BEN)
    second = slot_pool.buy(context, 1, NOW)[0]
    first = slot_pool.buy(context, 1, NOW - timedelta(days=40))[0]
    assert slot_pool.listing(context, NOW).unassigned == 2
    given = slot_pool.assign(context, BEN, 1, LATER)
    assert (given.user, given.total, given.slots[-1].id) == (BEN, 3, first.id)
    listed = slot_pool.listing(context, LATER)
    assert [slot.id for slot in listed.pool] == [second.id]
    assert (listed.connected, listed.total, listed.unassigned) == (0, 5, 1)
    assert told(workspace, "slot.assigned") == [
        {"slot": first.id, "key": "user", "before": None, "after": ben.id}
    ]


def test_a2_a_slot_renews_monthly_by_itself_also_years_later(workspace: Workspace, context: Context) -> None:
    bought_at = datetime(2027, 1, 31, 23, 30, tzinfo=UTC)
    slot_pool.add(context, workspace.admin.email, 1, bought_at)
    slot = of_admin(context, bought_at).slots[-1]
    assert slot.renews_on == date(2027, 2, 28)
    shown = [
        of_admin(context, bought_at + timedelta(days=days)).slots[-1].renews_on for days in (28, 59, 1127)
    ]
    assert shown == [date(2027, 3, 31), date(2027, 4, 30), date(2030, 3, 31)]
    assert [found.renews_on for found in of_admin(context).slots[:2]] == [None, None]


def test_a2_a_pool_that_is_too_small_names_the_command_that_makes_it_large_enough(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user(BEN)
    empty = refusal(lambda: slot_pool.assign(context, BEN, 2, NOW))
    assert (empty.code, empty.hint) == ("slot.pool", Command("slot", "add", "--for", BEN, "--count", "2"))
    slot_pool.buy(context, 1, NOW)
    short = refusal(lambda: slot_pool.assign(context, BEN, 3, NOW))
    assert short.hint == Command("slot", "buy", "--count", "2")
    slot_pool.buy(context, 2, NOW)
    assert slot_pool.assign(context, BEN, 3, NOW).total == 5
    for count in (0, 1001):
        assert isinstance(refusal(lambda count=count: slot_pool.buy(context, count, NOW)), BadInput)


def test_a2_two_assigns_at_once_do_not_share_the_last_slot_of_the_pool(workspace: Workspace) -> None:
    key = KeyInMemory()
    contexts = [context_of(workspace, key=key) for _ in range(2)]
    workspace.add_user(BEN)
    slot_pool.buy(contexts[0], 1, NOW)
    together = Barrier(2)

    def attempt(context: Context, email: str) -> str:
        together.wait()
        try:
            return slot_pool.assign(context, email, 1, NOW).user
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, contexts, (BEN, workspace.admin.email)))
    assert outcomes.count("slot.pool") == 1
    assert slot_pool.listing(contexts[0], NOW).total == 5


def test_a2_an_empty_purchased_slot_goes_back_to_the_pool_and_keeps_its_renewal(
    workspace: Workspace, context: Context
) -> None:
    slot = slot_pool.add(context, workspace.admin.email, 1, NOW).slots[-1]
    freed = slot_pool.unassign(context, slot.id, LATER)
    assert freed == slot
    assert [found.id for found in slot_pool.listing(context, NOW).pool] == [slot.id]
    assert of_admin(context).total == 2
    again = refusal(lambda: slot_pool.unassign(context, slot.id, NOW))
    assert again.code == "slot.in_pool"
    assert isinstance(refusal(lambda: slot_pool.unassign(context, 999, NOW)), NotFound)


@pytest.mark.parametrize("state", ["connected", "failed"])
def test_a2_a_slot_in_use_an_included_one_and_a_campaigns_only_sender_stay_with_their_user(
    workspace: Workspace, context: Context, state: str
) -> None:
    fill_slots(workspace)
    box = workspace.add_mailbox(ANNA, state=state)
    workspace.add_campaign("autumn intro", [box], rotates=False)
    taken = refusal(lambda: slot_pool.unassign(context, box.slot_id, NOW))
    assert (taken.code, taken.hint) == ("slot.taken", Command("mailbox", "disconnect", ANNA))
    reconnecting.disconnect(context, ANNA, NOW)
    bound = refusal(lambda: slot_pool.unassign(context, box.slot_id, NOW))
    assert (bound.code, bound.hint) == ("slot.bound", Command("campaign", "stop", "autumn intro"))
    campaign_life.stop(context, "autumn intro", NOW)
    # A past mailbox, its campaigns and what it sent today are nothing of the next user's.
    freed = slot_pool.unassign(context, box.slot_id, NOW)
    assert freed.id != box.slot_id
    assert removed_slots(workspace) == {box.slot_id: NOW}
    assert [slot.id for slot in slot_pool.listing(context, NOW).pool] == [freed.id]
    included = of_admin(context).slots[0].id
    refused = refusal(lambda: slot_pool.unassign(context, included, NOW))
    assert (refused.code, refused.hint) == (
        "slot.included",
        Hint("to end it:", Command("slot", "remove", f"s_{included}")),
    )


# --- what is shown


def test_a3_connected_counts_connected_and_failed_mailboxes_and_never_exceeds_the_total(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_user(BEN)
    box = workspace.add_mailbox(ANNA)
    workspace.add_mailbox("failed@example.org", state="failed")
    workspace.add_mailbox("gone@example.org", state="disconnected")
    mailbox_views.make_default(context, ANNA, NOW)
    slot_pool.buy(context, 1, NOW)
    listed = slot_pool.listing(context, NOW)
    assert (listed.connected, listed.total, listed.unassigned) == (2, 5, 1)
    assert [(user.user, user.connected, user.total, user.default) for user in listed.users] == [
        (workspace.admin.email, 2, 3, ANNA),
        (BEN, 0, 2, None),
    ]
    assert overview.look(context, NOW).slots == listed
    assert [slot.mailbox for slot in listed.users[0].slots] == [ANNA, "failed@example.org", None]
    slot_removal.remove(context, box.slot_id, NOW)
    seat = user_admin.show(context, workspace.admin.email)
    assert (seat.connected, seat.total) == (1, 2)


def test_a3_whoever_was_removed_has_no_slots_any_more(workspace: Workspace, context: Context) -> None:
    ben = workspace.add_user(BEN)
    with workspace.store.writing() as connection:
        connection.execute(update(t.user).where(t.user.c.id == ben.id).values(removed_at=NOW))
    listed = slot_pool.listing(context, NOW)
    assert ([user.user for user in listed.users], listed.total) == ([workspace.admin.email], 2)
    assert plan_changes.change(context, PlanChange(slots_per_user=3), NOW).slots_added == 1
    assert {slot.user for slot in slot_removal.removable(context, NOW)} == {workspace.admin.email}


def test_a6_members_see_their_own_slots_and_the_teams_counts_and_change_none(workspace: Workspace) -> None:
    admin = context_of(workspace)
    ben, cleo = workspace.add_user(BEN), workspace.add_user("cleo@example.org", Role.MANAGER)
    slot_pool.buy(admin, 2, NOW)
    member, manager = context_of(workspace, ben), context_of(workspace, cleo)
    seen = slot_pool.listing(member, NOW)
    assert ([user.user for user in seen.users], list(seen.pool)) == ([BEN], [])
    assert (seen.total, seen.unassigned) == (6, 2)
    assert len(slot_pool.listing(manager, NOW).users) == 3
    slot_id = slot_pool.assign(manager, BEN, 1, NOW).slots[-1].id
    for deed in (
        lambda: slot_pool.buy(member, 1, NOW),
        lambda: slot_pool.assign(member, BEN, 1, NOW),
        lambda: slot_pool.add(member, BEN, 1, NOW),
        lambda: slot_pool.unassign(member, slot_id, NOW),
        lambda: slot_removal.consequences(member, slot_id, NOW),
        lambda: slot_removal.remove(member, slot_id, NOW),
        lambda: slot_removal.removable(member, NOW),
    ):
        assert refusal(deed).code == "user.not_allowed"
    assert slot_removal.remove(manager, slot_id, NOW).slot_id == slot_id


# --- removing


def test_a2_above_the_plan_one_subscription_ends_the_removed_slots_own(
    workspace: Workspace, context: Context
) -> None:
    held = slot_pool.add(context, workspace.admin.email, 2, NOW).slots
    following = slot_removal.consequences(context, held[3].id, LATER)
    assert following.ends is not None
    assert (following.ends.slot_id, following.ends.renews_on) == (held[3].id, date(2027, 1, 1))
    assert (following.ends.becomes_included, following.ends.is_near) == (False, False)
    assert slot_removal.remove(context, held[3].id, LATER).pool_slot_id is None
    assert of_admin(context).slots == held[:3]
    assert removed_slots(workspace) == {held[3].id: LATER}


def test_a2_for_an_included_slot_the_purchased_one_that_renews_soonest_becomes_included(
    workspace: Workspace, context: Context
) -> None:
    admin = workspace.admin.email
    slot_pool.add(context, admin, 1, NOW - timedelta(days=5))
    held = slot_pool.add(context, admin, 1, NOW - timedelta(days=28)).slots
    following = slot_removal.consequences(context, held[0].id, NOW)
    assert following.ends is not None
    assert (following.ends.slot_id, following.ends.becomes_included) == (held[3].id, True)
    assert (following.ends.renews_on, following.ends.is_near) == (date(2026, 12, 3), True)
    slot_removal.remove(context, held[0].id, NOW)
    assert [(slot.id, slot.kind) for slot in of_admin(context).slots] == [
        (held[1].id, "included"),
        (held[2].id, "purchased"),
        (held[3].id, "included"),
    ]
    assert told(workspace, "slot.included") == [
        {"slot": held[3].id, "key": "kind", "before": "purchased", "after": "included"}
    ]


def test_a2_at_or_below_the_plans_number_nothing_is_cancelled(workspace: Workspace, context: Context) -> None:
    included = of_admin(context).slots[0].id
    following = slot_removal.consequences(context, included, NOW)
    assert (following.ends, following.goes_to_pool) == (None, False)
    slot_removal.remove(context, included, NOW)
    paid = slot_pool.add(context, workspace.admin.email, 1, NOW).slots[-1]
    following = slot_removal.consequences(context, paid.id, LATER)
    assert (following.ends, following.goes_to_pool) == (None, True)
    heir = slot_removal.remove(context, paid.id, LATER).pool_slot_id
    (pooled,) = slot_pool.listing(context, LATER).pool
    assert (pooled.id, pooled.renews_on) == (heir, paid.renews_on)
    assert of_admin(context).total == 1


def test_a2_a_slot_of_the_pool_is_removed_with_its_subscription(
    workspace: Workspace, context: Context
) -> None:
    slot = slot_pool.buy(context, 1, NOW)[0]
    following = slot_removal.consequences(context, slot.id, NOW)
    assert following.ends is not None
    assert (following.user, following.ends.slot_id) == (None, slot.id)
    slot_removal.remove(context, slot.id, NOW)
    assert slot_pool.listing(context, NOW).unassigned == 0
    assert refusal(lambda: slot_removal.consequences(context, slot.id, NOW)).code == "slot.none"


def test_a4_every_slot_that_can_be_removed_is_listed_connected_and_empty(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_mailbox(ANNA)
    slot_pool.buy(context, 1, NOW)
    gone = slot_pool.add(context, workspace.admin.email, 1, NOW).slots[-1].id
    slot_removal.remove(context, gone, NOW)
    listed = slot_removal.removable(context, NOW)
    assert [(slot.user, slot.mailbox, slot.kind, str(slot.renews_on)) for slot in listed] == [
        ("admin@example.org", ANNA, "included", "None"),
        ("admin@example.org", None, "included", "None"),
        (None, None, "purchased", "2027-01-01"),
    ]


def test_a4_a_removal_says_what_follows_and_disconnects_the_mailbox_in_one_transaction(
    workspace: Workspace, context: Context
) -> None:
    fill_slots(workspace)
    box = workspace.add_mailbox(ANNA, secret=b"sealed")
    single = workspace.add_campaign("single", [box], rotates=False)
    shared = workspace.add_campaign("shared", [box, workspace.add_mailbox("other@example.org")])
    workspace.add_campaign("over", [box], rotates=False, state="finished")
    (sender_id,) = workspace.senders(single)
    recipient_id = workspace.add_recipient(single, "kim@example.com", sender_id=sender_id, next_at=NOW)
    workspace.add_recipient(shared, "lee@example.com", sender_id=workspace.senders(shared)[0], next_at=NOW)
    workspace.add_message(box, single, recipient_id)
    following = slot_removal.consequences(context, box.slot_id, NOW)
    assert (following.mailbox, following.user) == (ANNA, workspace.admin.email)
    assert [(c.name, c.people) for c in following.campaigns] == [("single", 1), ("shared", 1)]
    assert following.waiting_messages == 1

    slot_removal.remove(context, box.slot_id, LATER)
    shown = mailbox_views.show(context, ANNA, LATER)
    assert (shown.listed.state, shown.listed.slot_id) == (ConnectionState.DISCONNECTED, None)
    with workspace.store.reading() as connection:
        assert (
            connection.execute(
                select(t.connection.c.secret).where(t.connection.c.id == box.connection_id)
            ).scalar_one()
            is None
        )
    paused = {line.name: line.pause_reasons for line in overview.look(context, LATER).campaigns}
    assert paused == {"single": ("mailbox_disconnected",), "shared": ("mailbox_disconnected",), "over": ()}
    assert [len(told(workspace, action)) for action in ("mailbox.disconnected", "slot.removed")] == [1, 1]


def test_a4_a_mailbox_that_somebody_works_with_keeps_its_slot(workspace: Workspace, context: Context) -> None:
    box = workspace.add_mailbox(ANNA)
    with holding_lane(context, box.id, NOW):
        assert isinstance(refusal(lambda: slot_removal.remove(context, box.slot_id, NOW)), Busy)
    assert of_admin(context).connected == 1
    assert removed_slots(workspace) == {}


def test_a4_a_campaign_follows_its_mailbox_to_another_slot_and_resumes_there(
    workspace: Workspace, context: Context
) -> None:
    box = workspace.add_mailbox(ANNA)
    workspace.add_campaign("sent", [box], rotates=False)
    workspace.add_campaign("never sent", [box], rotates=False)
    slot_removal.remove(context, box.slot_id, NOW)
    refused = refusal(lambda: campaign_life.resume(context, "sent", LATER))
    assert refused.hint == Command("mailbox", "connect", ANNA, "--resume")
    stranger = connect(context, "stranger@example.org")
    assert list(stranger.followed) == []
    slot_pool.add(context, workspace.admin.email, 1, NOW)
    back = connect(context, ANNA)
    assert list(back.followed) == ["sent", "never sent"]
    assert back.slot_id not in (box.slot_id, stranger.slot_id)
    for name in back.followed:
        assert campaign_life.resume(context, name, LATER).names == (name,)
    assert len(told(workspace, "campaign.sender")) == 2


def test_c5_a_campaign_whose_slot_changed_hands_follows_whom_it_last_sent_from(
    workspace: Workspace, context: Context
) -> None:
    box = workspace.add_mailbox(ANNA)
    campaign = workspace.add_campaign("autumn", [box], rotates=False)
    workspace.add_message(box, campaign, state="sent", claimed_at=NOW, sent_at=NOW, slot_id=box.slot_id)
    reconnecting.disconnect(context, ANNA, NOW)
    second = connect(context, "second@example.org", slot_id=box.slot_id)
    slot_removal.remove(context, second.slot_id, LATER)
    assert list(connect(context, ANNA).followed) == ["autumn"]
    with workspace.store.reading() as connection:
        (sender,) = senders.senders_of(connection, campaign.id)
    assert (sender.address, sender.state) == (ANNA, "connected")


# --- connecting


def test_a5_without_a_free_slot_the_refusal_names_the_command_and_who_may_run_it(
    workspace: Workspace,
) -> None:
    admin, ben = context_of(workspace), workspace.add_user(BEN)
    member = context_of(workspace, ben)
    for n in (1, 2):
        workspace.add_mailbox(f"ben{n}@example.org", ben)

    def none_free(context: Context) -> MailrotateError:
        return refusal(lambda: connecting.refuse_connect(context, ANNA, BEN, None, {}))

    assert none_free(admin).hint == Command("slot", "add", "--for", BEN)
    admins = ((workspace.admin.email, "admin"),)
    assert none_free(member).hint == Ask(admins, Command("slot", "add", "--for", BEN))
    slot_pool.buy(admin, 1, NOW)
    assert none_free(admin).hint == Command("slot", "assign", "--for", BEN)
    assert none_free(member).hint == Ask(admins, Command("slot", "assign", "--for", BEN))
    slot_pool.assign(admin, BEN, 1, NOW)
    connecting.refuse_connect(member, ANNA, None, None, {})


def test_a5_a_slot_that_was_removed_is_nobodys(workspace: Workspace, context: Context) -> None:
    first, second = (slot.id for slot in of_admin(context).slots)
    slot_removal.remove(context, first, NOW)
    named = refusal(lambda: connect(context, ANNA, slot_id=first))
    assert named.code == "slot.not_owned"
    slot_removal.remove(context, second, NOW)
    none = refusal(lambda: connect(context, ANNA))
    assert (none.code, none.message) == ("slot.none_free", "admin@example.org has no slot")


def test_a5_another_address_takes_other_free_slots_first_and_is_asked_about_while_a_grace_runs(
    workspace: Workspace, context: Context
) -> None:
    gone, away = workspace.add_mailbox("gone@example.org"), workspace.add_mailbox(ANNA)
    workspace.add_campaign("autumn", [gone])
    for box in (gone, away):
        reconnecting.disconnect(context, box.address, NOW)
    new = "new@example.org"
    assert list(grace_periods.awaited_returns(context, new, None, None, LATER)) == []
    assert connect(context, new).slot_id == away.slot_id

    (awaited,) = grace_periods.awaited_returns(context, "third@example.org", None, None, LATER)
    assert (awaited.mailbox, awaited.campaign) == ("gone@example.org", "autumn")
    assert isinstance(refusal(lambda: connect(context, "third@example.org")), ConfirmationNeeded)
    # Its own return is no question, and neither is a grace that is over.
    assert list(grace_periods.awaited_returns(context, gone.address, None, None, LATER)) == []
    over = NOW + timedelta(hours=1)
    assert list(grace_periods.awaited_returns(context, "third@example.org", None, None, over)) == []
    (warned,) = slot_removal.consequences(context, gone.slot_id, LATER).awaited
    assert warned == awaited
    assert connect(context, "third@example.org", takes=True).slot_id == gone.slot_id


# --- the plan


def test_a1_a_smaller_plan_closes_empty_slots_that_history_names_and_deletes_the_others(
    workspace: Workspace, context: Context
) -> None:
    ben = workspace.add_user(BEN)
    box = workspace.add_mailbox(ANNA, ben)
    workspace.add_sent(box, NOW)
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(superseded_at=NOW))
        unused = stored.of_user(connection, ben.id)[1].id
    changed = plan_changes.change(context, PlanChange(slots_per_user=0), LATER)
    assert (changed.slots_removed, list(changed.over.slots)) == (4, [])
    assert removed_slots(workspace) == {box.slot_id: LATER}
    with workspace.store.reading() as connection:
        assert connection.execute(select(t.slot.c.id).where(t.slot.c.id == unused)).first() is None
    assert slot_pool.listing(context, NOW).total == 0
    assert plan_changes.change(context, PlanChange(slots_per_user=1), LATER).slots_added == 2


def test_a1_a_slot_that_a_campaign_is_bound_to_is_in_use(workspace: Workspace, context: Context) -> None:
    box = workspace.add_mailbox(ANNA)
    workspace.add_campaign("autumn", [box], rotates=False)
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).values(superseded_at=NOW))
    assert (
        refusal(lambda: plan_changes.change(context, PlanChange(slots_per_user=0), NOW)).code
        == "plan.too_strict"
    )
    campaign_life.stop(context, "autumn", NOW)
    assert plan_changes.change(context, PlanChange(slots_per_user=0), NOW).slots_removed == 2
