"""`mailrotate slot`: how many mailboxes each user may connect, and the team's pool."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import campaign_rows, told_of_disconnect
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech, counted, zoned
from mailrotate.cli.params import DryRun, Yes, read_id
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.slot_pool import Slot, TeamSlots, UserSlots
    from mailrotate.core.services.mailboxes.slot_removal import Ending, Removable, SlotConsequences
    from mailrotate.core.store.deadlines import AwaitedReturn

app = noun("How many mailboxes each user may connect.")

SlotId = Annotated[
    str, typer.Argument(metavar="SLOT", help="Its id, like s_3.", autocompletion=completion.slots)
]
Wanted = Annotated[
    str | None,
    typer.Option(metavar="ID", help="In which slot of theirs.", autocompletion=completion.slots),
]
User = Annotated[str, typer.Option(help="Whose slots they become.", autocompletion=completion.users)]
Count = Annotated[int, typer.Option(help="How many.")]


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Each user's slots, what is connected in them, and the team's pool; a member sees their own.

    Connected counts mailboxes that are connected or failed. What is shown is the next renewal.

    Examples:

      mailrotate slot list
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    team = slot_pool.listing(call.context, call.now)
    if call.speech.as_json:
        call.speech.document(
            {**team_row(team), "users": [_row(user) for user in team.users], "pool": _slot_rows(team.pool)}
        )
        return
    call.speech.table(
        ("user", "connected", "default", "slot", "kind", "renews", "mailbox"),
        (
            (
                user.user, f"{user.connected}/{user.total}", user.default,
                *(("", "", "", "") if slot is None else _slot_cells(slot)),
            )
            for user in team.users
            for slot in user.slots or (None,)
        ),
    )  # fmt: skip
    call.speech.line(team_line(team))
    for slot in team.pool:
        call.speech.line(f"  s_{slot.id} renews {slot.renews_on}")


def team_line(team: "TeamSlots") -> str:
    """The team's counts in words (A3)."""
    return f"team: {team.connected}/{team.total} connected, {team.unassigned} unassigned"


def team_row(team: "TeamSlots") -> dict[str, Any]:
    """The team's counts for a script (A3)."""
    return {
        "team": {"connected": team.connected, "total": team.total, "unassigned": team.unassigned},
    }


@app.command()
def buy(ctx: typer.Context, count: Count = 1) -> None:
    """Buy slots into the team's pool; each renews monthly, by itself.

    Examples:

      mailrotate slot buy --count 3
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    bought = slot_pool.buy(call.context, count, call.now)
    call.speech.result(
        {"bought": _slot_rows(bought)},
        f"bought {counted(count, 'slot')} for the team's pool; renews on {bought[0].renews_on}",
    )
    call.speech.next(Command("slot", "assign", "--user", "EMAIL"))


@app.command()
def assign(ctx: typer.Context, user: User, count: Count = 1) -> None:
    """Give a user slots of the team's pool, those bought first.

    Examples:

      mailrotate slot assign --user anna@example.org --count 2
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    _tell_given(call.speech, slot_pool.assign(call.context, user, count, call.now))


@app.command()
def add(ctx: typer.Context, user: User, count: Count = 1) -> None:
    """Buy slots and assign them to a user; each renews monthly, by itself.

    Examples:

      mailrotate slot add --user anna@example.org
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    _tell_given(call.speech, slot_pool.add(call.context, user, count, call.now))


def _tell_given(speech: Speech, user: "UserSlots") -> None:
    default = f", default sender {user.default}" if user.default else ""
    speech.result(
        _row(user),
        f"{user.user} has {counted(user.total, 'slot')} now, "
        f"{user.connected}/{user.total} connected{default}",
    )
    speech.next(Command("mailbox", "connect", "ADDRESS", "--for", user.user))


@app.command()
def unassign(ctx: typer.Context, slot: SlotId) -> None:
    """Put an empty purchased slot back into the team's pool; its subscription goes on.

    Where a mailbox was connected in it, the pool has it under a new id: what was stays with the old one.

    Examples:

      mailrotate slot unassign s_3
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    slot_id = read_id(slot, "s", "slot")
    freed = slot_pool.unassign(call.context, slot_id, call.now)
    heir = "" if freed.id == slot_id else f", as s_{freed.id}"
    call.speech.result(
        {**_slot_row(freed), "former": f"s_{slot_id}"},
        f"s_{slot_id} is in the team's pool again{heir}; it renews on {freed.renews_on}",
    )
    call.speech.next(Command("slot", "assign", "--user", "EMAIL"))


@app.command()
def remove(
    ctx: typer.Context,
    slot: Annotated[
        str | None,
        typer.Argument(metavar="SLOT", help="Its id, like s_3.", autocompletion=completion.slots),
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take a slot away, and disconnect what is in it. What follows is shown first.

    The mailbox stays on its seat, disconnected and without a slot. Without SLOT nothing is removed, and those
    that can be are listed.

    Examples:

      mailrotate slot remove s_3 --dry-run

      mailrotate slot remove s_3 --yes
    """
    from mailrotate.core.services.mailboxes import slot_removal

    call = call_of(ctx)
    if slot is None:
        raise _unnamed(call.speech, slot_removal.removable(call.context, call.now))
    following = slot_removal.consequences(call.context, read_id(slot, "s", "slot"), call.now)
    told, warnings = _consequences(following), _warnings(following, call.zone)
    done = call.speech.confirm(
        [*told, *(f"warning: {warning}" for warning in warnings)],
        f"Remove s_{following.slot_id}?",
        yes=yes,
        dry_run=dry_run,
        has_document=True,
    )
    removed = slot_removal.remove(call.context, following.slot_id, call.now) if done else None
    heir = None if removed is None or removed.pool_slot_id is None else f"s_{removed.pool_slot_id}"
    call.speech.result(
        {
            **_removal_row(following),
            "consequences": told,
            "warnings": warnings,
            "pool_slot": heir,
            "removed": done,
        },
        *([f"removed s_{following.slot_id}" + (f"; {heir} is in the team's pool" if heir else "")] * done),
    )
    if done:
        call.speech.next(Command("slot", "list"))


def _unnamed(speech: Speech, there: "Sequence[Removable]") -> BadInput:
    """Show what can be removed; nothing was, so that a script that names no slot hears of it (A4)."""
    speech.listing(
        ("slot", "user", "mailbox", "kind", "renews"),
        [
            {
                "id": f"s_{slot.slot_id}",
                "user": slot.user,
                "mailbox": slot.mailbox,
                "kind": slot.kind,
                "renews_on": slot.renews_on,
            }
            for slot in there
        ],
        lambda row: (
            row["id"],
            row["user"] or "(team's pool)",
            row["mailbox"],
            row["kind"],
            row["renews_on"],
        ),
    )
    hint = (
        Command("slot", "remove", f"s_{there[0].slot_id}", "--dry-run") if there else Command("slot", "list")
    )
    return BadInput("slot.which", "name the slot to remove" if there else "there is no slot to remove", hint)


def ask_for_slot(call: Call, address: str, for_user: str | None, slot_id: int | None, *, yes: bool) -> bool:
    """For a connect: whether a slot may be taken to which another mailbox may still come back without loss.

    Asks only where that is so, and ends the command when the answer is no (A5).
    """
    from mailrotate.core.services.effects import grace_periods

    if not call.app.has_workspace:
        return False
    awaited = grace_periods.awaited_returns(call.context, address, for_user, slot_id, call.now)
    question = f"Connect {address} in its place?"
    told = _awaited(awaited, call.zone)
    if awaited and not call.speech.confirm(told, question, yes=yes, dry_run=False):
        raise typer.Exit
    return yes or bool(awaited)


def _awaited(awaited: "Sequence[AwaitedReturn]", zone: str) -> list[str]:
    return [
        f"{each.mailbox} was in this slot, and its grace in campaign {each.campaign} runs until "
        f"{zoned(each.ends_at, zone)}; to come back in time it would need another slot"
        for each in awaited
    ]


def _consequences(following: "SlotConsequences") -> list[str]:
    whose = f"a slot of {following.user}" if following.user else "a slot of the team's pool"
    lines = [f"removing s_{following.slot_id}, {whose}:"]
    if following.mailbox:
        lines.append(
            f"  {following.mailbox} stops sending; it stays on the seat of {following.user}, disconnected"
        )
    until = "it is connected again, in another slot"
    lines += told_of_disconnect(following, "it", until, "; its password is deleted")
    lines.append(f"  {_subscription(following)}")
    return lines


def _subscription(following: "SlotConsequences") -> str:
    ends = following.ends
    if ends is not None:
        would = f"it would have renewed on {ends.renews_on}"
        if ends.becomes_included:
            return f"the subscription of s_{ends.slot_id} ends, which becomes an included slot; {would}"
        return f"its subscription ends; {would}"
    if following.total_before > following.included_count:
        return "no subscription ends: none of the user's slots has one"
    has = counted(following.total_before, "slot")
    within = f"the user has {has}, and the plan includes {following.included_count}"
    kept = "; what is paid for stays, as a slot of the team's pool" if following.goes_to_pool else ""
    return f"no subscription ends: {within}{kept}"


def _warnings(following: "SlotConsequences", zone: str) -> list[str]:
    warnings = _awaited(following.awaited, zone)
    if following.ends is not None and not following.ends.is_near:
        warnings.append(f"the renewal is not near: what ends is paid for until {following.ends.renews_on}")
    if following.campaigns:
        names = ", ".join(campaign.name for campaign in following.campaigns)
        warnings.append(f"not finished: {names}")
    return warnings


def _removal_row(following: "SlotConsequences") -> dict[str, Any]:
    return {
        "slot": f"s_{following.slot_id}",
        "kind": following.kind,
        "user": following.user,
        "mailbox": following.mailbox,
        "campaigns": campaign_rows(following),
        "waiting_messages": following.waiting_messages,
        "replies_recognised": None if following.mailbox is None else False,
        "subscription_ends": _ending_row(following.ends),
    }


def _ending_row(ends: "Ending | None") -> dict[str, Any] | None:
    if ends is None:
        return None
    return {
        "slot": f"s_{ends.slot_id}",
        "renews_on": ends.renews_on,
        "becomes_included": ends.becomes_included,
    }


def _row(user: "UserSlots") -> dict[str, Any]:
    return {
        "user": user.user,
        "connected": user.connected,
        "total": user.total,
        "default": user.default,
        "slots": _slot_rows(user.slots),
    }


def _slot_rows(slots: "Sequence[Slot]") -> list[dict[str, Any]]:
    return [_slot_row(slot) for slot in slots]


def _slot_row(slot: "Slot") -> dict[str, Any]:
    return {"id": f"s_{slot.id}", "kind": slot.kind, "renews_on": slot.renews_on, "mailbox": slot.mailbox}


def _slot_cells(slot: "Slot") -> tuple[object, ...]:
    return tuple(_slot_row(slot).values())
