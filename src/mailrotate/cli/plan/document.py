"""The plan as JSON and in words."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mailrotate.cli.output import Speech
from mailrotate.core.values.duration import format_duration

if TYPE_CHECKING:
    from mailrotate.core.store.plans import StoredPlan


class Switch(StrEnum):
    ON = "on"
    OFF = "off"


class Approval(StrEnum):
    REQUIRED = "required"
    NONE = "none"


def print_plan(speech: Speech, plan: "StoredPlan", more: dict[str, Any]) -> None:
    if speech.as_json:
        speech.document(
            {
                "slots": plan.slots_per_user,
                "daily_cap": plan.daily_cap,
                "shared": plan.shared_mailboxes,
                "role_addresses": plan.role_addresses,
                "approval": Approval.REQUIRED if plan.approval_required else Approval.NONE,
                "sync_every": plan.sync_every,
                **more,
            }
        )
        return
    speech.facts(
        (
            ("slots per user", plan.slots_per_user),
            ("daily cap", plan.daily_cap),
            ("shared mailboxes", Switch.ON if plan.shared_mailboxes else Switch.OFF),
            ("role addresses", Switch.ON if plan.role_addresses else Switch.OFF),
            ("approval", Approval.REQUIRED if plan.approval_required else Approval.NONE),
            ("inboxes are read every", format_duration(plan.sync_every)),
        )
    )
