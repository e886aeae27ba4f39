"""Campaigns, their versions and steps."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, or_, select, update

from mailrotate.core.store import moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.store.ready import Ready, Record
from mailrotate.core.values.states import CampaignState, Rotation
from mailrotate.core.values.transition import Transition


@dataclass(frozen=True)
class StoredCampaign:
    id: int
    name: str
    owner_id: int
    team: bool
    state: CampaignState
    rotation: Rotation | None
    version: int
    created_at: datetime
    started_at: datetime | None
    resumed_at: datetime | None
    finished_at: datetime | None
    pause_reasons: tuple[str, ...]
    window: str
    timezone: str | None
    holidays: str
    on_auto_reply: str


@dataclass(frozen=True)
class StoredStep:
    id: int
    version_id: int
    position: int
    delay: timedelta
    subject: str | None
    body: str
    sender_mailbox_id: int | None


class Pace(NamedTuple):
    """A step's position in its campaign and its delay after the previous step."""

    position: int
    delay: timedelta


@dataclass(frozen=True)
class NewStep:
    position: int
    delay: timedelta
    subject: str | None
    body: str
    sender_mailbox_id: int | None
    attachments: Sequence[tuple[str, str, bytes]]


_ALL = (
    select(
        *(
            t.campaign.c[name]
            for name in (
                "id", "name", "owner_id", "team", "state", "rotation", "version", "created_at", "started_at",
                "resumed_at", "finished_at",
            )
        ),
        *(t.campaign_version.c[name] for name in ("window", "timezone", "holidays", "on_auto_reply")),
    )
    .join(
        t.campaign_version,
        (t.campaign_version.c.campaign_id == t.campaign.c.id)
        & (t.campaign_version.c.n == t.campaign.c.version),
    )
    .order_by(t.campaign.c.id)
)  # fmt: skip
_LISTING = Ready(_ALL)
_ACTIVE = Ready(_ALL.where(t.campaign.c.state == CampaignState.ACTIVE))
_BY_NAME = Ready(_ALL.where(t.campaign.c.name == bindparam("b_name")))
_BY_ID = Ready(_ALL.where(t.campaign.c.id == bindparam("b_id")))
_ACTIVE_IN_LANE = Ready(
    _ALL.where(
        t.campaign.c.state == CampaignState.ACTIVE,
        or_(
            t.campaign.c.id.in_(
                select(t.campaign_sender.c.campaign_id).where(
                    or_(
                        t.campaign_sender.c.mailbox_id == bindparam("b_mailbox"),
                        t.campaign_sender.c.slot_id == bindparam("b_slot"),
                    )
                )
            ),
            t.campaign.c.id.in_(
                select(t.step.c.campaign_id)
                .join(t.step_version, t.step_version.c.step_id == t.step.c.id)
                .where(t.step_version.c.sender_mailbox_id == bindparam("b_mailbox"))
            ),
        ),
    )
)
_PAUSES = (
    select(t.campaign_pause.c.campaign_id, t.campaign_pause.c.reason)
    .where(t.campaign_pause.c.campaign_id.in_(bindparam("b_ids", expanding=True)))
    .order_by(t.campaign_pause.c.id)
)


def find(connection: Connection, name: str) -> StoredCampaign | None:
    return next(iter(_read(connection, _BY_NAME.rows(connection, b_name=name))), None)


def by_id(connection: Connection, campaign_id: int) -> StoredCampaign:
    return next(iter(_read(connection, _BY_ID.rows(connection, b_id=campaign_id))))


def by_ids(connection: Connection, campaign_ids: Sequence[int]) -> list[StoredCampaign]:
    rows = rows_with(connection, _ALL, t.campaign.c.id, campaign_ids)
    return _read(connection, [row._mapping for row in rows])


def listing(connection: Connection) -> list[StoredCampaign]:
    return _read(connection, _LISTING.rows(connection))


def active_in_lane(connection: Connection, mailbox_id: int, slot_id: int) -> list[StoredCampaign]:
    """The active, unpaused campaigns whose messages may be in this mailbox's lane."""
    return _read(connection, _ACTIVE_IN_LANE.rows(connection, b_mailbox=mailbox_id, b_slot=slot_id))


def active_in_lanes(connection: Connection, slots: Mapping[int, int]) -> dict[int, list[StoredCampaign]]:
    """Like `active_in_lane` for many mailboxes, each with its slot."""
    active = {campaign.id: campaign for campaign in _read(connection, _ACTIVE.rows(connection))}
    # A slot can have a disconnected mailbox beside the connected one.
    of_slot: dict[int, list[int]] = {}
    for mailbox_id, slot_id in slots.items():
        of_slot.setdefault(slot_id, []).append(mailbox_id)
    s, v = t.campaign_sender.c, t.step_version.c
    by_mailbox = select(s.campaign_id, s.mailbox_id.label("lane"))
    by_slot = select(s.campaign_id, s.slot_id.label("lane"))
    by_step = select(t.step.c.campaign_id, v.sender_mailbox_id.label("lane")).join(
        t.step_version, v.step_id == t.step.c.id
    )
    lanes, pairs = list(slots), set[tuple[int, int]]()
    for row in rows_with(connection, by_mailbox, s.mailbox_id, lanes):
        pairs.add((row.lane, row.campaign_id))
    for row in rows_with(connection, by_slot, s.slot_id, list(of_slot)):
        pairs |= {(mailbox_id, row.campaign_id) for mailbox_id in of_slot[row.lane]}
    for row in rows_with(connection, by_step, v.sender_mailbox_id, lanes):
        pairs.add((row.lane, row.campaign_id))
    found: dict[int, list[StoredCampaign]] = {mailbox_id: [] for mailbox_id in slots}
    for mailbox_id, campaign_id in sorted(pairs):
        if campaign_id in active:
            found[mailbox_id].append(active[campaign_id])
    return found


def _read(connection: Connection, rows: Sequence[Record]) -> list[StoredCampaign]:
    reasons: dict[int, list[str]] = {}
    # Only a paused campaign has reasons.
    paused = [row["id"] for row in rows if row["state"] == CampaignState.PAUSED]
    for campaign_id, reason in connection.execute(_PAUSES, {"b_ids": paused}) if paused else ():
        reasons.setdefault(campaign_id, []).append(reason)
    return [
        StoredCampaign(
            **{
                **row,
                "state": CampaignState(row["state"]),
                "rotation": None if row["rotation"] is None else Rotation(row["rotation"]),
            },
            pause_reasons=tuple(dict.fromkeys(reasons.get(row["id"], ()))),
        )
        for row in rows
    ]


def insert_campaign(
    connection: Connection,
    transition: Transition,
    *,
    name: str,
    owner_id: int,
    team: bool,
    rotation: Rotation | None,
    now: datetime,
) -> int:
    inserted = connection.execute(
        insert(t.campaign).values(
            name=name,
            owner_id=owner_id,
            team=team,
            rotation=rotation,
            created_at=now,
            **moves.born(transition),
        )
    )
    return int((inserted.inserted_primary_key or (0,))[0])


def insert_version(
    connection: Connection,
    campaign_id: int,
    n: int,
    *,
    window: str,
    timezone: str | None,
    holidays: object,
    on_auto_reply: str,
    created_by: int | None,
    now: datetime,
    steps: Iterable[NewStep],
) -> None:
    """Write version `n` with its steps; a step keeps its id from version to version by its position."""
    connection.execute(
        insert(t.campaign_version).values(
            campaign_id=campaign_id,
            n=n,
            window=window,
            timezone=timezone,
            holidays=json.dumps(holidays),
            on_auto_reply=on_auto_reply,
            created_at=now,
            created_by=created_by,
        )
    )
    known = {
        position: step_id
        for step_id, position in connection.execute(
            select(t.step.c.id, t.step.c.position).where(t.step.c.campaign_id == campaign_id)
        )
    }
    for new in steps:
        step_id = known.get(new.position) or _inserted(
            connection, t.step, campaign_id=campaign_id, position=new.position
        )
        _insert_step_version(connection, step_id, n, new)
    connection.execute(update(t.campaign).where(t.campaign.c.id == campaign_id).values(version=n))


def _insert_step_version(connection: Connection, step_id: int, n: int, new: NewStep) -> None:
    version_id = _inserted(
        connection,
        t.step_version,
        step_id=step_id,
        version=n,
        delay_seconds=int(new.delay.total_seconds()),
        subject=new.subject,
        body=new.body,
        sender_mailbox_id=new.sender_mailbox_id,
    )
    for position, (filename, content_type, data) in enumerate(new.attachments):
        connection.execute(
            insert(t.attachment).values(
                step_version_id=version_id,
                position=position,
                filename=filename,
                content_type=content_type,
                data=data,
            )
        )


def _inserted(connection: Connection, table: object, **values: object) -> int:
    result = connection.execute(insert(table).values(**values))  # type: ignore[arg-type]  # any table
    return int((result.inserted_primary_key or (0,))[0])


_ALL_STEPS = (
    select(t.step.c.campaign_id, t.step.c.id, t.step.c.position, t.step_version, t.mailbox.c.id)
    .select_from(t.step)
    .join(t.step_version, t.step_version.c.step_id == t.step.c.id)
    # The campaign's own sender takes over the steps of a removed mailbox.
    .outerjoin(
        t.mailbox,
        (t.mailbox.c.id == t.step_version.c.sender_mailbox_id) & t.mailbox.c.removed_at.is_(None),
    )
    .order_by(t.step.c.position)
)
_STEPS = _ALL_STEPS.where(
    t.step.c.campaign_id == bindparam("b_campaign"), t.step_version.c.version == bindparam("b_version")
)
_CURRENT_STEPS = _ALL_STEPS.join(
    t.campaign,
    (t.campaign.c.id == t.step.c.campaign_id) & (t.campaign.c.version == t.step_version.c.version),
).where(t.campaign.c.id.in_(bindparam("b_campaigns", expanding=True)))
_SEQUENCE = Ready(
    select(t.step.c.position, t.step_version.c.delay_seconds)
    .join(t.step_version, t.step_version.c.step_id == t.step.c.id)
    .join(t.campaign, t.campaign.c.id == t.step.c.campaign_id)
    .where(t.campaign.c.id == bindparam("b_campaign"), t.step_version.c.version == t.campaign.c.version)
    .order_by(t.step.c.position)
)


def sequence_of(connection: Connection, campaign_id: int) -> list[Pace]:
    """The steps of the campaign's present version, without their texts."""
    rows = _SEQUENCE.rows(connection, b_campaign=campaign_id)
    return [Pace(row["position"], timedelta(seconds=row["delay_seconds"])) for row in rows]


def steps_of(connection: Connection, campaign_id: int, version: int) -> list[StoredStep]:
    known = {"b_campaign": campaign_id, "b_version": version}
    return [_read_step(row._mapping) for row in connection.execute(_STEPS, known)]


def current_steps(connection: Connection, campaign_ids: Sequence[int]) -> dict[int, list[StoredStep]]:
    """The steps of each campaign's present version, by campaign."""
    found: dict[int, list[StoredStep]] = {campaign_id: [] for campaign_id in campaign_ids}
    for some in portions(campaign_ids):
        for row in connection.execute(_CURRENT_STEPS, {"b_campaigns": some}):
            found[row._mapping[t.step.c.campaign_id]].append(_read_step(row._mapping))
    return found


def _read_step(m: RowMapping) -> StoredStep:
    v = t.step_version.c
    return StoredStep(
        id=m[t.step.c.id],
        version_id=m[v.id],
        position=m[t.step.c.position],
        delay=timedelta(seconds=m[v.delay_seconds]),
        subject=m[v.subject],
        body=m[v.body],
        sender_mailbox_id=m[t.mailbox.c.id],
    )


def attachments_of(connection: Connection, step_version_id: int) -> list[tuple[str, str, bytes]]:
    """File name, content type and content of each, in order."""
    query = (
        select(t.attachment.c.filename, t.attachment.c.content_type, t.attachment.c.data)
        .where(t.attachment.c.step_version_id == step_version_id)
        .order_by(t.attachment.c.position)
    )
    return [(row[0], row[1], row[2]) for row in connection.execute(query)]


def change(connection: Connection, campaign_id: int, **values: object) -> None:
    connection.execute(update(t.campaign).where(t.campaign.c.id == campaign_id).values(**values))


def add_pause(connection: Connection, campaign_id: int, reason: str, mailbox_id: int, now: datetime) -> None:
    """Add a reason to the set; adding it twice has no effect."""
    there = select(t.campaign_pause.c.id).where(
        t.campaign_pause.c.campaign_id == campaign_id,
        t.campaign_pause.c.reason == reason,
        t.campaign_pause.c.mailbox_id == mailbox_id,
    )
    if connection.execute(there).first() is None:
        connection.execute(
            insert(t.campaign_pause).values(
                campaign_id=campaign_id, reason=reason, mailbox_id=mailbox_id, paused_at=now
            )
        )


def lift_pauses(connection: Connection, campaign_id: int) -> None:
    connection.execute(delete(t.campaign_pause).where(t.campaign_pause.c.campaign_id == campaign_id))


def erase_draft(connection: Connection, campaign_id: int) -> None:
    """Delete a draft with its own rows; contacts, test messages and the log stay."""
    of_campaign = select(t.step.c.id).where(t.step.c.campaign_id == campaign_id)
    versions = select(t.step_version.c.id).where(t.step_version.c.step_id.in_(of_campaign))
    connection.execute(
        update(t.message).where(t.message.c.campaign_id == campaign_id).values(campaign_id=None, step_id=None)
    )
    connection.execute(delete(t.attachment).where(t.attachment.c.step_version_id.in_(versions)))
    connection.execute(delete(t.step_version).where(t.step_version.c.step_id.in_(of_campaign)))
    for table in (t.step, t.campaign_version, t.recipient, t.assignment, t.campaign_sender, t.campaign_pause):
        connection.execute(delete(table).where(table.c.campaign_id == campaign_id))
    connection.execute(delete(t.campaign).where(t.campaign.c.id == campaign_id))
