"""`mailrotate campaign show`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.campaign.document import row_of, state_of
from mailrotate.cli.campaign.options import Name
from mailrotate.cli.hints import in_words
from mailrotate.cli.mailbox.document import health_of
from mailrotate.cli.output import counted, localised
from mailrotate.cli.turns import words_of
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.campaign_views import CampaignView


def show(ctx: typer.Context, name: Name) -> None:
    """Show a campaign: recipients by state, messages by sender and by step.

    Examples:

      mailrotate campaign show autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_views

    call = call_of(ctx)
    view = campaign_views.show(call.context, name, call.now)
    row = row_of(view)
    if call.speech.as_json:
        call.speech.document(row)
        return
    people = ", ".join(f"{count} {state}" for state, count in row["recipients"].items() if count)
    call.speech.facts(
        (
            ("campaign", f"{view.name} (c_{view.id}, version {view.version})"),
            ("owner", view.owner),
            ("state", state_of(row)),
            ("rotation", view.rotation or "none, one sender"),
            ("recipients", people or "none"),
            ("next", _next(view, call)),
        )
    )
    if view.waiting and view.started_at is not None:
        people = counted(view.waiting, "recipient waits", "recipients wait")
        why = Command("why", view.name, "ADDRESS")
        call.speech.line(f"{people} for a sender; to see why: {in_words(why)}")
    if view.mailbox_removed:
        people = counted(view.mailbox_removed, "recipient")
        call.speech.line(f"{people} failed when their mailbox was removed; another takes them on:")
        for address in view.removed_senders:
            again = Command(
                "recipient", "assign", view.name, "--from-sender", address, "--to-sender", "ADDRESS"
            )
            call.speech.line(f"  {in_words(again)}")
    call.speech.line()
    call.speech.table(
        ("sender", "state", "assigned", "sent"),
        map(_sender_cells, row["senders"]),
    )
    call.speech.line()
    call.speech.table(
        ("step", "delay", "subject", "sent"),
        [(step.n, step.delay, step.subject or "(reply in the thread)", step.sent) for step in view.steps],
    )


def _sender_cells(sender: Mapping[str, Any]) -> tuple[object, ...]:
    state = sender["state"] and health_of(sender)
    return sender["address"] or "(empty slot)", state, sender["assigned"], sender["sent"]


def _next(view: "CampaignView", call: Call) -> str:
    if view.waits_for is not None:
        return f"after an action: {localised(view.waits_for, call.zone)}"
    return "nothing waits" if view.next_send_at is None else words_of(view.next_send_at, call)
