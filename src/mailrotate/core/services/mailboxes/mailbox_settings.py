"""Change a mailbox's settings, alone or with its login (B3, B4, B6, B7, C4).

`own_settings` declares the settings; this module checks them against the plan and applies them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import accounts, advice, seats
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.mailboxes import folder_choice, sharing
from mailrotate.core.services.mailboxes.reconnecting import (
    LoginChange,
    Tell,
    login_after,
    prove,
    renew,
)
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import (
    events,
    mailboxes,
    plans,
    settings,
    shares,
    workspaces,
)
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import lanes
from mailrotate.core.store.settings import StoredSettings
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import AnyHint, Ask, Command, Hint
from mailrotate.core.values.own_settings import (
    SETTINGS,
    SHARED,
    Change,
    Given,
    OwnSettings,
    Ramp,
    ShownSetting,
    Wanted,
    parse,
)


@dataclass(frozen=True)
class Changed:
    """A mailbox's address, and the settings that changed."""

    address: str
    changes: Sequence[Change]


@dataclass(frozen=True)
class Unshared:
    """Users who lose access to a mailbox that becomes personal, and their campaigns that keep using it."""

    users: Sequence[str]
    campaigns: Sequence[str]


def check(context: Context, address: str, given: Given) -> StoredMailbox:
    """Make every check of `change` that needs no server."""
    wanted = parse(given)
    with context.store.reading() as connection:
        box = seats.find_connected(connection, context.actor, address)
        refuse_unpermitted(connection, wanted, context.actor)
        return box


def losing(context: Context, address: str) -> Unshared:
    """Show what `--access personal` takes from users the mailbox is shared with. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        box = seats.find_mailbox(connection, context.actor, address)
        shared_with = sorted(shares.user_ids(connection, box.connection_id))
        return Unshared(sharing.named(connection, box), sharing.owned_by(connection, box, shared_with))


def change(
    context: Context,
    address: str,
    given: Given,
    now: datetime,
    *,
    login: LoginChange | None = None,
    tell: Tell = lambda _step: None,
) -> Changed:
    """Change settings, servers, login and folders, all of them or nothing (B3, B7).

    They apply to every message that is not yet being sent. Checks that need the server come first; folders
    are checked with the new login. Raises BadInput, Refused, NotFound (`folder.none`), RemoteError, Busy,
    KeyTrouble: nothing is changed then.
    """
    wanted = parse(given)
    folders = wanted.get("folders")
    if login is None and not folders:
        with acting(context, now) as (connection, now):
            box, changes = _change_within(context, connection, address, wanted, now)
        return Changed(box.address, changes)
    box = check(context, address, given)
    accounts.prove_key(context)
    with holding_lane(context, box.id, now):
        with context.store.reading() as connection:
            # Another login may have been stored while we waited for the lane.
            box = seats.find_connected(connection, context.actor, address)
        account = login_after(context, box, login or LoginChange(), now, "set")
        if login is not None:
            prove(context.provider(box.provider), account, tell, "set")
        ends = folder_choice.ends_of(context, account, folders) if folders else {}
        with acting(context, now) as (connection, now):
            box, changes = _change_within(context, connection, address, wanted, now)
            folder_choice.begin(connection, box.id, ends, now)
            if login is not None:
                changes += renew(context, connection, box, account, login, now)
    return Changed(box.address, changes)


def _change_within(
    context: Context, connection: Connection, address: str, wanted: Wanted, now: datetime
) -> tuple[StoredMailbox, list[Change]]:
    """Apply the change; return the mailbox as it was, and the settings that changed."""
    # Wait for a change of the plan, whose limits are checked here.
    workspaces.lock(connection)
    box = seats.find_connected(connection, context.actor, address)
    refuse_unpermitted(connection, wanted, context.actor)
    before = _shown(connection, box, wanted)
    apply(connection, box, wanted, now)
    after = _shown(connection, box, wanted)
    changes = [
        Change(is_now.name, was.value, is_now.value, is_now.origin)
        for was, is_now in zip(before, after, strict=True)
        if was != is_now
    ]
    for one in changes:
        told = {"key": one.key, "before": _told(one.before), "after": _told(one.after)}
        events.record(connection, context.actor, "mailbox.set", now, About(box.id), **told)
    return box, changes


def _shown(connection: Connection, box: StoredMailbox, wanted: Wanted) -> list[ShownSetting]:
    """Return the values of the settings that a change may affect, in the order of the table."""
    stored = settings.of(connection, box.id)
    shown = [stored.in_force(setting) for key, setting in SETTINGS.items() if key in wanted]
    return shown + ([sharing.setting(connection, box)] if "access" in wanted else [])


def _told(value: object) -> object:
    return format_duration(value) if isinstance(value, timedelta) else value


def refuse_unpermitted(connection: Connection | None, wanted: Wanted, actor: Actor | None = None) -> None:
    """Refuse what the plan does not permit: `limit.above_cap` (B4), `plan.no_sharing` (B6).

    For an `actor` who may not change the plan, the hint names the users to ask.
    """
    if wanted.get("access") == SHARED and not (connection and plans.find(connection).shared_mailboxes):
        permit = _plan_change(connection, actor, "--shared", "on")
        raise Refused("plan.no_sharing", "--access shared: the plan permits no shared mailboxes", permit)
    ramp = wanted.get("ramp")
    for named, key, number in (
        ("daily limit", "daily_limit", wanted.get("daily_limit")),
        ("ramp-up's ceiling", "ramp", ramp and ramp[-1]),
    ):
        if number is None or number <= (cap := workspaces.daily_cap(connection)):
            continue
        hint: AnyHint = f"choose at most {cap} for {SETTINGS[key].flag}"
        if number <= quota.HIGHEST_CAP:
            hint = Hint(f"{hint}, or:", _plan_change(connection, actor, "--daily-cap", str(number)))
        raise Refused("limit.above_cap", f"a {named} of {number} is above the plan's cap of {cap}", hint)


def _plan_change(connection: Connection | None, actor: Actor | None, flag: str, value: str) -> Command | Ask:
    command = Command("plan", "set", flag, value)
    # Before the first connect there is no user; the first user becomes an admin, who may change the plan.
    if connection is None or actor is None:
        return command
    return advice.way(connection, actor, Deed.PLAN, command)


def apply(connection: Connection, box: StoredMailbox, wanted: Wanted, now: datetime) -> None:
    """Store permitted settings and apply their effects."""
    before = settings.of(connection, box.id)
    if wanted.get("ramp"):
        wanted = {**wanted, "ramp": _begun(before, wanted["ramp"], now)}
    columns: dict[str, object] = {}
    for key, value in wanted.items():
        columns |= SETTINGS[key].stored(value)
    if columns:
        mailboxes.change_connection(connection, box.connection_id, **columns)
    after = settings.of(connection, box.id)
    if "gap" in wanted:
        _rest_again(connection, box.id, after.gap)
    if after.timezone != before.timezone:
        # The current day lasts until the later of the two midnights (B4).
        running = quota.day_of(now, before.timezone, before.day_from, before.day_until)
        day_from, day_until = quota.day_after_zone_change(now, running, after.timezone)
        mailboxes.change(connection, box.id, day_from=day_from, day_until=day_until)
    if "access" in wanted and not after.own.is_shared:
        shares.remove_all(connection, box.connection_id)


def _begun(stored: StoredSettings, ramp: tuple[int, int, int], now: datetime) -> Ramp:
    """Start a ramp-up today, or keep an equal one that is running: a script may set it every day."""
    day_from, _ = quota.day_of(now, stored.timezone, stored.day_from, stored.day_until)
    running = stored.own.ramp
    begins_now = Ramp(*ramp, day_from)
    return running if running and replace(running, from_at=day_from) == begins_now else begins_now


def _rest_again(connection: Connection, mailbox_id: int, gap: timedelta) -> None:
    """Apply the new gap to the next message, even if the old gap is running (B3)."""
    last = lanes.last_message(connection, mailbox_id)
    if last is not None:
        token, left_at = last
        lanes.rest(connection, mailbox_id, quota.rest_until(left_at, token, gap))


def reset_commands(former: StoredMailbox, own: OwnSettings, wanted: Wanted) -> dict[str, Command]:
    """Build the commands that set the former connection's settings again (C4)."""
    return {
        key: Command("mailbox", "set", former.address, *setting.typed(value))
        for key, setting in SETTINGS.items()
        if (value := getattr(own, key)) is not None and key not in wanted
    }
