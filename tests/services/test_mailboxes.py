"""Mailboxes as people see and set them, on both databases; their lanes."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from mailrotate.core.services.mailboxes import mailbox_settings, mailbox_views
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import events, workspaces
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import lanes, liveness, sending_mailboxes
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused
from mailrotate.core.values.own_settings import Given
from tests.support.contexts import context_of
from tests.support.rows import NOW, Sender, Workspace

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox("anna@example.org")


def box_of(workspace: Workspace, mailbox: Sender) -> SendingMailbox:
    with workspace.store.reading() as connection:
        return sending_mailboxes.by_id(connection, mailbox.id)


def origins_of(workspace: Workspace) -> dict[str, tuple[object, str]]:
    shown = mailbox_views.show(context_of(workspace), "anna@example.org", NOW)
    return {setting.name: (setting.value, setting.origin) for setting in shown.settings}


def test_b3_show_says_where_each_value_comes_from(workspace: Workspace, anna: Sender) -> None:
    assert origins_of(workspace) == {
        "sender_name": ("Ada Admin", "user"),
        "name": (None, "default"),
        "daily_limit": (500, "plan"),
        "gap": (timedelta(seconds=60), "default"),
        "timezone": ("Europe/Berlin", "workspace"),
        "ramp": (None, "default"),
        "access": ("personal", "default"),
        "shared_with": (None, "default"),
        "folders": (("INBOX",), "default"),
        "sync_every": (timedelta(minutes=5), "plan"),
        "sends_as": ("anna@example.org", "default"),
        "sent_copy": ("auto", "default"),
        "contact_book": ("off", "default"),
        "signature": (None, "default"),
    }
    wanted = {
        "sender_name": "Anna A.",
        "name": "first",
        "daily_limit": "20",
        "gap": "0s",
        "timezone": "Asia/Tokyo",
        "sent_copy": "off",
        "ramp": "10,5,15",
    }
    mailbox_settings.change(context_of(workspace), anna.address, wanted, NOW)
    assert origins_of(workspace) == {
        "sender_name": ("Anna A.", "own"),
        "name": ("first", "own"),
        "daily_limit": (20, "own"),
        "gap": (timedelta(), "own"),
        "timezone": ("Asia/Tokyo", "own"),
        "ramp": ("10,5,15", "own"),
        "access": ("personal", "default"),
        "shared_with": (None, "default"),
        "folders": (("INBOX",), "default"),
        "sync_every": (timedelta(minutes=5), "plan"),
        "sends_as": ("anna@example.org", "default"),
        "sent_copy": ("off", "own"),
        "contact_book": ("off", "default"),
        "signature": (None, "default"),
    }
    back = {"sender_name": "", "daily_limit": "plan", "timezone": "workspace", "gap": "default"}
    mailbox_settings.change(context_of(workspace), anna.address, back, NOW)
    assert origins_of(workspace)["sender_name"] == ("Ada Admin", "user")
    assert origins_of(workspace)["name"] == ("first", "own")
    assert origins_of(workspace)["daily_limit"] == (500, "plan")


def test_b4_an_own_limit_that_a_smaller_plan_now_caps_comes_from_the_plan(
    workspace: Workspace, anna: Sender
) -> None:
    mailbox_settings.change(context_of(workspace), anna.address, {"daily_limit": "400"}, NOW)
    with workspace.store.writing() as connection:
        connection.execute(update(t.plan).values(daily_cap=100))
    assert origins_of(workspace)["daily_limit"] == (100, "plan")


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"daily_limit": "501"}, "limit.above_cap"),
        ({"daily_limit": "0"}, "limit.invalid"),
        ({"timezone": "Mars/Olympus"}, "timezone.unknown"),
        ({"gap": "8d"}, "mailbox.gap"),
        ({"sender_name": "Anna\r\nBcc: eve@example.org"}, "mailbox.name"),
        ({"name": " "}, "mailbox.name"),
        ({"sent_copy": "maybe"}, "mailbox.sent_copy"),
    ],
)
def test_b3_b4_a_setting_that_cannot_be_is_refused_and_nothing_changes(
    workspace: Workspace, anna: Sender, wanted: Given, code: str
) -> None:
    """I3 too: a name cannot add a header."""
    before = box_of(workspace, anna)
    with pytest.raises((BadInput, Refused)) as refused:
        mailbox_settings.change(context_of(workspace), anna.address, {"daily_limit": "3", **wanted}, NOW)
    assert refused.value.code == code
    assert box_of(workspace, anna) == before


def test_b4_after_a_change_of_zone_the_running_day_lasts_until_the_later_midnight(
    workspace: Workspace, anna: Sender
) -> None:
    """Noon in Berlin: Tokyo's midnight would come eight hours earlier, and give a second allowance."""
    noon = datetime(2026, 12, 1, 11, tzinfo=UTC)
    workspace.add_sent(anna, noon)
    context = context_of(workspace)
    mailbox_settings.change(context, anna.address, {"timezone": "Asia/Tokyo"}, noon)
    berlins_midnight = datetime(2026, 12, 1, 23, tzinfo=UTC)
    assert mailbox_views.show(context, anna.address, noon).day_ends_at == berlins_midnight
    (before,) = mailbox_views.listing(context, berlins_midnight - timedelta(seconds=1))
    (after,) = mailbox_views.listing(context, berlins_midnight)
    assert (before.sent_today, after.sent_today) == (1, 0)


def test_setting_the_zone_it_has_leaves_the_day_alone(workspace: Workspace, anna: Sender) -> None:
    mailbox_settings.change(context_of(workspace), anna.address, {"timezone": "Europe/Berlin"}, NOW)
    box = box_of(workspace, anna)
    assert (box.settings.day_from, box.settings.day_until) == (None, None)


def test_b5_another_mailbox_can_be_made_the_default(workspace: Workspace, anna: Sender) -> None:
    ben = workspace.add_mailbox("ben@example.org")
    with workspace.store.writing() as connection:
        workspaces.set_default_mailbox(connection, workspace.admin.id, anna.id)
    context = context_of(workspace)
    assert mailbox_views.make_default(context, ben.address, NOW)
    assert not mailbox_views.make_default(context, ben.address, NOW)
    assert [listed.is_default for listed in mailbox_views.listing(context, NOW)] == [False, True]
    with workspace.store.reading() as connection:
        (told,) = [event.data for event in events.listing(connection)]
    assert told == {"key": "default", "before": anna.address, "after": ben.address}


def test_b12_a_mailbox_rests_and_is_taken_up_again(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    assert mailbox_views.pause(context, anna.address, NOW)
    assert not mailbox_views.pause(context, anna.address, LATER)
    assert box_of(workspace, anna).health.paused_at == NOW
    assert mailbox_views.resume(context, "b_" + str(anna.id), LATER)
    assert not mailbox_views.resume(context, anna.address, LATER)
    assert box_of(workspace, anna).health.paused_at is None


def test_f4_release_ends_a_hold_and_says_what_it_was_for(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    with workspace.store.writing() as connection:
        stored.change(connection, anna.id, hold_class="sender", hold_reason="550 5.7.1 no", hold_until=None)
    (held,) = mailbox_views.listing(context, NOW)
    assert held.hold_reason == "550 5.7.1 no"
    assert mailbox_views.release(context, anna.address, NOW) == "550 5.7.1 no"
    assert mailbox_views.release(context, anna.address, NOW) is None
    (released,) = mailbox_views.listing(context, NOW)
    assert released.hold_reason is None


def test_a_hold_that_is_over_is_not_shown(workspace: Workspace, anna: Sender) -> None:
    with workspace.store.writing() as connection:
        stored.change(connection, anna.id, hold_class="limit", hold_reason="full", hold_until=LATER)
    context = context_of(workspace)
    holds = [mailbox_views.listing(context, at)[0].hold_reason for at in (NOW, LATER)]
    assert holds == ["full", None]


def test_an_unknown_name_is_told_what_was_near(workspace: Workspace, anna: Sender) -> None:
    with pytest.raises(NotFound) as missing:
        mailbox_views.show(context_of(workspace), "ana@example.org", NOW)
    assert missing.value.code == "mailbox.none"
    assert anna.address in missing.value.message


# --- lanes


def test_a_lane_that_a_living_runner_has_is_busy(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    runner = liveness.register(workspace.store, "run", NOW, "here")
    workspace.own_lane(anna, runner.id)
    with pytest.raises(Busy) as busy, holding_lane(context, anna.id, NOW):
        pytest.fail("the lane was given away")
    assert busy.value.code == "lane.busy"
    runner.end(LATER)
    with holding_lane(context, anna.id, LATER) as lane:
        assert lane.mailbox_id == anna.id


def test_a_lane_that_a_dead_runner_has_is_recovered(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    dead = workspace.add_runner()
    old = workspace.own_lane(anna, dead)
    with holding_lane(context, anna.id, LATER) as lane:
        assert lane.token > old.token
        with workspace.store.writing() as connection:
            assert not lanes.hold_on(connection, old, LATER)
            assert lanes.hold_on(connection, lane, LATER)


def test_a_lane_is_let_go_also_when_the_block_fails(workspace: Workspace, anna: Sender) -> None:
    context = context_of(workspace)
    with pytest.raises(RuntimeError), holding_lane(context, anna.id, NOW):
        raise RuntimeError
    with workspace.store.reading() as connection:
        assert lanes.owners(connection) == []
        assert liveness.living_runners(connection) == []
