"""`mailrotate plan set`: what the workspace allows from now on."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.plan.document import Approval, Switch, print_plan
from mailrotate.core.values.duration import parse_duration

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.plan_changes import Changed


def set_(
    ctx: typer.Context,
    slots: Annotated[int | None, typer.Option(help="Included slots for each user.")] = None,
    daily_cap: Annotated[
        int | None, typer.Option(help="Maximum messages per day of a mailbox and of a slot.")
    ] = None,
    sync_every: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How often inboxes are read, like 5m.")
    ] = None,
    shared: Annotated[
        Switch | None, typer.Option(help="Whether mailboxes may be shared with other users.")
    ] = None,
    role_addresses: Annotated[
        Switch | None,
        typer.Option(help="Whether role addresses, like info@, may be connected."),
    ] = None,
    approval: Annotated[
        Approval | None, typer.Option(help="Whether an admin approves a mailbox before it is connected.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Apply it even if something in use exceeds it.")
    ] = False,
) -> None:
    """Change the plan. It takes effect at once; only empty slots are removed.

    Examples:

      mailrotate plan set --slots 3 --sync-every 10m

      mailrotate plan set --approval required --role-addresses off --force
    """
    from mailrotate.core.services.mailboxes import plan_changes

    call = call_of(ctx)
    wanted = plan_changes.PlanChange(
        slots,
        daily_cap,
        None if sync_every is None else parse_duration(sync_every),
        None if shared is None else shared is Switch.ON,
        None if role_addresses is None else role_addresses is Switch.ON,
        None if approval is None else approval is Approval.REQUIRED,
    )
    changed = plan_changes.change(call.context, wanted, call.now, force=force)
    print_plan(call.speech, changed.plan, _differences(changed))
    _tell_change(call.speech, changed)


def _differences(changed: "Changed") -> dict[str, Any]:
    return {
        "slots_added": changed.slots_added,
        "slots_removed": changed.slots_removed,
        "over": {
            "users": [vars(each) for each in changed.over.slots],
            "mailboxes": [vars(each) for each in changed.over.cap],
            "shared": list(changed.over.shared),
            "role_addresses": list(changed.over.role_addresses),
        },
    }


def _tell_change(speech: Speech, changed: "Changed") -> None:
    if changed.slots_added or changed.slots_removed:
        gone = counted(changed.slots_removed, "empty slot")
        speech.say(f"{counted(changed.slots_added, 'slot')} added, {gone} removed")
    for user in changed.over.slots:
        speech.warn(f"{user.user} exceeds it: {counted(user.used, 'included slot')} in use stay")
    for box in changed.over.cap:
        speech.warn(f"{box.mailbox} exceeds it: daily limit {box.daily_limit}; the cap applies")
    for address in changed.over.shared:
        speech.warn(f"{address} exceeds it: it keeps its present shares and gets no new ones")
    for address in changed.over.role_addresses:
        speech.warn(f"{address} exceeds it: it stays, but once removed it cannot be connected again")
    if changed.unapproved:
        stay = counted(changed.unapproved, "mailbox that a user has", "mailboxes that users have")
        speech.say(f"approval applies to mailboxes connected from now on; {stay} need none")
