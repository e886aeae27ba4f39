"""`mailrotate contact`: the people of the workspace, their tags and their timelines."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, instant
from mailrotate.cli.params import After, Limit, read_fields, read_id

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.contact_records import ShownContact
    from mailrotate.core.store.people.contacts import StoredContact

app = noun("The people of the workspace, their tags and their timelines.")

_ENTRIES = 20

Name = Annotated[str, typer.Argument(metavar="ADDRESS", help="The contact's address, or an id like k_17.")]
Entries = Annotated[int, typer.Option("--limit", min=1, help="So many entries of the timeline.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    tag: Annotated[str | None, typer.Option(help="With this tag only.")] = None,
    owner: Annotated[str | None, typer.Option(metavar="USER", help="Of this owner only.")] = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """Contacts in the order in which they were added.

    Examples:

      mailrotate contact list --tag customer

      mailrotate contact list --owner anna@example.org --limit 100 --after k_1200 --json
    """
    from mailrotate.core.services.contacts import contact_records

    after_id = None if after is None else read_id(after, "k", "contact")
    wanted = contact_records.Wanted(tag, owner, after_id, limit)
    with contact_records.listing(call_of(ctx).context, wanted) as found:
        call_of(ctx).speech.listing(
            ("id", "email", "owner", "tags"),
            map(_row, found),
            lambda row: (row["id"], row["email"], row["owner"], ", ".join(row["tags"])),
            "no such contact"
            if wanted != contact_records.Wanted()
            else "no contacts yet; campaigns bring them",
        )


@app.command()
def show(
    ctx: typer.Context,
    address: Name,
    limit: Entries = _ENTRIES,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on after this entry of the timeline.")
    ] = None,
) -> None:
    """One contact: fields, owner, tags, campaigns and the timeline, newest first.

    The log names contacts by their id alone, like k_17.

    Examples:

      mailrotate contact show kim@example.com

      mailrotate contact show k_17 --limit 100 --after t_1200 --json
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    after_id = None if after is None else read_id(after, "t", "timeline entry")
    _print(call, contact_records.show(call.context, address, limit, after_id))


@app.command()
def tag(
    ctx: typer.Context,
    word: Annotated[str, typer.Argument(metavar="TAG", help="The tag; upper and lower case are one.")],
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS", help="Contacts, or their ids.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag off.")] = False,
) -> None:
    """Put a tag on contacts, or take it off.

    Examples:

      mailrotate contact tag customer kim@example.com lee@example.com

      mailrotate contact tag customer k_17 --remove
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    tagged = contact_records.tag(call.context, word, addresses, remove=remove, now=call.now)
    done = "taken off" if remove else "put on"
    call.speech.result(
        {"tag": tagged.tag, "named": tagged.named, "changed": tagged.changed},
        f"'{tagged.tag}' {done} {tagged.changed} of {counted(tagged.named, 'contact')}",
    )


@app.command("set")
def set_(
    ctx: typer.Context,
    address: Name,
    owner: Annotated[
        str | None, typer.Option(metavar="USER", help="Whose contact it is; '' for nobody's.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="A field; NAME= removes it. May be repeated."),
    ] = None,
) -> None:
    """Change a contact's fields or owner. In campaigns, people keep the fields they were added with.

    Examples:

      mailrotate contact set kim@example.com --owner ben@example.org

      mailrotate contact set kim@example.com --field first_name=Kim --field company=
    """
    from mailrotate.core.services.contacts import contact_records

    call = call_of(ctx)
    wanted = contact_records.ContactChange(owner, read_fields(field or []))
    _print(call, contact_records.change(call.context, address, wanted, _ENTRIES, call.now))


def _row(contact: "StoredContact") -> dict[str, Any]:
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
        **_row(shown.contact),
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


def _print(call: Call, shown: "ShownContact") -> None:
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
        )


def _campaign_cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return (
        row["campaign"],
        row["recipient"],
        row["state"] + (f" ({row['reason']})" if row["reason"] else ""),
    )
