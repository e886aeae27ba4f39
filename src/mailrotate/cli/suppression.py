"""`mailrotate suppression`: who must never be written to again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, instant
from mailrotate.cli.params import After, DryRun, Limit, Yes, read_id
from mailrotate.core.values.errors import BadInput

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.suppressing import Added
    from mailrotate.core.store.people.suppressions import Suppressed

app = noun("Who must never be written to again.")

_DONE_IN_PART = 8

Value = Annotated[str, typer.Argument(metavar="ADDRESS|DOMAIN", help="An address, or everybody at a domain.")]
Reason = Annotated[str, typer.Option(help="Why, in a word.")]


@app.command("list")
def list_(ctx: typer.Context, limit: Limit = None, after: After = None) -> None:
    """Suppressed addresses and domains, in the order in which they were added.

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
                r["id"], r["kind"], r["value"], r["reason"], r["source"], instant(r["added_at"], zone),
            ),
            "nobody is suppressed",
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


@app.command()
def add(
    ctx: typer.Context,
    value: Value,
    reason: Reason = "by_hand",
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Never write to an address or a domain again; whoever is open there ends in every campaign.

    Examples:

      mailrotate suppression add kim@example.com --reason asked

      mailrotate suppression add example.com --yes
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    people = suppressing.open_count(call.context, value)
    told = [f"{counted(people, 'person who is', 'people who are')} open in campaigns will get nothing more"]
    # Nobody is stopped by suppressing who is in no campaign: then there is nothing to confirm.
    if (people or dry_run) and not call.speech.confirm(told, f"Suppress {value}?", yes=yes, dry_run=dry_run):
        return
    added = suppressing.add(call.context, value, reason, call.now)
    call.speech.result(
        _added(added),
        f"{added.value} ({added.kind}) {'is suppressed' if added.is_new else 'was suppressed already'}; "
        f"it ended {counted(added.ended, 'person', 'people')}",
    )


def _added(added: "Added") -> dict[str, Any]:
    return {"kind": added.kind, "value": added.value, "added": added.is_new, "ended": added.ended}


@app.command()
def remove(ctx: typer.Context, value: Value, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Allow an address or domain again. People whose sequence it ended stay ended.

    Examples:

      mailrotate suppression remove kim@example.com
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    _, name = suppressing.read_value(value)
    told = [f"{name} may be written to again; did they ask for that?"]
    if call.speech.confirm(told, f"Allow {name}?", yes=yes, dry_run=dry_run):
        removed = suppressing.remove(call.context, value, call.now)
        call.speech.result({"value": removed, "removed": True}, f"{removed} is not suppressed any more")


@app.command("import")
def import_(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="An address or domain on each line.")],
    reason: Reason = "imported",
) -> None:
    """Suppress what a text file lists, one on a line; open recipients among them end.

    Examples:

      mailrotate suppression import do-not-write.txt
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    problems: list[dict[str, Any]] = []
    done: list[Added] = []
    with _text(file) as lines:
        for number, outcome in suppressing.add_many(call.context, lines, reason, call.now):
            if isinstance(outcome, BadInput):
                problems.append({"line": number, "problem": outcome.message})
            else:
                done.append(outcome)
    counts = {
        "added": sum(added.is_new for added in done),
        "known": sum(not added.is_new for added in done),
        "ended": sum(added.ended for added in done),
    }
    call.speech.result(
        {**counts, "problems": problems},
        f"{counts['added']} suppressed, {counts['known']} already were; "
        f"it ended {counted(counts['ended'], 'person', 'people')}",
    )
    if not call.speech.as_json:
        for problem in problems:
            call.speech.say(f"  line {problem['line']}: {problem['problem']}")
    if problems:
        raise typer.Exit(_DONE_IN_PART)


@contextmanager
def _text(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8-sig") as stream:
            yield stream
    except OSError as trouble:
        raise BadInput("suppression.unreadable", f"cannot read {file}: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("suppression.encoding", f"{file} is not UTF-8") from None


@app.command()
def export(ctx: typer.Context) -> None:
    """Every suppressed address and domain, one on a line: what `import` reads.

    Examples:

      mailrotate suppression export
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    with suppressing.listing(call.context, None, None) as found:
        for suppressed in found:
            # An erased one is known by its hash alone, which says nothing to anybody else.
            if suppressed.value is not None:
                call.speech.line(suppressed.value)
