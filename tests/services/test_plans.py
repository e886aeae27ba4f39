"""The plan and what its changes give and take, on both databases."""

from datetime import timedelta

import pytest

from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import plan_changes, slot_pool
from mailrotate.core.services.mailboxes.plan_changes import OverCap, OverSlots, PlanChange
from mailrotate.core.services.team import user_admin
from mailrotate.core.store import events, mailboxes
from mailrotate.core.store.plans import StoredPlan
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.states import Role
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def totals(context: Context) -> dict[str, int]:
    return {found.user: found.total for found in slot_pool.listing(context, NOW).users}


def test_a1_a_new_workspace_includes_two_slots_and_more_reach_everybody_at_once(
    workspace: Workspace, context: Context
) -> None:
    ben = workspace.add_user("ben@example.org")
    assert plan_changes.show(context) == StoredPlan(2, 500, timedelta(minutes=5))
    changed = plan_changes.change(context, PlanChange(slots_per_user=4), NOW)
    assert (changed.plan.slots_per_user, changed.slots_added) == (4, 4)
    assert totals(context) == {workspace.admin.email: 4, ben.email: 4}
    assert user_admin.add(context, "cleo@example.org", None, Role.MEMBER, NOW).total == 4


def test_a1_fewer_slots_take_empty_included_ones_alone(workspace: Workspace, context: Context) -> None:
    first = workspace.add_mailbox("a1@example.org")
    slot_pool.add(context, workspace.admin.email, 1, NOW)
    changed = plan_changes.change(context, PlanChange(slots_per_user=1), NOW)
    assert (changed.slots_removed, list(changed.over.slots)) == (1, [])
    (found,) = slot_pool.listing(context, NOW).users
    assert [(slot.kind, slot.id == first.slot_id) for slot in found.slots] == [
        ("included", True),
        ("purchased", False),
    ]


def test_a1_a_stricter_plan_says_who_is_over_it_and_when_forced_takes_nothing_in_use(
    workspace: Workspace, context: Context
) -> None:
    workspace.add_mailbox("a1@example.org")
    workspace.add_mailbox("a2@example.org", state="disconnected")
    workspace.add_user("ben@example.org")
    with pytest.raises(Refused) as refused:
        plan_changes.change(context, PlanChange(slots_per_user=1), NOW)
    assert refused.value.code == "plan.too_strict"
    assert "admin@example.org has 2 included slots in use" in refused.value.message
    assert "ben@" not in refused.value.message
    assert plan_changes.show(context).slots_per_user == 2
    assert set(totals(context).values()) == {2}

    changed = plan_changes.change(context, PlanChange(slots_per_user=1), NOW, force=True)
    assert list(changed.over.slots) == [OverSlots("admin@example.org", 2)]
    assert totals(context) == {"admin@example.org": 2, "ben@example.org": 1}
    # Back again: only those who lack a slot get one.
    assert plan_changes.change(context, PlanChange(slots_per_user=2), NOW).slots_added == 1


def test_b4_a_lower_cap_names_the_limits_above_it_and_binds_when_forced(
    workspace: Workspace, context: Context
) -> None:
    high = workspace.add_mailbox("high@example.org", daily_limit=300)
    workspace.add_mailbox("plain@example.org")
    workspace.add_mailbox("gone@example.org", state="disconnected", daily_limit=400)
    with pytest.raises(Refused) as refused:
        plan_changes.change(context, PlanChange(daily_cap=200), NOW)
    assert "high@example.org has a daily limit of 300" in refused.value.message
    assert "plain@" not in refused.value.message
    assert "gone@" not in refused.value.message
    changed = plan_changes.change(context, PlanChange(daily_cap=200), NOW, force=True)
    assert changed.over.cap == [OverCap("high@example.org", 300)]
    with workspace.store.reading() as connection:
        box = sending_mailboxes.by_id(connection, high.id)
    assert (box.settings.own.daily_limit, box.settings.highest_limit) == (300, 200)


def test_b6_a_plan_without_sharing_names_what_is_shared_and_unshares_nothing(
    workspace: Workspace, context: Context
) -> None:
    plan_changes.change(context, PlanChange(shared_mailboxes=True), NOW)
    shared = workspace.add_mailbox("team@example.org", is_shared=True)
    workspace.add_mailbox("plain@example.org")
    with pytest.raises(Refused) as refused:
        plan_changes.change(context, PlanChange(shared_mailboxes=False), NOW)
    assert "team@example.org is shared" in refused.value.message
    assert "plain@" not in refused.value.message
    forced = plan_changes.change(context, PlanChange(shared_mailboxes=False), NOW, force=True)
    assert (forced.over.shared, forced.plan.shared_mailboxes) == (["team@example.org"], False)
    with workspace.store.reading() as connection:
        assert mailboxes.by_id(connection, shared.id).is_shared


def test_a7_approval_turned_on_concerns_new_connects_only(workspace: Workspace, context: Context) -> None:
    workspace.add_mailbox("a1@example.org")
    changed = plan_changes.change(context, PlanChange(approval_required=True), NOW)
    assert (changed.unapproved, bool(changed.over)) == (1, False)
    assert plan_changes.change(context, PlanChange(approval_required=True), NOW).unapproved == 0


def test_b10_how_often_a_mailbox_is_read_is_the_plans(workspace: Workspace, context: Context) -> None:
    box = workspace.add_mailbox("a1@example.org")
    plan_changes.change(context, PlanChange(sync_every=timedelta(minutes=10)), NOW)
    with workspace.store.reading() as connection:
        assert sending_mailboxes.by_id(connection, box.id).settings.sync_every == timedelta(minutes=10)
        told = [event.data for event in events.listing(connection) if event.action == "plan.changed"]
    assert told == [{"key": "sync_every", "before": "5m", "after": "10m"}]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (PlanChange(), "plan.nothing"),
        (PlanChange(slots_per_user=-1), "plan.slots"),
        (PlanChange(daily_cap=0), "plan.daily_cap"),
        (PlanChange(sync_every=timedelta(seconds=1)), "plan.sync_every"),
    ],
)
def test_a1_a_plan_that_makes_no_sense_is_refused(context: Context, wanted: PlanChange, code: str) -> None:
    with pytest.raises(BadInput) as refused:
        plan_changes.change(context, wanted, NOW, force=True)
    assert refused.value.code == code


@pytest.mark.parametrize("role", [Role.MEMBER, Role.MANAGER])
def test_a6_only_admins_change_the_plan(workspace: Workspace, role: Role) -> None:
    acting = context_of(workspace, workspace.add_user("ben@example.org", role))
    with pytest.raises(Refused) as refused:
        plan_changes.change(acting, PlanChange(slots_per_user=3), NOW)
    assert refused.value.code == "user.not_allowed"
    assert plan_changes.show(acting).slots_per_user == 2
