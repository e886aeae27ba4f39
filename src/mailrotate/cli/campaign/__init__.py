"""`mailrotate campaign`: from a file to what stands. See also `campaign_life.py`, `campaign_preview.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.campaign import life, preview
from mailrotate.cli.campaign.options import From, Name, Rotate, plan_of, read_rotation
from mailrotate.cli.hints import in_words
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech, counted, instant, zoned
from mailrotate.cli.params import DryRun, Yes
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.campaign_views import CampaignView
    from mailrotate.core.services.campaigns.drafting import Drafted

app = noun("Create campaigns, start, pause and stop them.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The campaign's TOML file.")]


@app.command()
def check(ctx: typer.Context, file: File) -> None:
    """Find every mistake in a campaign's file. Needs no workspace and stores nothing.

    Examples:

      mailrotate campaign check examples/campaign/campaign.toml
    """
    from mailrotate.adapters.campaign_files import read_campaign
    from mailrotate.core.rules.campaign_file import fields_needed

    speech = call_of(ctx).speech
    plan = read_campaign(file)
    needed = sorted(fields_needed(plan))
    speech.result(
        {"name": plan.name, "steps": len(plan.steps), "fields": needed},
        f"{file} is in order: campaign '{plan.name}' with {_steps(len(plan.steps))}",
        f"every recipient needs: {', '.join(needed) or 'nothing but an address'}",
    )
    speech.next(Command("campaign", "create", str(file)))


@app.command()
def create(
    ctx: typer.Context,
    file: File,
    name: Annotated[str | None, typer.Option(help="Instead of the name in the file.")] = None,
    sender: From = None,
    rotate: Rotate = None,
    team: Annotated[bool | None, typer.Option("--team", help="Every user may add people.")] = None,
) -> None:
    """Store a campaign as a draft, with its texts and attachments: the files are not needed afterwards.

    It sends from --from, or what the file names, or the default mailbox, and keeps that sender.

    Examples:

      mailrotate campaign create campaign.toml

      mailrotate campaign create campaign.toml --from anna@example.org --from ben@example.org
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    plan = plan_of(file, name=name, senders=sender, rotate=read_rotation(rotate), team=team)
    drafted = drafting.create(call.context, plan, call.now)
    _tell(call.speech, drafted, f"created campaign '{drafted.name}'")
    call.speech.next(Command("recipient", "import", drafted.name, "FILE"))


@app.command()
def edit(ctx: typer.Context, name: Name, file: File) -> None:
    """Replace a draft; of a started campaign, the text and delay of steps that nobody has got yet.

    The campaign keeps its name, and a draft its senders when the file names none.

    Examples:

      mailrotate campaign edit autumn-intro campaign.toml
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    drafted = drafting.edit(call.context, name, plan_of(file), call.now)
    _tell(call.speech, drafted, f"campaign '{drafted.name}' is at version {drafted.version}")
    call.speech.next(Command("campaign", "preview", drafted.name))


@app.command()
def copy(
    ctx: typer.Context,
    name: Name,
    new_name: Annotated[str | None, typer.Option("--name", help="The copy's name.")] = None,
) -> None:
    """Make a draft with the same words, window and senders, without people.

    Examples:

      mailrotate campaign copy autumn-intro --name winter-intro
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    drafted = drafting.copy(call.context, name, new_name, call.now)
    _tell(call.speech, drafted, f"copied to campaign '{drafted.name}'")
    call.speech.next(Command("recipient", "import", drafted.name, "FILE"))


@app.command()
def delete(ctx: typer.Context, name: Name, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a draft with its list of recipients; the people themselves stay known.

    Examples:

      mailrotate campaign delete autumn-intro
    """
    from mailrotate.core.services.campaigns import drafting

    call = call_of(ctx)
    found, people = drafting.deletable(call.context, name)
    listed = counted(people, "recipient")
    told = [f"the draft '{found}' goes, with its list of {listed}; nobody was written to"]
    if call.speech.confirm(told, f"Delete '{found}'?", yes=yes, dry_run=dry_run):
        deleted = drafting.delete(call.context, found, call.now)
        call.speech.result({"name": deleted, "deleted": True}, f"deleted campaign '{deleted}'")


def _tell(speech: Speech, drafted: "Drafted", words: str) -> None:
    senders = ", ".join(drafted.senders)
    how = f"rotating ({drafted.rotation}) over {senders}" if drafted.rotation else f"from {senders}"
    speech.result(
        {
            "id": f"c_{drafted.id}",
            "name": drafted.name,
            "version": drafted.version,
            "state": drafted.state,
            "rotation": drafted.rotation,
            "senders": list(drafted.senders),
            "steps": drafted.step_count,
        },
        f"{words}: {_steps(drafted.step_count)}, {how}",
    )


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Campaigns with their progress.

    Examples:

      mailrotate campaign list

      mailrotate campaign list --json
    """
    from mailrotate.core.services.campaigns import campaign_views

    call = call_of(ctx)
    zone = call.zone
    call.speech.listing(
        ("name", "state", "senders", "recipients", "open", "replied", "sent", f"next ({zone})"),
        map(_row, campaign_views.listing(call.context, call.now)),
        lambda r: (
            r["name"],
            _state(r),
            len(r["senders"]),
            sum(r["recipients"].values()),
            r["recipients"]["queued"] + r["recipients"]["active"],
            r["recipients"]["replied"],
            sum(step["sent"] for step in r["steps"]),
            instant(r["next_send_at"], zone),
        ),
        "no campaigns yet",
    )


@app.command()
def show(ctx: typer.Context, name: Name) -> None:
    """One campaign: people by state, messages by sender and by step.

    Examples:

      mailrotate campaign show autumn-intro
    """
    from mailrotate.core.services.campaigns import campaign_views

    call = call_of(ctx)
    view = campaign_views.show(call.context, name, call.now)
    row = _row(view)
    if call.speech.as_json:
        call.speech.document(row)
        return
    people = ", ".join(f"{count} {state}" for state, count in row["recipients"].items() if count)
    call.speech.facts(
        (
            ("campaign", f"{view.name} (c_{view.id}, version {view.version})"),
            ("owner", view.owner),
            ("state", _state(row)),
            ("rotation", view.rotation or "none, one sender"),
            ("recipients", people or "none"),
            ("next", zoned(view.next_send_at, call.zone)),
        )
    )
    if view.waiting and view.started_at is not None:
        people = counted(view.waiting, "person waits", "people wait")
        call.speech.line(f"{people}: no sender was connected that could take them")
    if view.mailbox_removed:
        people = counted(view.mailbox_removed, "person", "people")
        call.speech.line(f"{people} failed when their mailbox was removed; another takes them on:")
        for address in view.removed_senders:
            again = Command(
                "recipient", "assign", view.name, "--from-sender", address, "--to-sender", "ADDRESS"
            )
            call.speech.line(f"  {in_words(again)}")
    call.speech.line()
    call.speech.table(
        ("sender", "state", "assigned", "sent"),
        [(s["address"] or "(empty slot)", s["state"], s["assigned"], s["sent"]) for s in row["senders"]],
    )
    call.speech.line()
    call.speech.table(
        ("step", "delay", "subject", "sent"),
        [(step.n, step.delay, step.subject or "(reply in the thread)", step.sent) for step in view.steps],
    )


def _state(row: Mapping[str, Any]) -> str:
    reasons = ", ".join(row["pause_reasons"])
    return f"{row['state']} ({reasons})" if reasons else str(row["state"])


def _row(view: "CampaignView") -> dict[str, Any]:
    return {
        "id": f"c_{view.id}",
        "name": view.name,
        "owner": view.owner,
        "team": view.team,
        "state": view.state,
        "pause_reasons": list(view.pause_reasons),
        "rotation": view.rotation,
        "version": view.version,
        "created_at": view.created_at,
        "started_at": view.started_at,
        "finished_at": view.finished_at,
        # Grace comes with deadlines; until then nobody's runs.
        "senders": [{**vars(sender), "grace_until": None} for sender in view.senders],
        "recipients": dict(view.recipients),
        "waiting": view.waiting,
        "mailbox_removed": view.mailbox_removed,
        "removed_senders": list(view.removed_senders),
        "steps": [vars(step) for step in view.steps],
        "next_send_at": view.next_send_at,
    }


# Last, so that `--help` lists them in the order in which one needs them.
preview.add_to(app)
life.add_to(app)
