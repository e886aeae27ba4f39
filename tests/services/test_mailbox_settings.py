"""Settings of a mailbox at work: the ramp-up, access, and what a claim renders (B3, B4, B6)."""

from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from typing import cast

import pytest

from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.mailboxes import (
    connecting,
    mailbox_settings,
    mailbox_views,
    plan_changes,
    sharing,
    signature_editing,
)
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.mailboxes.reconnecting import disconnect
from mailrotate.core.services.sending.claiming import Claims
from mailrotate.core.services.views import explaining
from mailrotate.core.store import events
from mailrotate.core.store import mailboxes as stored
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.outbox import Claim
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command
from tests.support.contexts import context_of
from tests.support.people import ANNA, BEN
from tests.support.rows import NOW, Sender, Workspace

DAY = timedelta(days=1)


def limits(context: Context, now: datetime) -> tuple[int, int | None]:
    """What the gates are asked with, and which day of the ramp-up it is."""
    with context.store.reading() as connection:
        box = stored.by_address(connection, ANNA)
        assert box is not None
        known = facts.mailbox_facts(connection, sending_mailboxes.by_id(connection, box.id), now)
    assert mailbox_views.show(context, ANNA, now).listed.daily_limit == known.daily_limit
    return known.daily_limit, known.ramp_day


def changes(context: Context, action: str = "mailbox.set") -> list[tuple[object, object, object]]:
    with context.store.reading() as connection:
        found = [event.data for event in events.listing(connection) if event.action == action]
    return [(data["key"], data["before"], data["after"]) for data in found]


def test_b4_a_ramp_up_lowers_the_daily_limit_and_never_raises_it(context: Context, anna: Sender) -> None:
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,400", "daily_limit": "45"}, NOW)
    assert [limits(context, NOW + days * DAY) for days in range(4)] == [(20, 1), (30, 2), (40, 3), (45, None)]
    plan_changes.change(context, PlanChange(daily_cap=25), NOW, force=True)
    assert limits(context, NOW + DAY) == (25, None)
    mailbox_settings.change(context, ANNA, {"ramp": "off"}, NOW)
    assert limits(context, NOW) == (25, None)


def test_b4_why_names_the_day_of_the_ramp_up(workspace: Workspace, context: Context, anna: Sender) -> None:
    campaign = workspace.add_campaign("autumn", [anna])
    workspace.add_sent(anna, NOW)
    mailbox_settings.change(context, ANNA, {"ramp": "1,1,50"}, NOW)
    waiting = workspace.add_message(anna, campaign)
    said = explaining.explain(context, f"m_{waiting}", None, NOW + timedelta(hours=1))
    (gate,) = [gate for gate in said.gates if gate.gate == "daily_limit"]
    assert (gate.open, gate.reason) == (False, "1 of 1 sent today, day 1 of the ramp-up")


def test_b4_a_ramp_up_said_again_goes_on_and_another_begins_today(context: Context, anna: Sender) -> None:
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,100"}, NOW)
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,100"}, NOW + 2 * DAY)
    assert limits(context, NOW + 2 * DAY) == (40, 3)
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,90"}, NOW + 2 * DAY)
    assert limits(context, NOW + 2 * DAY) == (20, 1)


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Auckland", "Pacific/Honolulu"])
def test_b4_a_change_of_zone_leaves_the_running_days_limit_alone(
    context: Context, anna: Sender, zone: str
) -> None:
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,100"}, NOW)
    then = NOW + DAY
    mailbox_settings.change(context, ANNA, {"timezone": zone}, then)
    assert limits(context, then) == (30, 2)
    mailbox_settings.change(context, ANNA, {"timezone": "workspace"}, then)
    assert limits(context, then) == (30, 2)


def test_b3_a_claim_renders_what_the_mailbox_is_set_to_by_then(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    """Whatever was planned before: sender name and signature are those of the claim, in both parts."""
    campaign = workspace.add_campaign(
        "autumn", [anna], steps=[(timedelta(), "Hello", "Hi {{ name }}\n\n{{ signature }}\n\nPS")]
    )
    mailbox_settings.change(context, ANNA, {"gap": "0s"}, NOW)
    first, second, third = (
        workspace.add_message(anna, campaign, workspace.add_recipient(campaign, f"p{n}@example.com"))
        for n in range(3)
    )
    lane = workspace.own_lane(anna, workspace.add_runner())

    def claimed(message: int) -> EmailMessage:
        found = Claims(context, lane).next(NOW, only=message)
        assert isinstance(found, Claim)
        return cast(EmailMessage, message_from_bytes(found.raw, policy=SMTP))

    def part(mail: EmailMessage, kind: str) -> str:
        body = mail.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")

    before = claimed(first)
    assert before["From"] == f"Ada Admin <{ANNA}>"
    mailbox_settings.change(context, ANNA, {"sender_name": "Anna of Example"}, NOW)
    signature_editing.add(context, ANNA, "work", "**Anna** \\<script>{{ email }}", NOW, main=True)
    changed = claimed(second)
    assert changed["From"] == f"Anna of Example <{ANNA}>"
    to_address = str(changed["To"])
    assert f"Hi you\n\nAnna <script>{to_address}\n\nPS" in part(changed, "plain")
    assert f"<strong>Anna</strong> &lt;script&gt;{to_address}" in part(changed, "html")
    signature_editing.choose_main(context, ANNA, None, NOW)
    assert "Anna" not in part(claimed(third), "plain")


@pytest.mark.parametrize("ramp", [(0, 1, 10), (5, 0, 10), (11, 1, 10)])
def test_b4_a_ramp_up_that_does_not_grow_is_refused(
    context: Context, anna: Sender, ramp: tuple[int, int, int]
) -> None:
    with pytest.raises(BadInput) as refused:
        mailbox_settings.change(context, ANNA, {"ramp": ",".join(map(str, ramp))}, NOW)
    assert refused.value.code == "mailbox.ramp"
    assert changes(context) == []


def test_b4_the_ceiling_of_a_ramp_up_is_at_most_the_plans_cap(context: Context, anna: Sender) -> None:
    with pytest.raises(Refused) as refused:
        mailbox_settings.change(context, ANNA, {"ramp": "5,5,501"}, NOW)
    assert refused.value.code == "limit.above_cap"
    assert "ceiling of 501" in refused.value.message


def test_b6_only_a_plan_that_permits_it_lets_a_mailbox_be_shared(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    ben = workspace.add_user(BEN)
    with pytest.raises(Refused) as refused:
        mailbox_settings.change(context, ANNA, {"access": "shared"}, NOW)
    assert refused.value.hint == Command("plan", "set", "--shared", "on")
    plan_changes.change(context, PlanChange(shared_mailboxes=True), NOW)
    mailbox_settings.change(context, ANNA, {"access": "shared"}, NOW)
    assert sharing.add(context, ANNA, ben.email, NOW)
    shown = mailbox_views.show(context_of(workspace, ben), ANNA, NOW)
    assert shown.listed.access == "shared"
    assert {"shared_with": BEN, "access": "shared"}.items() <= {
        s.name: s.value for s in shown.settings
    }.items()

    assert mailbox_settings.losing(context, ANNA).users == [BEN]
    mailbox_settings.change(context, ANNA, {"access": "personal"}, NOW)
    assert sharing.listing(context, ANNA) == []
    with pytest.raises(Refused):
        mailbox_views.show(context_of(workspace, ben), ANNA, NOW)


def test_b3_each_change_is_a_line_of_the_log_with_before_and_after(context: Context, anna: Sender) -> None:
    mailbox_settings.change(context, ANNA, {"daily_limit": "120", "gap": "90s"}, NOW)
    mailbox_settings.change(context, ANNA, {"daily_limit": "120", "ramp": "20,10,100"}, NOW)
    mailbox_settings.change(context, ANNA, {"daily_limit": "plan"}, NOW)
    assert changes(context) == [
        ("daily_limit", 500, 120),
        ("gap", "1m", "1m30s"),
        ("ramp", None, "20,10,100"),
        ("daily_limit", 120, 500),
    ]


def test_c4_ramp_access_and_shares_begin_anew_and_are_told(
    workspace: Workspace, context: Context, anna: Sender
) -> None:
    workspace.add_user(BEN)
    plan_changes.change(context, PlanChange(shared_mailboxes=True), NOW)
    mailbox_settings.change(context, ANNA, {"ramp": "20,10,100", "access": "shared"}, NOW)
    sharing.add(context, ANNA, BEN, NOW)
    with context.store.reading() as connection:
        former = stored.by_address(connection, ANNA)
        assert former is not None
        told = connecting.reset_of(connection, former, {})
    assert {
        "ramp": Command("mailbox", "set", ANNA, "--ramp", "20,10,100"),
        "access": Command("mailbox", "set", ANNA, "--access", "shared"),
        f"share_{BEN}": Command("mailbox", "share", "add", ANNA, BEN),
    }.items() <= told.items()
    disconnect(context, ANNA, NOW)
    assert sharing.listing(context, ANNA) == [BEN]
