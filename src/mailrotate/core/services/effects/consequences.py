"""Consequences for campaigns, recipients and messages when mailboxes stop sending (A4, A10, B8, C4, C6)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from mailrotate.core.services import periods
from mailrotate.core.services.effects import affected_campaigns
from mailrotate.core.store import connections
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.states import CampaignState


class Fate(StrEnum):
    """What happens to a campaign."""

    PAUSES = "pauses"
    STAYS_PAUSED = "stays_paused"
    CANNOT_START = "cannot_start"
    GOES_ON = "goes_on"


@dataclass(frozen=True)
class HitCampaign:
    """An affected campaign; `people` counts recipients that wait for the mailboxes.

    A removal also counts, of the contacted recipients, those that `failed` and those that `moved` to another
    mailbox; of the others, those `assigned_anew` to another sender and those `waiting` for the campaign's
    next one. `step_count` steps name the mailbox as their own sender.
    """

    name: str
    state: CampaignState
    rotates: bool
    people: int
    fate: Fate
    failed: int = 0
    moved: int = 0
    assigned_anew: int = 0
    waiting: int = 0
    cancelled: int = 0
    step_count: int = 0
    # After a disconnect of a rotation's sender: when its hour ends, and how many would be stopped then (C8).
    comes_back_by: datetime | None = None
    contacted: int = 0

    @property
    def pauses(self) -> bool:
        return self.fate is Fate.PAUSES


@dataclass(frozen=True)
class Consequences:
    """`waiting_messages` are planned for the mailboxes; `is_default`: one of them is its user's default."""

    addresses: Sequence[str]
    campaigns: Sequence[HitCampaign]
    waiting_messages: int
    is_default: bool


def fate_of(state: CampaignState, stops: bool, *, is_replaced: bool = False) -> Fate:
    """Decide what happens to a campaign that loses its sender; a draft only needs one to start."""
    if state is CampaignState.PAUSED:
        return Fate.STAYS_PAUSED
    if state is CampaignState.DRAFT:
        return Fate.GOES_ON if is_replaced else Fate.CANNOT_START
    return Fate.PAUSES if stops else Fate.GOES_ON


def of_disconnect(
    connection: Connection, box: StoredMailbox | None, slot_id: int, now: datetime | None = None
) -> Consequences:
    """The consequences of disconnecting a mailbox at `now`, or of an empty slot."""
    if box is None:
        hanging = connections.hanging_on(connection, 0, slot_id)
    else:
        hanging = affected_campaigns.all_hanging_on(connection, box)
    ends_at = None if now is None else now + periods.period(connection, "grace")
    return Consequences(
        () if box is None else (box.address,),
        [_with_hour(_hit(campaign, campaign.is_sender), campaign, ends_at) for campaign in hanging],
        0 if box is None else connections.waiting_count(connection, box.id),
        box is not None and box.is_default,
    )


def of_lock(connection: Connection, boxes: Sequence[StoredMailbox], is_default: bool) -> Consequences:
    """The consequences of a lock: the user's mailboxes stay connected but send nothing."""
    away = {box.id for box in boxes}
    return Consequences(
        [box.address for box in boxes],
        [
            _hit(campaign, affected_campaigns.pauses_without(connection, campaign, away))
            for campaign in affected_campaigns.hanging_on_seat(connection, boxes)
            if campaign.state is CampaignState.ACTIVE
        ],
        sum(connections.waiting_count(connection, box.id) for box in boxes),
        is_default,
    )


def _with_hour(hit: HitCampaign, campaign: HangingCampaign, ends_at: datetime | None) -> HitCampaign:
    """Add what the end of the hour does to a started rotation."""
    if not (campaign.rotates and campaign.is_sender) or campaign.state is CampaignState.DRAFT:
        return hit
    return replace(hit, comes_back_by=ends_at, contacted=campaign.contacted)


def _hit(campaign: HangingCampaign, stops: bool) -> HitCampaign:
    fate = fate_of(campaign.state, stops)
    return HitCampaign(campaign.name, campaign.state, campaign.rotates, campaign.people, fate)
