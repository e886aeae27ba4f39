"""`mailrotate recipient import`: people from a file or from another campaign."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import Campaign, DryRun, Encoding
from mailrotate.cli.recipient.document import AddedFor
from mailrotate.core.rules.text import one_line, same_name
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.rules.field_names import ColumnChoice
    from mailrotate.core.services.campaigns.enrolment import HowToImport, Imported

_DONE_IN_PART = 8
_MOST_TOLD = 20
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=FIELD",
        help="Field for a column, named by its header or its number; can be repeated.",
    ),
]
EmailColumn = Annotated[
    str | None,
    typer.Option("--email-column", metavar="COLUMN", help="Column with the addresses: its header or number."),
]
FromCampaign = Annotated[
    str | None,
    typer.Option(
        metavar="CAMPAIGN",
        help="Import the recipients of this campaign, with their fields.",
        autocompletion=completion.campaigns,
    ),
]


Owner = Annotated[
    str | None,
    typer.Option(
        metavar="USER", help="Owner of contacts that are not known yet.", autocompletion=completion.users
    ),
]


def import_(
    ctx: typer.Context,
    campaign: Campaign,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE|-", help="A CSV file with a header line."),
    ] = None,
    from_campaign: FromCampaign = None,
    owner: Owner = None,
    for_user: AddedFor = None,
    map_: Map = None,
    email_column: EmailColumn = None,
    encoding: Encoding = None,
    strict: Annotated[bool, typer.Option("--strict", help="One bad row, and nothing is imported.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Import recipients from a CSV file with a header line and an 'email' column; other columns are fields.

    The separator is a comma, semicolon, tab or bar; the headers of usual address books and CRMs are known.
    Good rows are imported together, the others reported by line. Present and former recipients never restart.

    Examples:

      mailrotate recipient import autumn-intro people.csv

      mailrotate recipient import autumn-intro - --strict < people.csv

      mailrotate recipient import autumn-intro crm.csv --email-column Work_mail --map Called=first_name
    """
    from mailrotate.core.services.campaigns.enrolment import HowToImport

    call = call_of(ctx)
    if (file is None) == (from_campaign is None):
        raise BadInput(
            "import.source",
            "give one source: a FILE, - for standard input, or --from-campaign",
            Command("recipient", "import", "CAMPAIGN", "FILE"),
        )
    how = HowToImport(strict=strict, rehearse=dry_run, owner=owner, for_user=for_user)
    columns = _Columns(map_ or (), email_column, encoding)
    with _import(call, campaign, file, from_campaign, columns, how) as imported:
        _report(call.speech, imported, how)
    call.speech.next(Command("campaign", "preview", campaign))


def _report(speech: Speech, imported: "Imported", how: "HowToImport") -> None:
    if speech.as_json:
        counts = {**_counts(imported), "several_addresses": imported.several_addresses}
        speech.report(counts, "problems", map(vars, imported.problems))
    else:
        _tell(speech, imported, how.rehearse)
    if how.strict and imported.refused:
        raise BadInput(
            "import.strict",
            f"{imported.refused} rows cannot be imported, so no row was imported (--strict)",
            "correct them, or leave out --strict",
        )
    if imported.refused:
        raise typer.Exit(_DONE_IN_PART)


@contextmanager
def _import(
    call: Call,
    campaign: str,
    file: str | None,
    from_campaign: str | None,
    columns: "_Columns",
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
        demands = enrolment.demands_of(call.context, campaign)
        source = sys.stdin.buffer if file == "-" else Path(str(file))
        choice, again = columns.choice(demands.needs.uses), _again(campaign, file, columns, how)
        rows = stack.enter_context(open_rows(source, choice, columns.encoding, again))
        for number, note in enumerate(rows.notes):
            if number == _MOST_TOLD:
                call.speech.say(f"… and {len(rows.notes) - _MOST_TOLD} more columns")
                break
            call.speech.say(note)
        absent = demands.columns_lacking(rows.columns)
        if absent:
            call.speech.warn(
                f"the file has no column {', '.join(absent)}, which the text needs in every row: "
                "only people whose contact has it can be imported"
            )

        def progress(count: int) -> None:
            show(rows.read_share, f"{count:,} rows")

        importing = enrolment.importing_file(
            call.context, campaign, rows, how, aside, progress=progress, now=call.now
        )
        yield stack.enter_context(importing)


@dataclass(frozen=True)
class _Columns:
    """What the options say about the file's columns."""

    mapped: Sequence[str]
    email_column: str | None
    encoding: str | None

    def choice(self, used: frozenset[str]) -> "ColumnChoice":
        """Read `--map COLUMN=FIELD`. Raises BadInput (`import.map`)."""
        from mailrotate.core.rules.field_names import EMAIL, ColumnChoice
        from mailrotate.core.rules.template_language import is_usable

        fields: dict[str, str] = {}
        for pair in self.mapped:
            # A header may hold an equals sign, a field's name cannot.
            column, _, name = pair.rpartition("=")
            name = same_name(name.strip())
            if not column or not (name == EMAIL or is_usable(name)):
                raise BadInput(
                    "import.map",
                    f"'{pair[:80]}' is not COLUMN=FIELD with a field that a text can name",
                    'write it like --map "First Name=first_name"',
                )
            taken = name in fields.values() or (name == EMAIL and self.email_column is not None)
            if taken or column in fields:
                raise BadInput("import.map", f"--map {pair[:80]}: the column or the field is chosen twice")
            fields[column] = name
        return ColumnChoice(fields, self.email_column, used)


def _again(campaign: str, file: str | None, columns: _Columns, how: "HowToImport") -> Command:
    """The command that is being run, for a hint that adds an option to it."""
    words = ["recipient", "import", campaign, str(file)]
    words += [word for pair in columns.mapped for word in ("--map", pair)]
    words += ["--email-column", columns.email_column] if columns.email_column else []
    words += ["--owner", how.owner] if how.owner else []
    words += ["--for", how.for_user] if how.for_user else []
    words += ["--strict"] if how.strict else []
    words += ["--dry-run"] if how.rehearse else []
    return Command(*words)


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
    if imported.several_addresses:
        rows = counted(imported.several_addresses, "row has", "rows have")
        speech.say(f"  {rows} several addresses in one cell; only the first address is used")
    for number, trouble in enumerate(imported.problems):
        if number == _MOST_TOLD:
            speech.say(f"  … and {imported.refused - _MOST_TOLD} more; --json lists them all")
            break
        address = one_line(trouble.email or "") or "(no address)"
        speech.say(f"  line {trouble.line}: {address}: {one_line(trouble.problem)}")
