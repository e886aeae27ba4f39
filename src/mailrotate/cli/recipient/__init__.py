"""`mailrotate recipient`: who a campaign writes to."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech, counted, instant, zoned
from mailrotate.cli.params import After, Campaign, DryRun, Limit, Yes, read_fields, read_id
from mailrotate.cli.recipient import assign
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.enrolment import HowToImport, Imported
    from mailrotate.core.services.campaigns.recipient_list import RecipientEntry

app = noun("Who a campaign writes to.")

_DONE_IN_PART = 8
_MOST_TOLD = 20

FromCampaign = Annotated[
    str | None,
    typer.Option(
        metavar="CAMPAIGN",
        help="Everybody of this campaign, with their fields.",
        autocompletion=completion.campaigns,
    ),
]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="The person's address, or an id like r_17.")]


@app.command("import")
def import_(
    ctx: typer.Context,
    campaign: Campaign,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A CSV file with a column 'email'."),
    ] = None,
    from_campaign: FromCampaign = None,
    owner: Annotated[str | None, typer.Option(metavar="USER", help="Who owns people not known yet.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="One bad row, and nothing is imported.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Add people from a CSV file: comma, semicolon or tab, a header line, every other column a field.

    Good rows go in together; the others are reported by line. Nobody who is or was in it starts again.

    Examples:

      mailrotate recipient import autumn-intro people.csv

      mailrotate recipient import autumn-intro - --strict < people.csv
    """
    from mailrotate.core.services.campaigns.enrolment import HowToImport

    call = call_of(ctx)
    if (file is None) == (from_campaign is None):
        raise BadInput(
            "import.source",
            "name one source: a FILE, - for standard input, or --from-campaign",
            Command("recipient", "import", "CAMPAIGN", "FILE"),
        )
    how = HowToImport(strict=strict, rehearse=dry_run, owner=owner)
    with _import(call, campaign, file, from_campaign, how) as imported:
        if call.speech.as_json:
            call.speech.report(_counts(imported), "problems", map(vars, imported.problems))
        else:
            _tell(call.speech, imported, dry_run)
        if strict and imported.refused:
            raise BadInput(
                "import.strict",
                f"{imported.refused} rows cannot be imported, so none was (--strict)",
                "correct them, or leave out --strict",
            )
        if imported.refused:
            raise typer.Exit(_DONE_IN_PART)
    call.speech.next(Command("campaign", "preview", campaign))


@contextmanager
def _import(
    call: Call,
    campaign: str,
    file: str | None,
    from_campaign: str | None,
    how: "HowToImport",
) -> Iterator["Imported"]:
    from mailrotate.adapters.csv_rows import open_rows
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.core.services.campaigns import enrolment

    with ExitStack() as stack:
        aside = stack.enter_context(ProblemSpool())
        show = stack.enter_context(call.speech.progress("importing"))
        if from_campaign is not None:
            importing = enrolment.importing_people(
                call.context, campaign, from_campaign, how, aside, call.now
            )
            yield stack.enter_context(importing)
            return
        rows = stack.enter_context(open_rows(sys.stdin.buffer if file == "-" else Path(str(file))))
        for header, name in rows.renamed.items():
            call.speech.say(f"column '{header}' is the field {{{{ {name} }}}}")
        absent = enrolment.columns_lacking(call.context, campaign, rows.columns)
        if absent:
            call.speech.warn(f"the file has no column {', '.join(absent)}, which the text needs in every row")

        def progress(count: int) -> None:
            show(rows.read_bytes / rows.total_bytes if rows.total_bytes else None, f"{count:,} rows")

        importing = enrolment.importing_file(
            call.context, campaign, rows, how, aside, progress=progress, now=call.now
        )
        yield stack.enter_context(importing)


def _counts(imported: "Imported") -> dict[str, int]:
    return {
        "imported": imported.imported,
        "duplicate": imported.duplicate,
        "suppressed": imported.suppressed,
        "invalid": imported.invalid,
    }


def _tell(speech: Speech, imported: "Imported", dry_run: bool) -> None:
    counts = _counts(imported)
    verb = "would be imported" if dry_run else "imported"
    others = ", ".join(f"{count} {name}" for name, count in list(counts.items())[1:] if count)
    speech.line(f"{imported.imported} {verb} into '{imported.campaign}'" + (f"; {others}" if others else ""))
    for number, trouble in enumerate(imported.problems):
        if number == _MOST_TOLD:
            speech.say(f"  … and {imported.refused - _MOST_TOLD} more; --json lists them all")
            break
        speech.say(f"  line {trouble.line}: {trouble.email or '(no address)'}: {trouble.problem}")


@app.command()
def add(
    ctx: typer.Context,
    campaign: Campaign,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The person's address.")],
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME=VALUE", help="A field; may be repeated.")
    ] = None,
) -> None:
    """Add one person.

    Examples:

      mailrotate recipient add autumn-intro kim@example.com --field first_name=Kim --field company=Acme
    """
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.core.services.campaigns import enrolment

    call = call_of(ctx)
    with ProblemSpool() as aside:
        kept = enrolment.add(
            call.context, campaign, address, read_fields(field or []), aside=aside, now=call.now
        )
    _show(call, campaign, kept, f"added {kept} to '{campaign}'")
    call.speech.next(Command("campaign", "preview", campaign, "--to", kept))


def _show(call: Call, campaign: str, address: str, words: str) -> None:
    from mailrotate.core.services.campaigns import recipient_list

    call.speech.result(_row(recipient_list.show(call.context, campaign, address)), words)


@app.command("list")
def list_(
    ctx: typer.Context,
    campaign: Campaign,
    state: Annotated[str | None, typer.Option(help="In this state only.")] = None,
    sender: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Assigned to this mailbox only.")
    ] = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """A campaign's people in the order of enrolment, with their next step.

    Examples:

      mailrotate recipient list autumn-intro --state replied

      mailrotate recipient list autumn-intro --sender anna@example.org --limit 100 --json
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    wanted = recipient_list.Wanted(
        state=recipient_list.read_state(state),
        sender=sender,
        after=None if after is None else read_id(after, "r", "recipient"),
        limit=limit,
    )
    zone = call.zone
    with recipient_list.listing(call.context, campaign, wanted) as found:
        call.speech.listing(
            ("id", "email", "state", "sender", "step", "sent", f"next ({zone})"),
            map(_row, found),
            lambda r: (
                r["id"],
                r["email"],
                r["state"] + (f" ({r['reason']})" if r["reason"] else ""),
                r["sender"],
                r["step"],
                r["sent"],
                instant(r["next_at"], zone),
            ),
            "no such recipients",
        )


def _row(entry: "RecipientEntry") -> dict[str, Any]:
    return {
        "id": f"r_{entry.id}",
        "email": entry.email,
        "state": entry.state,
        "reason": entry.reason,
        "sender": entry.sender,
        "assigned_reason": entry.assigned_reason,
        "step": entry.step,
        "sent": entry.sent,
        "next_at": entry.next_at,
    }


@app.command()
def show(ctx: typer.Context, campaign: Campaign, address: Address) -> None:
    """One person in a campaign, with their fields.

    Examples:

      mailrotate recipient show autumn-intro kim@example.com
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    entry = recipient_list.show(call.context, campaign, address)
    if call.speech.as_json:
        call.speech.document({**_row(entry), "fields": dict(entry.fields), "timezone": entry.timezone})
        return
    call.speech.facts(
        (
            ("recipient", f"{entry.email} (r_{entry.id})"),
            ("state", entry.state + (f" ({entry.reason})" if entry.reason else "")),
            ("sender", entry.sender),
            ("assigned by", entry.assigned_reason),
            ("sent", entry.sent),
            ("next step", entry.step if entry.next_at else None),
            ("next", zoned(entry.next_at, call.zone)),
            *((f"{{{{ {name} }}}}", value) for name, value in entry.fields.items()),
        )
    )
    if entry.is_for_another:
        call.speech.line(
            Hint(
                "another mailbox takes them on:",
                Command("recipient", "assign", campaign, entry.email, "--to-sender", "ADDRESS"),
            )
        )
    call.speech.next(Command("why", campaign, entry.email))


@app.command()
def remove(
    ctx: typer.Context,
    campaign: Campaign,
    address: Address,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Take somebody out. Once a message of theirs was planned they stay listed, as finished, and get no more.

    Examples:

      mailrotate recipient remove autumn-intro kim@example.com
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    entry = recipient_list.show(call.context, campaign, address)
    sent = counted(entry.sent, "message was", "messages were")
    told = [f"{entry.email} gets nothing more of '{campaign}' ({sent} sent)"]
    if not call.speech.confirm(told, f"Take {entry.email} out?", yes=yes, dry_run=dry_run):
        return
    removed = recipient_list.remove(call.context, campaign, address, call.now)
    words = "ended, and stays listed" if removed.was_contacted else "taken out"
    call.speech.result(
        {"email": removed.email, "was_contacted": removed.was_contacted}, f"{removed.email}: {words}"
    )


assign.add_to(app)
