"""A campaign as JSON, and the words for its state."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mailrotate.core.values.reasons import of_campaign

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.campaign_views import CampaignView


def state_of(row: Mapping[str, Any]) -> str:
    return of_campaign(row["state"], row["pause_reasons"])


def row_of(view: "CampaignView") -> dict[str, Any]:
    return {
        "id": f"c_{view.id}",
        "name": view.name,
        "owner": view.owner,
        "team": view.team,
        "state": view.state,
        "pause_reasons": list(view.pause_reasons),
        "rotation": view.rotation,
        "version": view.version,
        "created_at": view.created_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
        "senders": [vars(sender) for sender in view.senders],
        "recipients": dict(view.recipients),
        "waiting": view.waiting,
        "mailbox_removed": view.mailbox_removed,
        "removed_senders": list(view.removed_senders),
        "steps": [vars(step) for step in view.steps],
        "next_send_at": view.next_send_at,
        "waits_for": view.waits_for,
    }
