"""`mailrotate plan`: what the workspace allows."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import Json
from mailrotate.core.values.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from mailrotate.core.store.plans import StoredPlan

app = noun("What the workspace allows.")


@app.command()
def show(ctx: typer.Context, as_json: Json = False) -> None:
    """The slots that each user has without buying, the daily cap, and how often inboxes are read.

    Examples:

      mailrotate plan show
    """
    from mailrotate.core.services import plans

    _print(Speech(as_json), plans.show(call_of(ctx).context), {})


@app.command("set")
def set_(
    ctx: typer.Context,
    slots: Annotated[int | None, typer.Option(help="Included slots for each user.")] = None,
    daily_cap: Annotated[
        int | None, typer.Option(help="The most that a mailbox and a slot may send a day.")
    ] = None,
    sync_every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How often inboxes are read, like 5m.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when somebody is over it then.")] = False,
    as_json: Json = False,
) -> None:
    """Change the plan. It takes effect at once; of slots only empty ones are taken away.

    Examples:

      mailrotate plan set --slots 3 --sync-every 10m

      mailrotate plan set --daily-cap 200 --force
    """
    from mailrotate.core.services import plans

    call, speech = call_of(ctx), Speech(as_json)
    every = None if sync_every is None else parse_duration(sync_every)
    changed = plans.change(call.context, plans.PlanChange(slots, daily_cap, every), call.now, force=force)
    _print(
        speech,
        changed.plan,
        {
            "slots_added": changed.slots_added,
            "slots_removed": changed.slots_removed,
            "over": {
                "users": [vars(each) for each in changed.over_slots],
                "mailboxes": [vars(each) for each in changed.over_cap],
            },
        },
    )
    if changed.slots_added or changed.slots_removed:
        gone = counted(changed.slots_removed, "empty slot")
        speech.say(f"{counted(changed.slots_added, 'slot')} added, {gone} removed")
    for user in changed.over_slots:
        speech.warn(f"{user.user} is over it: {counted(user.used, 'included slot')} in use stay")
    for box in changed.over_cap:
        speech.warn(f"{box.mailbox} is over it: its daily limit is {box.daily_limit}, the plan's cap binds")


def _print(speech: Speech, plan: "StoredPlan", more: dict[str, Any]) -> None:
    if speech.as_json:
        speech.document(
            {
                "slots": plan.slots_per_user,
                "daily_cap": plan.daily_cap,
                "sync_every": plan.sync_every,
                **more,
            }
        )
        return
    speech.facts(
        (
            ("slots per user", plan.slots_per_user),
            ("daily cap", plan.daily_cap),
            ("inboxes are read every", format_duration(plan.sync_every)),
        )
    )
