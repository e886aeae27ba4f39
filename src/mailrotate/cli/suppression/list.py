"""`mailrotate suppression list`."""

from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import instant
from mailrotate.cli.params import After, Limit, read_id
from mailrotate.core.values.reasons import spoken

if TYPE_CHECKING:
    from mailrotate.core.store.people.suppressions import Suppressed


def list_(ctx: typer.Context, limit: Limit = None, after: After = None) -> None:
    """List suppressed addresses and domains in the order in which they were added.

    Examples:

      mailrotate suppression list --json
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    since = None if after is None else read_id(after, "p", "suppression")
    zone = call.zone
    with suppressing.listing(call.context, since, limit) as found:
        call.speech.listing(
            ("id", "kind", "value", "reason", "source", f"added ({zone})"),
            map(_row, found),
            lambda r: (
                r["id"], r["kind"], r["value"], spoken(r["reason"]), r["source"],
                instant(r["added_at"], zone),
            ),
            "no address is suppressed",
            drop=("source", "added", "kind", "reason"),
        )  # fmt: skip


def _row(suppressed: "Suppressed") -> dict[str, Any]:
    return {
        "id": f"p_{suppressed.id}",
        "kind": suppressed.kind,
        "value": suppressed.value,
        "reason": suppressed.reason,
        "source": suppressed.source,
        "added_at": suppressed.added_at,
    }
