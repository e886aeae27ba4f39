"""A contact as JSON and in words."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call
from mailrotate.cli.output import instant
from mailrotate.core.values.reasons import ended

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.contact_records import ShownContact
    from mailrotate.core.store.people.contacts import StoredContact

ENTRIES = 20
Name = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="The contact's address, or an id like k_17.",
        autocompletion=completion.contacts,
    ),
]


def row_of(contact: "StoredContact") -> dict[str, Any]:
    return {
        "id": f"k_{contact.id}",
        "email": contact.email,
        "owner": contact.owner,
        "tags": list(contact.tags),
        "fields": dict(contact.fields),
        "created_at": contact.created_at,
    }


def _document(shown: "ShownContact") -> dict[str, Any]:
    return {
        **row_of(shown.contact),
        "suppressed": shown.suppressed,
        "campaigns": [
            {"campaign": c.campaign, "recipient": f"r_{c.recipient_id}", "state": c.state, "reason": c.reason}
            for c in shown.campaigns
        ],
        "timeline": [
            {
                "id": f"t_{entry.id}",
                "at": entry.at,
                "direction": entry.direction,
                "mailbox": entry.mailbox,
                "subject": entry.subject,
                "message_id": entry.header_id,
            }
            for entry in shown.timeline
        ],
    }


def print_contact(call: Call, shown: "ShownContact") -> None:
    row = _document(shown)
    if call.speech.as_json:
        call.speech.document(row)
        return
    call.speech.facts(
        (
            ("contact", f"{row['email']} ({row['id']})"),
            ("owner", row["owner"]),
            ("tags", ", ".join(row["tags"])),
            *([("suppressed", row["suppressed"])] if row["suppressed"] else []),
            *((f"{{{{ {name} }}}}", value) for name, value in row["fields"].items()),
        )
    )
    if row["campaigns"]:
        call.speech.line()
        call.speech.table(("campaign", "recipient", "state"), map(_campaign_cells, row["campaigns"]))
    if row["timeline"]:
        call.speech.line()
        call.speech.table(
            ("id", f"at ({call.zone})", "mail", "mailbox", "subject"),
            (
                (e["id"], instant(e["at"], call.zone), e["direction"], e["mailbox"], e["subject"])
                for e in row["timeline"]
            ),
            drop=("mailbox", "id"),
        )


def _campaign_cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        row["campaign"],
        row["recipient"],
        ended(row["state"], row["reason"]),
    )
