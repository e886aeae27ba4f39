"""The verbs of `mailrotate mailbox` that need no server; `set` is in `mailbox_set.py`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.credentials import server_words
from mailrotate.cli.output import localised, zoned
from mailrotate.cli.params import Address
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.mailbox_views import ListedMailbox, ShownMailbox


def add_to(app: typer.Typer) -> None:
    """Register these verbs with their noun."""
    app.command("list")(list_)
    app.command("show")(show)
    app.command("default")(default)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("release")(release)


def _row(listed: "ListedMailbox") -> dict[str, Any]:
    return {
        "id": f"b_{listed.id}",
        "address": listed.address,
        "user": listed.user,
        "slot": None if listed.slot_id is None else f"s_{listed.slot_id}",
        "provider": listed.provider,
        "state": listed.state,
        "paused_at": listed.paused_at,
        "hold_reason": listed.hold_reason,
        "hold_until": listed.hold_until,
        "default": listed.is_default,
        "access": listed.access,
        "sender_name": listed.sender_name,
        "daily_limit": listed.daily_limit,
        "ramp_day": listed.ramp_day,
        "sent_today": listed.sent_today,
        "last_test_at": listed.last_test_at,
        "last_error": listed.last_error,
        "failed_at": listed.failed_at,
        "disconnected_at": listed.disconnected_at,
        "removed_at": listed.removed_at,
        "deadlines": [
            {"campaign": deadline.campaign, "kind": deadline.kind, "ends_at": deadline.ends_at}
            for deadline in listed.deadlines
        ],
    }


def _health(row: Mapping[str, Any]) -> str:
    notes = [str(row["state"])]
    notes += ["paused"] if row["paused_at"] else []
    notes += ["on hold"] if row["hold_reason"] else []
    return ", ".join(notes)


def list_(
    ctx: typer.Context,
    removed: Annotated[bool, typer.Option("--removed", help="Those that were removed, instead.")] = False,
) -> None:
    """Mailboxes with their health and today's count.

    Examples:

      mailrotate mailbox list

      mailrotate mailbox list --json
    """
    from mailrotate.core.services.mailboxes import mailbox_views
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    zone = call.zone
    rows = [_row(listed) for listed in mailbox_views.listing(call.context, call.now, removed=removed)]
    # A member may see mailboxes of others, who share them, but not their seats.
    several = not call.speech.as_json and (
        len({row["user"] for row in rows}) > 1 or len(user_admin.listing(call.context)) > 1
    )
    call.speech.listing(
        ("address", *(["user"] * several), "state", "today", "default", "slot", "provider", "trouble"),
        rows,
        lambda row: (
            row["address"],
            *([row["user"]] * several),
            _health(row),
            f"{row['sent_today']}/{row['daily_limit']}",
            row["default"],
            row["slot"],
            row["provider"],
            localised(row["hold_reason"] or row["last_error"] or "", zone),
        ),
        "no mailbox was removed"
        if removed
        else Hint("no mailbox yet:", Command("mailbox", "connect", "ADDRESS")),
    )


def show(ctx: typer.Context, address: Address) -> None:
    """One mailbox: its state, and each setting with where it comes from.

    Examples:

      mailrotate mailbox show anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    call = call_of(ctx)
    shown = mailbox_views.show(call.context, address, call.now)
    if call.speech.as_json:
        call.speech.document(document_of(shown))
    else:
        _tell(call, shown)


def _tell(call: Call, shown: "ShownMailbox") -> None:
    row = _row(shown.listed)

    def at(moment: Any) -> str:
        return zoned(moment, call.zone)

    ramp = f", day {row['ramp_day']} of the ramp-up" if row["ramp_day"] else ""
    trouble = localised(row["hold_reason"] or row["last_error"] or "", call.zone)
    call.speech.facts(
        [
            ("address", row["address"]),
            ("state", _health(row)),
            *([("removed", at(row["removed_at"]))] if row["removed_at"] else []),
            *([("trouble", trouble)] if trouble else []),
            ("seat", f"{row['user']}, slot {row['slot'] or 'none'}{', default' if row['default'] else ''}"),
            (
                "sent today",
                f"{row['sent_today']} of {row['daily_limit']}{ramp}; the day ends {at(shown.day_ends_at)}",
            ),
            ("last test", at(row["last_test_at"])),
            ("inbox read", at(shown.inbox_read_at)),
            *(
                (f"folder {each.name}", f"cannot be read: {each.error}")
                for each in shown.folders[1:]
                if each.error
            ),
            ("provider", row["provider"]),
            ("smtp", server_words(shown.smtp)),
            ("imap", server_words(shown.imap)),
            ("username", shown.username),
            *([("aliases", ", ".join(alias.address for alias in shown.aliases))] if shown.aliases else []),
            *([("sends as", shown.sends_as)] if shown.sends_as else []),
        ]
    )
    call.speech.line()
    call.speech.table(("setting", "value", "from"), [(s.name, s.value, s.origin) for s in shown.settings])
    if shown.campaigns:
        call.speech.line()
        call.speech.table(
            ("campaign", "state", "people"), [(c.name, c.state, c.people) for c in shown.campaigns]
        )


def value_of(value: object) -> object:
    """A setting's value in one piece, for scripts."""
    return ", ".join(value) if isinstance(value, tuple) else value


def document_of(shown: "ShownMailbox") -> dict[str, Any]:
    """One mailbox for a script."""
    return {
        **_row(shown.listed),
        "settings": {s.name: {"value": value_of(s.value), "from": s.origin} for s in shown.settings},
        "smtp": f"{shown.smtp.host}:{shown.smtp.port}",
        "smtp_security": shown.smtp.security,
        "imap": f"{shown.imap.host}:{shown.imap.port}",
        "imap_security": shown.imap.security,
        "username": shown.username,
        "files_sent_copy": shown.files_sent_copy,
        "day_ends_at": shown.day_ends_at,
        "inbox_read_at": shown.inbox_read_at,
        "inbox_error": shown.inbox_error,
        "campaigns": [{"campaign": c.name, "state": c.state, "people": c.people} for c in shown.campaigns],
        "sends_as": shown.sends_as or shown.listed.address,
        "aliases": [vars(alias) for alias in shown.aliases],
        "folders": [vars(folder) for folder in shown.folders],
    }


def default(ctx: typer.Context, address: Address) -> None:
    """Make a mailbox its user's default sender.

    Examples:

      mailrotate mailbox default anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(
        ctx,
        address,
        mailbox_views.make_default,
        ("is the default sender now", "was the default already"),
    )


def pause(ctx: typer.Context, address: Address) -> None:
    """Rest a mailbox without disconnecting it: its messages wait, nothing is lost.

    Examples:

      mailrotate mailbox pause anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(ctx, address, mailbox_views.pause, ("rests; its messages wait", "rests already"))


def resume(ctx: typer.Context, address: Address) -> None:
    """Take up a resting mailbox again.

    Examples:

      mailrotate mailbox resume anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(ctx, address, mailbox_views.resume, ("sends again", "did not rest"))


def release(ctx: typer.Context, address: Address) -> None:
    """End the hold that a refusal of the sender, or a limit, has put a mailbox on.

    Examples:

      mailrotate mailbox release anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(ctx, address, mailbox_views.release, ("is no longer on hold", "was not on hold"))


def _do(
    ctx: typer.Context,
    address: str,
    act: Callable[..., object],
    words: tuple[str, str],
) -> None:
    call = call_of(ctx)
    changed = bool(act(call.context, address, call.now))
    call.speech.result({"address": address, "changed": changed}, f"{address} {words[0 if changed else 1]}")
    if changed:
        call.speech.next(Command("mailbox", "show", address))
