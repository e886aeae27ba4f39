"""`mailrotate runner`: who works on this workspace."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import instant
from mailrotate.core.values.hint import Command, Hint

app = noun("List the runners.", __name__, "list")


def list_(ctx: typer.Context) -> None:
    """The processes that send, alive or dead without a word.

    Examples:

      mailrotate runner list
    """
    from mailrotate.core.services.sending import runners

    call = call_of(ctx)
    rows = [{**vars(found), "id": f"run_{found.id}"} for found in runners.listing(call.context)]
    call.speech.listing(
        ("id", "kind", "host", "pid", f"started ({call.zone})", "alive"),
        rows,
        lambda r: (r["id"], r["kind"], r["host"], r["pid"], instant(r["started_at"], call.zone), r["alive"]),
        Hint("no runner; start one:", Command("run")),
        drop=("kind", "host"),
    )
