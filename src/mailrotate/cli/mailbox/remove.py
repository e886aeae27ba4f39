"""`mailrotate mailbox remove`: take a mailbox off its seat, with what follows shown first."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import fate
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import Address, DryRun, Yes
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.effects.consequences import HitCampaign
    from mailrotate.core.services.mailboxes.mailbox_removal import RemovalConsequences

_COLUMNS = ("campaign", "email", "state", "step", "last_sent_at")

MoveTo = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Mailbox that takes over its recipients.",
        autocompletion=completion.mailboxes,
    ),
]
Tag = Annotated[str | None, typer.Option(metavar="TAG", help="Tag for the affected contacts.")]
Export = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Write the affected recipients to FOLDER/people.csv first."),
]


def remove(
    ctx: typer.Context,
    address: Address,
    move_to: MoveTo = None,
    tag: Tag = None,
    export: Export = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Remove a mailbox permanently, after showing what follows; its history stays.

    Without --move-to, its contacted recipients get nothing more until `recipient assign` moves them.

    Examples:

      mailrotate mailbox remove anna@example.org --dry-run

      mailrotate mailbox remove anna@example.org --move-to ben@example.org --tag was-annas --export ./annas
    """
    from mailrotate.adapters.people_file import refuse_existing
    from mailrotate.core.services.mailboxes import mailbox_removal
    from mailrotate.core.values.tag import read_tag

    call = call_of(ctx)
    word = None if tag is None else read_tag(tag)
    file = None if export is None else export / "people.csv"
    if file is not None:
        refuse_existing(file)
    told = mailbox_removal.consequences(call.context, address, move_to, call.now)
    lines = [*_lines(told), *([] if yes else _other_way(told))]
    done = call.speech.confirm(lines, f"Remove {told.address}?", yes=yes, dry_run=dry_run, has_document=True)
    exported = _export(call, told.address, file) if done and file is not None else None
    if done:
        told = mailbox_removal.remove(call.context, address, move_to=move_to, tag=word, now=call.now)
    call.speech.result(
        _row(told, done, None if file is None else str(file), exported),
        *([f"removed {told.address}; its credentials are deleted"] if done else []),
    )
    if done:
        _say_next(call.speech, told)


def _export(call: Call, address: str, file: Path) -> int:
    from mailrotate.adapters.people_file import write_rows
    from mailrotate.core.services.mailboxes import mailbox_removal
    from mailrotate.core.values.clock import rfc3339

    with mailbox_removal.people(call.context, address, call.now) as people:
        return write_rows(
            file,
            _COLUMNS,
            (
                (
                    one.campaign,
                    one.email,
                    one.state,
                    one.step,
                    one.last_sent_at and rfc3339(one.last_sent_at),
                )
                for one in people
            ),
        )


def _lines(told: "RemovalConsequences") -> list[AnyHint]:
    lines: list[AnyHint] = [] if told.way_back is None else [Hint("to keep it instead:", told.way_back)]
    lines.append(f"removing {told.address}:")
    for campaign in told.campaigns:
        lines += [f"  campaign {campaign.name} ({campaign.state}): {what}" for what in _of(campaign, told)]
    if not told.campaigns:
        lines.append("  no campaign sends from it")
    if told.waiting_messages:
        are = counted(told.waiting_messages, "planned message is", "planned messages are")
        lines.append(f"  {are} cancelled; recipients who continue get theirs planned again")
    if told.drafts:
        lines.append(f"  {counted(told.drafts, 'draft is', 'drafts are')} cancelled")
    if told.held:
        what = counted(told.held, "held message stays", "held messages stay")
        lines.append(f"  {what} held: {in_words(Command('outbox', 'list', '--state', 'held'))}")
    lines.append("  replies to it are no longer recognised, and its mail can no longer be read here")
    if told.is_default:
        heir = told.next_default
        lines.append(
            f"  {heir} becomes the default sender"
            if heir
            else "  it was the default sender, and nothing replaces it"
        )
    if told.approval_ends:
        lines.append("  its approval ends")
    lines.append("  its credentials are deleted, its slot and its address are free; its history stays")
    return lines


def _other_way(told: "RemovalConsequences") -> list[str]:
    if not any(campaign.failed for campaign in told.campaigns):
        return []
    return ["to let another mailbox go on with those who were contacted: add --move-to ADDRESS"]


def _of(campaign: "HitCampaign", told: "RemovalConsequences") -> list[str]:
    # The rest of a sentence about one, and about several.
    counts = (
        (campaign.failed, "who was contacted gets", "who were contacted get",
         "nothing more (failed, mailbox_removed)"),
        (campaign.moved, "goes", "go", f"on from {told.move_to}"),
        (campaign.assigned_anew, "not contacted yet gets", "not contacted yet get",
         "another sender of the rotation"),
        (campaign.waiting, "not contacted yet waits", "not contacted yet wait",
         "for the campaign's next sender"),
    )  # fmt: skip
    lines = [
        f"{counted(count, f'recipient {one}', f'recipients {several}')} {rest}"
        for count, one, several, rest in counts
        if count
    ]
    if campaign.step_count:
        name, go = ("names", "goes") if campaign.step_count == 1 else ("name", "go")
        lines.append(
            f"{counted(campaign.step_count, 'step')} of it that {name} the mailbox {go} from {told.move_to}"
        )
    does = fate(campaign, {"cannot_start": "cannot be started without another sender"})
    if does is not None:
        lines.append(does)
    return lines or ["goes on without it"]


def _row(told: "RemovalConsequences", done: bool, file: str | None, exported: int | None) -> dict[str, Any]:
    return {
        "address": told.address,
        "removed": done,
        "move_to": told.move_to,
        "campaigns": [
            {
                "campaign": campaign.name,
                "state": campaign.state,
                "rotates": campaign.rotates,
                "failed": campaign.failed,
                "moved": campaign.moved,
                "assigned_anew": campaign.assigned_anew,
                "waiting": campaign.waiting,
                "cancelled": campaign.cancelled,
                "steps": campaign.step_count,
                "pauses": campaign.pauses,
            }
            for campaign in told.campaigns
        ],
        "drafts": told.drafts,
        "scheduled": told.waiting_messages,
        "held": told.held,
        "default": told.is_default,
        "next_default": told.next_default,
        "approval_ends": told.approval_ends,
        "replies_recognised": False,
        "tagged": told.tagged,
        "exported": None if exported is None else {"file": file, "people": exported},
    }


def _say_next(speech: Speech, told: "RemovalConsequences") -> None:
    failed = next((campaign for campaign in told.campaigns if campaign.failed), None)
    paused = next((campaign for campaign in told.campaigns if campaign.state == "paused"), None)
    if failed is not None:
        speech.next(
            Command(
                "recipient", "assign", failed.name, "--from-sender", told.address, "--to-sender", "ADDRESS"
            )
        )
    elif paused is not None and told.move_to is not None:
        speech.next(Command("campaign", "resume", paused.name))
    else:
        speech.next(Command("mailbox", "list"))
