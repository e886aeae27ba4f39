"""`mailrotate recipient import`: people from a file or from another campaign."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Campaign, DryRun
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.enrolment import HowToImport, Imported

_DONE_IN_PART = 8
_MOST_TOLD = 20
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
        typer.Argument(metavar="FILE|-", help="A CSV file with a column 'email'."),
    ] = None,
    from_campaign: FromCampaign = None,
    owner: Owner = None,
    strict: Annotated[bool, typer.Option("--strict", help="One bad row, and nothing is imported.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Import recipients from a CSV file with a header line and an 'email' column; other columns are fields.

    The separator is a comma, semicolon or tab. Good rows are imported together, the others reported by line.
    Present and former recipients never restart.

    Examples:

      mailrotate recipient import autumn-intro people.csv

      mailrotate recipient import autumn-intro - --strict < people.csv
    """
    from mailrotate.core.services.campaigns.enrolment import HowToImport

    call = call_of(ctx)
    if (file is None) == (from_campaign is None):
        raise BadInput(
            "import.source",
            "give one source: a FILE, - for standard input, or --from-campaign",
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
                f"{imported.refused} rows cannot be imported, so no row was imported (--strict)",
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
