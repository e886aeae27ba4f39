"""`mailrotate outbox show`: one message and its story."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.logged import print_line
from mailrotate.cli.outbox.document import row_of
from mailrotate.cli.output import zoned
from mailrotate.cli.params import read_id
from mailrotate.core.values.hint import Command
from mailrotate.core.values.reasons import answered, heard, spoken

if TYPE_CHECKING:
    from mailrotate.core.services.views.outbox_actions import MessageStory

# Future instants, which are rounded up.
_AHEAD = ("due_at", "expected_at", "ready_at")


def show(
    ctx: typer.Context,
    message: Annotated[
        str, typer.Argument(metavar="ID", help="A message, like m_17.", autocompletion=completion.any_message)
    ],
) -> None:
    """Show everything about a message, with the server's own words and its history.

    Examples:

      mailrotate outbox show m_17
    """
    from mailrotate.core.services.views import logbook, outbox_actions

    call = call_of(ctx)
    story = outbox_actions.show(call.context, read_id(message, "m", "message"), call.now)
    row = _story(story)
    history = [logbook.as_row(event) for event in story.history]
    if call.speech.as_json:
        call.speech.document({**row, "history": history})
        return
    zone, error = call.zone, row.pop("error")
    waits_for = None if story.waits_for is None else spoken(story.waits_for)
    call.speech.facts(
        (name.replace("_", " "), zoned(value, zone, ahead=name in _AHEAD) if name.endswith("_at") else value)
        for name, value in (row | {"waits_for": waits_for, "references": tuple(row["references"])}).items()
        if value not in (None, "", ())
    )
    if error is not None:
        call.speech.line()
        error |= {"class": answered(error["class"]), "message": heard(error["message"] or "") or None}
        call.speech.facts((f"error {name}", value) for name, value in error.items() if value is not None)
    call.speech.line()
    for event in story.history:
        print_line(call.speech, event, zone)
    if story.waits_for is not None:
        call.speech.next(Command("why", row["id"]))


def _story(story: "MessageStory") -> dict[str, Any]:
    detail = story.detail
    row = row_of(story.expected)
    if row["error"] is not None:
        row["error"]["phase"] = detail.listed.error_phase
    return {
        **row,
        "mailbox": detail.listed.mailbox,
        "recipient": None if detail.recipient_id is None else f"r_{detail.recipient_id}",
        "waits_for": story.waits_for,
        "in_reply_to": detail.in_reply_to,
        "references": list(detail.cited_ids),
        "content_sha256": detail.content_hash,
        "planned_at": detail.planned_at,
        "ready_at": detail.listed.ready_at,
        "overdue_at": detail.listed.overdue_at,
        "released_at": detail.released_at,
        "first_failed_at": detail.first_failed_at,
        "claimed_at": detail.claimed_at,
        "marked_at": detail.marked_at,
        "settled_at": detail.settled_at,
    }
