"""What a mailbox is set to, where each value comes from, and what begins anew with a new connection (B3, B4,
B6, C4)."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypedDict
from zoneinfo import available_timezones

from sqlalchemy import Connection

from mailrotate.core.rules import quota
from mailrotate.core.rules.roles import Deed
from mailrotate.core.rules.timeline_filter import NEVER_LINKED, read_link
from mailrotate.core.services.access import advice
from mailrotate.core.services.deciding import facts
from mailrotate.core.services.mailboxes import sharing
from mailrotate.core.store import mailboxes, plans, shares, signatures, workspaces
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.sending import claims, lanes
from mailrotate.core.values.duration import format_duration
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import AnyHint, Ask, Command, Hint

PERSONAL, SHARED = "personal", "shared"
SENT_COPY = ("auto", "on", "off")
_LONGEST_NAME = 200
# Of what is no name, so much is said back.
_SHOWN = 60
_LONGEST_GAP = timedelta(days=7)


class Settings(TypedDict, total=False):
    """The settings to change: one that is left out stays, None goes back to its default."""

    sender_name: str | None
    mailbox_name: str | None
    timezone: str | None
    daily_limit: int | None
    gap_seconds: int | None
    sent_copy: str
    is_shared: bool
    ramp: tuple[int, int, int] | None
    # Beside the INBOX; the server is asked for them first.
    folders: tuple[str, ...] | None


@dataclass(frozen=True)
class ShownSetting:
    """A setting's value and where it comes from: `own`, `user`, `plan`, `workspace` or `default`."""

    name: str
    value: str | int | timedelta | tuple[str, ...] | None
    origin: str


@dataclass(frozen=True)
class Change:
    """What a deed has made another; of a password only that it is new. `origin` as in ShownSetting."""

    key: str
    before: object
    after: object
    origin: str = "own"


def settings_of(connection: Connection, box: StoredMailbox) -> list[ShownSetting]:
    """Each setting that the mailbox has, and where it comes from."""
    capped = box.own_daily_limit is not None and box.own_daily_limit <= box.daily_cap
    ramp = facts.ramp_of(box)
    shared_with = sharing.named(connection, box)
    known = signatures.of_connection(connection, box.connection_id)
    main = next((each for each in known if each.is_main), None)
    return [
        ShownSetting("sender_name", box.sender_name, "user" if box.own_sender_name is None else "own"),
        ShownSetting("name", box.mailbox_name, "default" if box.mailbox_name is None else "own"),
        ShownSetting("daily_limit", box.highest_limit, "own" if capped else "plan"),
        ShownSetting("ramp", None if ramp is None else str(ramp), "default" if ramp is None else "own"),
        ShownSetting("gap", box.gap, "default" if box.own_gap is None else "own"),
        ShownSetting("timezone", box.timezone, "workspace" if box.own_timezone is None else "own"),
        ShownSetting("access", access_of(box), "own" if box.is_shared else "default"),
        ShownSetting("shared_with", ", ".join(shared_with) or None, "own" if shared_with else "default"),
        ShownSetting("folders", box.folders, "own" if box.own_folders else "default"),
        ShownSetting("sync_every", box.sync_every, "plan"),
        ShownSetting("sends_as", box.sends_as or box.address, "own" if box.sends_as else "default"),
        ShownSetting("sent_copy", box.sent_copy, "default" if box.sent_copy == "auto" else "own"),
        _contact_book_setting(box),
        ShownSetting("signature", main.name if main else None, "own" if main else "default"),
    ]


def _contact_book_setting(box: StoredMailbox) -> ShownSetting:
    link = read_link(box.contact_book)
    return ShownSetting("contact_book", str(link), "default" if link == NEVER_LINKED else "own")


def access_of(box: StoredMailbox) -> str:
    """`personal` or `shared` (B6)."""
    return SHARED if box.is_shared else PERSONAL


def settings_reset(connection: Connection, former: StoredMailbox, wanted: Settings) -> dict[str, Command]:
    """The former connection's own settings that the new one does not have, each with what sets it again."""
    own: dict[str, tuple[object, str]] = {
        "sender_name": (former.own_sender_name, "--sender-name"),
        "mailbox_name": (former.mailbox_name, "--name"),
        "daily_limit": (former.own_daily_limit, "--daily-limit"),
        "gap_seconds": (None if former.own_gap is None else format_duration(former.own_gap), "--gap"),
        "timezone": (former.own_timezone, "--timezone"),
        "sent_copy": (None if former.sent_copy == "auto" else former.sent_copy, "--sent-copy"),
        "ramp": (facts.ramp_of(former), "--ramp"),
        "is_shared": (SHARED if former.is_shared else None, "--access"),
    }
    shares = {
        f"share_{email}": Command("mailbox", "share", "add", former.address, email)
        for email in sharing.named(connection, former)
    }
    return {
        flag.removeprefix("--").replace("-", "_"): Command("mailbox", "set", former.address, flag, str(value))
        for name, (value, flag) in own.items()
        if value is not None and name not in wanted
    } | shares


def validate_settings(connection: Connection | None, settings: Settings, actor: Actor | None = None) -> None:
    """Raises BadInput, and Refused (`limit.above_cap`) for a daily limit above the plan's cap (B4).

    Whoever may change the plan, not every `actor`, is told how.
    """
    for what, name, flag in (
        ("sender name", "sender_name", "--sender-name"),
        ("mailbox name", "mailbox_name", "--name"),
    ):
        text = settings.get(name)
        if isinstance(text, str) and not (text.strip() and text.isprintable() and len(text) <= _LONGEST_NAME):
            raise BadInput(
                "mailbox.name",
                f"{text[:_SHOWN]!r} is no {what}: it is one line of up to {_LONGEST_NAME} letters",
                f"write it like {flag} 'Anna Example'",
            )
    zone = settings.get("timezone")
    if zone is not None and zone not in available_timezones():
        raise BadInput(
            "timezone.unknown", f"'{zone}' is no time zone", "write it like --timezone Europe/Berlin"
        )
    gap = settings.get("gap_seconds")
    if gap is not None and not 0 <= gap <= _LONGEST_GAP.total_seconds():
        named, longest = format_duration(timedelta(seconds=gap)), format_duration(_LONGEST_GAP)
        raise BadInput("mailbox.gap", f"a gap is at most {longest}, not {named}", "write it like --gap 90s")
    if settings.get("is_shared") and not (connection and plans.find(connection).shared_mailboxes):
        permit = _plan_change(connection, actor, "--shared", "on")
        raise Refused("plan.no_sharing", "--access shared: the plan permits no shared mailboxes", permit)
    copies = settings.get("sent_copy", "auto")
    if copies not in SENT_COPY:
        raise BadInput(
            "mailbox.sent_copy",
            f"sent copies are {', '.join(SENT_COPY)}, not '{copies}'",
            "add --sent-copy auto",
        )
    _check_limits(connection, settings, actor)


def _plan_change(connection: Connection | None, actor: Actor | None, flag: str, value: str) -> Command | Ask:
    command = Command("plan", "set", flag, value)
    # Before the first connect nobody is here; then it is the admin, who may.
    if connection is None or actor is None:
        return command
    return advice.way(connection, actor, Deed.PLAN, command)


def _check_limits(connection: Connection | None, settings: Settings, actor: Actor | None) -> None:
    cap = workspaces.daily_cap(connection)
    limit, ramp = settings.get("daily_limit"), settings.get("ramp")
    if limit is not None and limit < 1:
        raise BadInput(
            "limit.invalid",
            f"{limit} is no daily limit: it is at least 1",
            Hint("write it like --daily-limit 120; to send nothing:", Command("mailbox", "pause", "ADDRESS")),
        )
    if ramp is not None and not (1 <= ramp[0] <= ramp[2] and ramp[1] >= 1):
        raise BadInput(
            "mailbox.ramp",
            f"{','.join(map(str, ramp))} is no ramp-up: it begins with at least 1 a day, grows by at least "
            "1, and ends no lower than it begins",
            "write it like --ramp 20,10,120",
        )
    for named, flag, number in (
        ("daily limit", "--daily-limit", limit),
        ("ramp-up's ceiling", "--ramp", ramp and ramp[2]),
    ):
        if number is not None and number > cap:
            hint: AnyHint = f"choose at most {cap} for {flag}"
            if number <= quota.HIGHEST_CAP:
                hint = Hint(f"{hint}, or:", _plan_change(connection, actor, "--daily-cap", str(number)))
            raise Refused(
                "limit.above_cap",
                f"a {named} of {number} is above the plan's cap of {cap}",
                hint,
            )


def apply_settings(connection: Connection, box: StoredMailbox, settings: Settings, now: datetime) -> None:
    """Write settings that were validated. After a change of zone the running day lasts on (B4)."""
    columns: dict[str, object] = {name: value for name, value in settings.items() if name != "ramp"}
    if settings.get("folders"):
        columns["folders"] = json.dumps(settings["folders"])
    if "ramp" in settings:
        columns |= _ramp_columns(box, settings["ramp"], now)
    if columns:
        mailboxes.change_connection(connection, box.connection_id, **columns)
    if "gap_seconds" in settings:
        _rest_anew(connection, mailboxes.by_id(connection, box.id))
    if settings.get("is_shared") is False:
        shares.remove_all(connection, box.connection_id)
    if "timezone" not in settings:
        return
    new_zone = settings["timezone"] or box.workspace_timezone
    if new_zone != box.timezone:
        running = quota.day_of(now, box.timezone, box.day_from, box.day_until)
        lasts_from, lasts_until = quota.day_after_zone_change(now, running, new_zone)
        mailboxes.change(connection, box.id, day_from=lasts_from, day_until=lasts_until)


def _rest_anew(connection: Connection, box: StoredMailbox) -> None:
    """The next message keeps the new gap from the one before, also where the old one is running (B3)."""
    lanes.lock(connection, box.id)
    last = claims.latest(connection, box.id)
    if last is not None:
        token, left_at = last
        lanes.rest(connection, box.id, quota.rest_until(left_at, token, box.gap))


def _ramp_columns(
    box: StoredMailbox, wanted: tuple[int, int, int] | None, now: datetime
) -> dict[str, object]:
    """Nothing for the ramp-up that runs already: a script may say it every day without beginning it anew."""
    if wanted is not None and wanted == (box.ramp_start, box.ramp_step, box.ramp_ceiling):
        return {}
    start, step, ceiling = wanted or (None, None, None)
    day_from, _ = quota.day_of(now, box.timezone, box.day_from, box.day_until)
    return {
        "ramp_start": start,
        "ramp_step": step,
        "ramp_ceiling": ceiling,
        "ramp_from": None if wanted is None else day_from,
    }
