"""`mailrotate slot`: how many mailboxes each user may connect."""

from typing import Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Json

app = noun("How many mailboxes each user may connect.")


@app.command("list")
def list_(ctx: typer.Context, as_json: Json = False) -> None:
    """Each user's slots and what is connected in them.

    Examples:

      mailrotate slot list
    """
    from mailrotate.core.services import slots

    call, speech = call_of(ctx), Speech(as_json)
    users = [_row(found) for found in slots.listing(call.context)]
    team = {
        "connected": sum(user["connected"] for user in users),
        "total": sum(user["total"] for user in users),
        "unassigned": 0,
    }
    if as_json:
        speech.document({"team": team, "users": users})
        return
    speech.table(
        ("user", "connected", "default", "slot", "kind", "renews", "mailbox"),
        (
            (
                user["user"], f"{user['connected']}/{user['total']}", user["default"],
                slot["id"], slot["kind"], slot["renews_on"], slot["mailbox"],
            )
            for user in users
            for slot in user["slots"]
        ),
    )  # fmt: skip
    speech.line(f"team: {team['connected']}/{team['total']} connected")


@app.command()
def add(
    ctx: typer.Context,
    user: Annotated[str, typer.Option(help="Whose slots they become.")],
    count: Annotated[int, typer.Option(help="How many.")] = 1,
    as_json: Json = False,
) -> None:
    """Buy slots and assign them to a user; each renews monthly.

    Examples:

      mailrotate slot add --user anna@example.org
    """
    from mailrotate.core.services import slots

    call, speech = call_of(ctx), Speech(as_json)
    row = _row(slots.add(call.context, user, count, call.now))
    renews_on = row["slots"][-1]["renews_on"]
    speech.result(
        row,
        f"{row['user']} has {row['total']} slots now, {row['connected']}/{row['total']} connected; "
        f"new ones renew on {renews_on}",
    )
    speech.next("mailrotate mailbox connect ADDRESS")


def _row(found: Any) -> dict[str, Any]:
    return {
        "user": found.user,
        "connected": found.connected,
        "total": found.total,
        "default": found.default,
        "slots": [
            {"id": f"s_{slot.id}", "kind": slot.kind, "renews_on": slot.renews_on, "mailbox": slot.mailbox}
            for slot in found.slots
        ],
    }
