"""`mailrotate user`: the seats of a team, and what each role may do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.consequences import campaigns_and_messages
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import Role

if TYPE_CHECKING:
    from mailrotate.core.services.team.user_admin import LockConsequences, Seat
    from mailrotate.core.services.team.user_removal import Consequences as Leaving

app = noun("The seats of a team, and what each role may do.")

Email = Annotated[
    str,
    typer.Argument(metavar="EMAIL", help="The user's address.", autocompletion=completion.users),
]
Name = Annotated[
    str | None, typer.Option(help="The user's name; mailboxes without a sender name send as it.")
]


@app.command()
def add(
    ctx: typer.Context,
    email: Email,
    name: Name = None,
    role: Annotated[Role, typer.Option(help="What they may do: mailrotate user roles.")] = Role.MEMBER,
) -> None:
    """Add a user, with the slots that the plan includes.

    Examples:

      mailrotate user add ben@example.org --name "Ben Example"

      mailrotate user add cleo@example.org --role manager --json
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    seat = user_admin.add(call.context, email, name, role, call.now)
    call.speech.result(_row(seat), f"added {seat.email}, {seat.role}, with {counted(seat.total, 'slot')}")
    call.speech.next(Command("mailbox", "connect", "ADDRESS", "--for", seat.email))


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Everybody's seat; a member sees their own.

    Examples:

      mailrotate user list
    """
    from mailrotate.core.services.team import user_admin

    call_of(ctx).speech.listing(
        ("user", "name", "role", "state", "connected", "default"),
        [_row(seat) for seat in user_admin.listing(call_of(ctx).context)],
        lambda r: (
            r["email"], r["name"], r["role"], r["state"], f"{r['connected']}/{r['total']}", r["default"],
        ),
    )  # fmt: skip


@app.command()
def show(ctx: typer.Context, email: Email) -> None:
    """One seat with its mailboxes.

    Examples:

      mailrotate user show anna@example.org
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    _print(call.speech, user_admin.show(call.context, email))


@app.command("set")
def set_(
    ctx: typer.Context,
    email: Email,
    name: Name = None,
    role: Annotated[Role | None, typer.Option(help="What they may do: mailrotate user roles.")] = None,
) -> None:
    """Change a user's name or role; only admins give roles.

    Examples:

      mailrotate user set anna@example.org --name "Anna Example"
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    _print(call.speech, user_admin.change(call.context, email, name, role, call.now))


@app.command()
def lock(ctx: typer.Context, email: Email, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Let a user do nothing more, and send nothing from their mailboxes. What follows is shown first.

    Examples:

      mailrotate user lock ben@example.org --dry-run

      mailrotate user lock ben@example.org --yes
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    following = user_admin.lock_consequences(call.context, email)
    question = f"Lock {following.email}?"
    if call.speech.confirm(_consequences(following), question, yes=yes, dry_run=dry_run):
        seat = user_admin.lock(call.context, email, call.now)
        call.speech.result(_row(seat), f"locked {seat.email}")
        call.speech.next(Command("user", "unlock", seat.email))


def _consequences(following: "LockConsequences") -> list[str]:
    lines = [f"locking {following.email}:", "  acts on nothing any more"]
    if following.is_default:
        lines.append("  is who acts where nobody is named: commands then need --as EMAIL")
    if following.addresses:
        one = "stays connected, is read and tested, sends nothing"
        several = "stay connected, are read and tested, send nothing"
        stays = one if len(following.addresses) == 1 else several
        lines.append(f"  {stays}: {', '.join(following.addresses)}")
    others = "goes on with its other senders"
    lines += campaigns_and_messages(following, "these mailboxes", others, "the user is unlocked")
    return lines


@app.command()
def unlock(ctx: typer.Context, email: Email) -> None:
    """Let a locked user act again; campaigns that the lock has paused wait for `campaign resume`.

    Examples:

      mailrotate user unlock ben@example.org
    """
    from mailrotate.core.services.team import user_admin

    call = call_of(ctx)
    unlocked = user_admin.unlock(call.context, email, call.now)
    paused = unlocked.still_paused
    lines = [f"unlocked {unlocked.seat.email}"]
    if paused:
        lines.append(f"still paused by the lock: {', '.join(paused)}")
    call.speech.result({**_row(unlocked.seat), "still_paused": list(paused)}, *lines)
    if paused:
        call.speech.next(Command("campaign", "resume", paused[0]))
    else:
        call.speech.next(Command("user", "show", unlocked.seat.email))


@app.command()
def remove(ctx: typer.Context, email: Email, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Remove a user whose seat holds no mailbox. Their campaigns and their lines in the log stay.

    Whoever is added again with the same address is the same user.

    Examples:

      mailrotate user remove ben@example.org --dry-run

      mailrotate user remove ben@example.org --yes
    """
    from mailrotate.core.services.team import user_removal

    call = call_of(ctx)
    following = user_removal.consequences(call.context, email)
    told = _leaving(following)
    done = call.speech.confirm(
        told, f"Remove {following.email}?", yes=yes, dry_run=dry_run, has_document=True
    )
    if done:
        user_removal.remove(call.context, email, call.now)
    call.speech.result(
        {"email": following.email, "consequences": told, "removed": done},
        *([f"removed {following.email}"] if done else []),
    )
    if done:
        call.speech.next(Command("user", "list"))


def _leaving(following: "Leaving") -> list[str]:
    lines = [f"removing {following.email}:", "  acts on nothing any more, and is in no list"]
    if following.included_slots:
        lines.append(
            f"  {counted(following.included_slots, 'included slot ends', 'included slots end')} with the seat"
        )
    if following.purchased_slots:
        bought = counted(following.purchased_slots, "purchased slot goes", "purchased slots go")
        lines.append(f"  {bought} back to the team's pool")
    if following.requests:
        asked = counted(following.requests, "request or approval", "requests and approvals")
        lines.append(f"  {asked} of mailboxes end")
    if following.shares:
        lines.append(
            f"  {counted(following.shares, 'shared mailbox', 'shared mailboxes')} no longer open to them"
        )
    if following.campaigns:
        lines.append(f"  campaigns that stay, for managers and admins: {', '.join(following.campaigns)}")
    return lines


@app.command("roles")
def show_roles(ctx: typer.Context) -> None:
    """What each role may do.

    Examples:

      mailrotate user roles
    """
    from mailrotate.core.rules import roles

    rows: list[dict[str, Any]] = [
        {"deed": deed, "about": words, **{role: roles.may(role, deed) for role in Role}}
        for deed, words in roles.WORDS.items()
    ]
    call_of(ctx).speech.listing(
        ("to", *Role),
        rows,
        lambda row: (row["about"], *("yes" if row[role] else "no" for role in Role)),
    )


def _row(seat: "Seat") -> dict[str, Any]:
    return {
        "email": seat.email,
        "name": seat.name,
        "role": seat.role,
        "state": seat.state,
        "default": seat.default,
        "connected": seat.connected,
        "total": seat.total,
        "mailboxes": [
            {
                "address": box.address,
                "state": box.state,
                "slot": None if box.slot_id is None else f"s_{box.slot_id}",
            }
            for box in seat.mailboxes
        ],
    }


def _print(speech: Speech, seat: "Seat") -> None:
    if speech.as_json:
        speech.document(_row(seat))
        return
    speech.facts(
        (
            ("user", seat.email),
            ("name", seat.name),
            ("role", seat.role),
            ("state", seat.state),
            ("connected", f"{seat.connected}/{seat.total}"),
            ("default", seat.default),
            *(("mailbox", f"{box.address}, {box.state}") for box in seat.mailboxes),
        )
    )
