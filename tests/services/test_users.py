"""Users, their roles and their locks, on both databases."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, insert, select

from mailrotate.core.services.campaigns import campaign_life, campaign_views
from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import grace_extension, mailbox_views, slot_pool
from mailrotate.core.services.sending.claiming import Claims, Nothing
from mailrotate.core.services.team import user_admin, user_removal
from mailrotate.core.store import campaigns as stored_campaigns
from mailrotate.core.store import events, workspaces
from mailrotate.core.store import mailboxes as mailboxes_stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.states import CampaignState, Role, UserState
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace

BEN = "ben@example.org"


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


@pytest.fixture
def ben(workspace: Workspace) -> StoredUser:
    return workspace.add_user(BEN)


def state_of(workspace: Workspace, name: str) -> tuple[CampaignState, tuple[str, ...]]:
    with workspace.store.reading() as connection:
        found = stored_campaigns.find(connection, name)
    assert found is not None
    return found.state, found.pause_reasons


def logged(workspace: Workspace, action: str) -> list[dict[str, object]]:
    with workspace.store.reading() as connection:
        return [dict(event.data) for event in events.listing(connection) if event.action == action]


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises((Refused, NotFound, BadInput)) as refused:
        call()
    return refused.value.code


def test_a1_a_new_user_has_the_slots_that_the_plan_includes(workspace: Workspace, context: Context) -> None:
    seat = user_admin.add(context, " Ben@Example.org ", None, Role.MEMBER, NOW)
    assert (seat.email, seat.name, seat.role, seat.state) == (BEN, "ben", Role.MEMBER, UserState.ACTIVE)
    assert (seat.connected, seat.total, seat.default) == (0, 2, None)
    assert code_of(lambda: user_admin.add(context, BEN, None, Role.ADMIN, NOW)) == "user.exists"
    assert [data["role"] for data in logged(workspace, "user.added")] == ["member"]


def test_a3_a_seat_shows_its_mailboxes_and_how_many_of_its_slots_are_taken(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    box = workspace.add_mailbox("ben@example.com", ben)
    workspace.add_mailbox("old@example.com", ben, state="disconnected")
    seat = user_admin.show(context, BEN)
    assert (seat.connected, seat.total) == (1, 2)
    assert [(each.address, each.slot_id) for each in seat.mailboxes] == [
        ("ben@example.com", box.slot_id),
        ("old@example.com", None),
    ]


@pytest.mark.parametrize("role", list(Role))
def test_a6_everybody_sees_and_does_what_their_role_may(
    workspace: Workspace, context: Context, ben: StoredUser, role: Role
) -> None:
    cleo = workspace.add_user("cleo@example.org", role)
    acting = context_of(workspace, cleo)
    sees = {seat.email for seat in user_admin.listing(acting)}
    everybody = {"admin@example.org", BEN, cleo.email}
    assert sees == ({cleo.email} if role is Role.MEMBER else everybody)
    assert user_admin.change(acting, cleo.email, "Cleo C.", None, NOW).name == "Cleo C."
    only_admins: list[Callable[[], object]] = [
        lambda: user_admin.change(acting, BEN, "Benjamin", None, NOW),
        lambda: user_admin.change(acting, cleo.email, None, Role.ADMIN, NOW),
        lambda: user_admin.add(acting, "dan@example.org", None, Role.MEMBER, NOW),
        lambda: user_admin.lock(acting, BEN, NOW),
        lambda: user_admin.unlock(acting, BEN, NOW),
        lambda: user_removal.remove(acting, BEN, NOW),
    ]
    for deed in only_admins:
        if role is Role.ADMIN:
            deed()
        else:
            assert code_of(deed) == "user.not_allowed"
    if role is Role.MEMBER:
        assert code_of(lambda: user_admin.show(acting, BEN)) == "user.not_allowed"
        assert code_of(lambda: slot_pool.add(acting, cleo.email, 1, NOW)) == "user.not_allowed"
    else:
        assert slot_pool.add(acting, cleo.email, 1, NOW).total == 3


def test_a6_the_last_active_admin_keeps_role_and_access(workspace: Workspace, context: Context) -> None:
    admin = workspace.admin.email
    locked = workspace.add_user("second@example.org", Role.ADMIN)
    user_admin.lock(context, locked.email, NOW)
    for deed in (
        lambda: user_admin.change(context, admin, None, Role.MEMBER, NOW),
        lambda: user_admin.lock(context, admin, NOW),
        lambda: user_removal.remove(context, admin, NOW),
    ):
        assert code_of(deed) == "user.last_admin"
    user_admin.unlock(context, locked.email, NOW)
    assert user_admin.change(context, admin, None, Role.MEMBER, NOW).role is Role.MEMBER
    assert [(data["before"], data["after"]) for data in logged(workspace, "user.role")] == [
        ("admin", "member")
    ]


def test_a10_a_lock_pauses_what_can_send_from_nowhere_else_and_unlocking_restores_all_but_that(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    of_ben, spare = workspace.add_mailbox("b1@example.com", ben), workspace.add_mailbox("b2@example.com", ben)
    of_admin = workspace.add_mailbox("a1@example.com")
    workspace.add_campaign("single", [of_ben], rotates=False)
    workspace.add_campaign("alone", [of_ben, spare])
    workspace.add_campaign("shared", [of_ben, of_admin])
    workspace.add_campaign("other", [of_admin], rotates=False)
    following = user_admin.lock_consequences(context, BEN)
    assert [(campaign.name, campaign.pauses) for campaign in following.campaigns] == [
        ("single", True),
        ("alone", True),
        ("shared", False),
    ]
    assert state_of(workspace, "single") == (CampaignState.ACTIVE, ())

    assert user_admin.lock(context, BEN, NOW).state is UserState.LOCKED
    paused = (CampaignState.PAUSED, ("user_locked",))
    assert [state_of(workspace, name) for name in ("single", "alone")] == [paused, paused]
    assert [state_of(workspace, name)[0] for name in ("shared", "other")] == [CampaignState.ACTIVE] * 2
    acting = context_of(workspace, ben)
    assert code_of(lambda: mailbox_views.pause(acting, "b1@example.com", NOW)) == "user.locked"
    assert code_of(lambda: campaign_life.resume(context, "single", NOW)) == "campaign.sender_locked"
    user_admin.lock(context, BEN, NOW)
    assert len(logged(workspace, "user.locked")) == 1

    unlocked = user_admin.unlock(context, BEN, NOW)
    assert unlocked.seat.state is UserState.ACTIVE
    assert list(unlocked.still_paused) == ["single", "alone"]
    assert state_of(workspace, "single") == paused
    campaign_life.resume(context, "single", NOW)
    assert state_of(workspace, "single") == (CampaignState.ACTIVE, ())


def test_a10_a_lock_lets_nothing_leave_from_the_seat_and_starts_no_deadline(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    boxes = [workspace.add_mailbox("b@example.com", ben), workspace.add_mailbox("a@example.com")]
    campaign = workspace.add_campaign("shared", boxes)
    for box, sender_id in zip(boxes, workspace.senders(campaign), strict=True):
        person = workspace.add_recipient(campaign, f"to.{box.address}", sender_id=sender_id)
        workspace.add_message(box, campaign, person)
    user_admin.lock(context, BEN, NOW)
    lanes = [workspace.own_lane(box, workspace.add_runner()) for box in boxes]
    of_ben, of_admin = (Claims(context, lane).next(NOW) for lane in lanes)
    assert isinstance(of_ben, Nothing)
    assert of_ben.closed is not None
    assert of_ben.closed.gate == "user"
    assert isinstance(of_admin, Claim)
    assert grace_extension.listing(context, NOW) == []


def test_a10_people_who_waited_for_an_able_sender_get_one_by_the_unlock(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    of_ben = workspace.add_mailbox("b1@example.com", ben)
    broken = workspace.add_mailbox("a1@example.com", state="failed")
    campaign = workspace.add_campaign("rotated", [of_ben, broken], state="paused")
    user_admin.lock(context, BEN, NOW)
    workspace.add_recipient(campaign, "kim@example.com")
    with workspace.store.writing() as connection:
        stored_campaigns.lift_pauses(connection, campaign.id)
        stored_campaigns.change(connection, campaign.id, state="active")
    user_admin.unlock(context, BEN, NOW)
    with workspace.store.reading() as connection:
        assigned = connection.execute(select(t.recipient.c.campaign_sender_id)).scalar_one()
    assert assigned == workspace.senders(campaign)[0]


def test_a10_whose_seat_holds_a_mailbox_is_not_removed(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    workspace.add_mailbox("ben@example.com", ben, state="disconnected")
    assert code_of(lambda: user_removal.remove(context, BEN, NOW)) == "user.has_mailbox"
    assert code_of(lambda: user_removal.remove(context, "nobody@example.org", NOW)) == "user.none"
    with workspace.store.writing() as connection:
        workspaces.change(connection, default_user_id=ben.id)
        mailboxes_stored.change(connection, 1, removed_at=NOW)
    cleo = workspace.add_user("cleo@example.org", Role.ADMIN)
    acting = context_of(workspace, cleo)
    assert code_of(lambda: user_removal.consequences(acting, BEN)) == "user.default"


def test_a6_whoever_left_acts_on_nothing_and_comes_back_as_the_same_user(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    owner = context_of(workspace, ben)
    workspace.add_mailbox("a1@example.org")
    user_admin.change(owner, BEN, "Ben B.", None, NOW)
    campaign = workspace.add_campaign("his")
    with workspace.store.writing() as connection:
        stored_campaigns.change(connection, campaign.id, owner_id=ben.id)
    assert list(user_removal.consequences(context, BEN).campaigns) == ["his"]
    user_removal.remove(context, BEN, NOW)
    assert BEN not in {seat.email for seat in user_admin.listing(context)}
    assert BEN not in {user.user for user in slot_pool.listing(context, NOW).users}
    assert code_of(lambda: user_admin.show(context, BEN)) == "user.none"
    assert code_of(lambda: user_admin.change(owner, BEN, "Benjamin", None, NOW)) == "user.none"
    assert code_of(lambda: user_admin.listing(owner)) == "user.unknown"
    assert campaign_views.show(context, "his", NOW).owner == BEN
    with workspace.store.reading() as connection:
        assert BEN in {event.actor for event in events.listing(connection)}

    back = user_admin.add(context, BEN, "Ben Again", Role.MANAGER, NOW)
    assert (back.name, back.role, back.state, back.total) == ("Ben Again", Role.MANAGER, UserState.ACTIVE, 2)
    with workspace.store.reading() as connection:
        found = workspaces.user_by_email(connection, BEN)
    assert found is not None
    assert found.id == ben.id


def test_a6_of_admins_that_left_none_counts_as_the_last_but_one(
    workspace: Workspace, context: Context
) -> None:
    second = workspace.add_user("second@example.org", Role.ADMIN)
    user_removal.remove(context, second.email, NOW)
    assert code_of(lambda: user_admin.lock(context, workspace.admin.email, NOW)) == "user.last_admin"


def test_a2_of_a_removed_user_the_purchased_slots_go_back_to_the_team(
    workspace: Workspace, context: Context, ben: StoredUser
) -> None:
    with workspace.store.writing() as connection:
        bought = insert(t.slot).values(user_id=ben.id, kind="purchased", created_at=NOW)
        connection.execute(bought)
    user_removal.remove(context, BEN, NOW)
    assert code_of(lambda: user_admin.show(context, BEN)) == "user.none"
    with workspace.store.reading() as connection:
        pool = select(t.slot.c.kind).where(t.slot.c.user_id.is_(None))
        assert connection.execute(pool).scalars().all() == ["purchased"]
        # Empty included slots, which nothing names, are gone: the admin's two and the pool's are left.
        assert connection.execute(select(func.count()).select_from(t.slot)).scalar_one() == 3
    assert logged(workspace, "user.removed") == [{"user": ben.id, "role": "member"}]


def test_a_name_is_one_line_and_something_must_be_changed(context: Context, ben: StoredUser) -> None:
    assert code_of(lambda: user_admin.change(context, BEN, None, None, NOW)) == "user.nothing"
    for name in ("", "Ben\nExample", "x" * 201):
        assert code_of(lambda name=name: user_admin.change(context, BEN, name, None, NOW)) == "user.name"  # type: ignore[misc]  # bound now
