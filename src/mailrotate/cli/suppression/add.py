"""`mailrotate suppression add`."""

from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import DryRun, Yes
from mailrotate.cli.suppression.options import Reason, Value

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.suppressing import Added


def add(
    ctx: typer.Context,
    value: Value,
    reason: Reason = "by_hand",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Never send to an address or a domain again; its open recipients end in every campaign.

    A domain covers every domain below it. At Gmail, all spellings of an address are one address.

    Examples:

      mailrotate suppression add kim@example.com --reason asked

      mailrotate suppression add example.com --yes
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    people = suppressing.open_count(call.context, value)
    told = [
        f"{counted(people, 'recipient who is', 'recipients who are')} open in campaigns will get nothing more"
    ]
    # Without open recipients there is nothing to confirm.
    if (people or dry_run) and not call.speech.confirm(told, f"Suppress {value}?", yes=yes, dry_run=dry_run):
        return
    added = suppressing.add(call.context, value, reason, call.now)
    call.speech.result(
        _added(added),
        f"{added.value} ({_covers(added)}) {'is suppressed' if added.is_new else 'was suppressed already'}; "
        f"it ended {counted(added.ended, 'recipient')}",
    )


def _covers(added: "Added") -> str:
    return "domain, with those below it" if added.kind == "domain" else added.kind


def _added(added: "Added") -> dict[str, Any]:
    return {"kind": added.kind, "value": added.value, "added": added.is_new, "ended": added.ended}
