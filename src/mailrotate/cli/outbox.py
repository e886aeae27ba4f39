"""`mailrotate outbox`: what is to be sent, was sent, or failed."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import counted, instant, zoned
from mailrotate.cli.params import After, DryRun, Limit, Yes, read_id
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.views.outbox_actions import Expected, MessageStory, Outcome

app = noun("What is to be sent, was sent, or failed.")

_STATES = "draft|scheduled|sending|sent|error|held|cancelled"
_DONE_IN_PART = 8
_MOST_TOLD = 20
_NOTHING_PLANNED = Hint(
    "the outbox is empty: a runner plans each message when it is due; see:", Command("status")
)

_MESSAGES: Any = typer.Argument(metavar="ID", help="Messages, like m_17.", autocompletion=completion.messages)
Ids = Annotated[list[str], _MESSAGES]
SomeIds = Annotated[list[str] | None, _MESSAGES]
OfMailbox = Annotated[
    str | None,
    typer.Option(
        "--mailbox", metavar="ADDRESS", help="Those of this mailbox.", autocompletion=completion.mailboxes
    ),
]
OfCampaign = Annotated[
    str | None,
    typer.Option(
        "--campaign", metavar="NAME", help="Those of this campaign.", autocompletion=completion.campaigns
    ),
]


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[str | None, typer.Option(metavar=_STATES, help="In this state only.")] = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """Messages in the order of planning, with what the gates expect of those that wait.

    Examples:

      mailrotate outbox list --state error

      mailrotate outbox list --campaign autumn-intro --limit 50 --json
    """
    from mailrotate.core.services.views import outbox_actions
    from mailrotate.core.values.states import MessageState

    call = call_of(ctx)
    if state is not None and state not in set(MessageState):
        raise BadInput("outbox.state", f"'{state}' is no state of a message; there are {_STATES}")
    found = outbox_actions.listing(
        call.context,
        outbox_actions.Which(mailbox=mailbox, campaign=campaign),
        call.now,
        state=None if state is None else MessageState(state),
        after=None if after is None else read_id(after, "m", "message"),
        limit=limit,
    )
    zone = call.zone
    call.speech.listing(
        ("id", "state", "campaign", "step", "to", "from", f"when ({zone})", "error"),
        (_row(expected) for expected in found),
        lambda r: (
            r["id"],
            r["state"],
            r["campaign"] or r["kind"],
            r["step"],
            r["to"],
            r["from"],
            instant(r["sent_at"] or r["expected_at"], zone),
            r["error"] and " ".join(str(r["error"][part] or "") for part in ("class", "code", "enhanced")),
        ),
        "no such messages" if state or mailbox or campaign or after else _NOTHING_PLANNED,
    )


def _row(expected: "Expected") -> dict[str, Any]:
    message = expected.message
    error = {
        "class": message.error_class,
        "code": message.error_code,
        "enhanced": message.error_enhanced,
        "message": message.error_text,
        "hint": expected.hint,
    }
    return {
        "id": f"m_{message.id}",
        "state": message.state,
        "kind": message.kind,
        "campaign": message.campaign,
        "step": message.step,
        "to": message.to_address,
        "from": message.from_address,
        "subject": message.subject,
        "message_id": message.message_id,
        "due_at": message.due_at,
        "expected_at": expected.expected_at,
        "sent_at": message.sent_at,
        "attempts": message.attempts,
        "error": None if message.error_class is None else error,
    }


@app.command()
def show(
    ctx: typer.Context,
    message: Annotated[
        str, typer.Argument(metavar="ID", help="A message, like m_17.", autocompletion=completion.messages)
    ],
) -> None:
    """Everything about one message, with the server's own words and what happened to it.

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
    call.speech.facts(
        (name.replace("_", " "), zoned(value, zone) if name.endswith("_at") else value)
        for name, value in row.items()
        if value not in (None, "", [])
    )
    if error is not None:
        call.speech.line()
        call.speech.facts((f"error {name}", value) for name, value in error.items() if value is not None)
    call.speech.line()
    for event in story.history:
        said = "  ".join(f"{name}={value}" for name, value in event.data.items() if value is not None)
        call.speech.line(f"{instant(event.at, zone)}  {event.action}  {said}".replace("\n", " ").rstrip())
    if story.waits_for is not None:
        call.speech.next(Command("why", row["id"]))


def _story(story: "MessageStory") -> dict[str, Any]:
    detail = story.detail
    row = _row(story.expected)
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


@app.command()
def retry(
    ctx: typer.Context,
    ids: SomeIds = None,
    mailbox: OfMailbox = None,
    campaign: OfCampaign = None,
    every: Annotated[bool, typer.Option("--all", help="All that are in error.")] = False,
) -> None:
    """Queue messages again that are in error.

    Examples:

      mailrotate outbox retry m_17

      mailrotate outbox retry --mailbox anna@example.org
    """
    from mailrotate.core.services.views import outbox_actions

    if sum((bool(ids), mailbox is not None, campaign is not None, every)) != 1:
        raise BadInput(
            "outbox.which", "name messages, or one of --mailbox, --campaign, --all", Command("outbox", "list")
        )
    which = outbox_actions.Which(_read(ids), mailbox, campaign)
    _act(ctx, "retried", lambda call: outbox_actions.retry(call.context, which, call.now))


@app.command()
def cancel(ctx: typer.Context, ids: Ids, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Take messages out of the outbox. Whoever they were for gets nothing more of that campaign.

    Examples:

      mailrotate outbox cancel m_17 --dry-run

      mailrotate outbox cancel m_17 m_18 --yes
    """
    from mailrotate.core.services.views import outbox_actions

    call, numbers = call_of(ctx), _read(ids)
    possible = outbox_actions.cancellable(call.context, numbers)
    consequences = [f"{len(possible.done)} of {counted(len(numbers), 'message')} will not be sent."]
    consequences += [
        "Whoever they are for gets nothing more of that campaign (finished, cancelled_by_operator)."
    ]
    consequences += [f"m_{number} stays: {why}" for number, why in possible.refused[:_MOST_TOLD]]
    if possible.done and not call.speech.confirm(consequences, "Cancel them?", yes=yes, dry_run=dry_run):
        return
    _act(ctx, "cancelled", lambda call: outbox_actions.cancel(call.context, numbers, call.now))


@app.command()
def release(ctx: typer.Context, ids: SomeIds = None, campaign: OfCampaign = None) -> None:
    """Let messages go that are late because no runner ran.

    Examples:

      mailrotate outbox release m_17

      mailrotate outbox release --campaign autumn-intro
    """
    from mailrotate.core.services.views import outbox_actions

    if bool(ids) == (campaign is not None):
        raise BadInput("outbox.which", "name messages, or --campaign", Command("outbox", "list"))
    if campaign is None:
        _act(ctx, "released", lambda call: outbox_actions.release(call.context, _read(ids), call.now))
        return
    call = call_of(ctx)
    count = outbox_actions.release_campaign(call.context, campaign, call.now)
    call.speech.result(
        {"campaign": campaign, "released": count},
        f"released {campaign}: {counted(count, 'message')} waited for it; who was due meanwhile follows",
    )
    call.speech.next(Command("why", campaign))


@app.command()
def resolve(
    ctx: typer.Context,
    ids: Ids,
    sent: Annotated[
        bool | None, typer.Option("--sent/--not-sent", help="Whether it is in the mailbox's sent mail.")
    ] = None,
) -> None:
    """Settle held messages by what stands in the mailbox's sent mail.

    Examples:

      mailrotate outbox resolve m_17 --sent

      mailrotate outbox resolve m_17 m_18 --not-sent
    """
    from mailrotate.core.services.views import outbox_actions

    if sent is None:
        raise BadInput(
            "outbox.fate", "say --sent or --not-sent", "look for the Message-ID in the mailbox's sent mail"
        )
    numbers = _read(ids)
    _act(ctx, "resolved", lambda call: outbox_actions.resolve(call.context, numbers, sent, call.now))


def _act(ctx: typer.Context, done: str, act: "Callable[[Any], Outcome]") -> None:
    """Do it and say for how many; status 4 when none could be done, 8 when some could not."""
    call = call_of(ctx)
    outcome = act(call)
    if outcome.refused and not outcome.done and len(outcome.refused) == 1:
        number, why = outcome.refused[0]
        raise Refused(
            "outbox.refused", f"m_{number} is not {done}: {why}", Command("outbox", "show", f"m_{number}")
        )
    report = {
        done: len(outcome.done),
        "ids": [f"m_{number}" for number in outcome.done],
        "refused": [{"id": f"m_{number}", "reason": why} for number, why in outcome.refused],
    }
    told = [f"m_{number} is not: {why}" for number, why in outcome.refused[:_MOST_TOLD]]
    if len(outcome.refused) > _MOST_TOLD:
        told.append(f"… and {len(outcome.refused) - _MOST_TOLD} more; --json lists them all")
    call.speech.result(
        report, f"{done} {len(outcome.done)} of {len(outcome.done) + len(outcome.refused)}", *told
    )
    if outcome.refused:
        raise typer.Exit(_DONE_IN_PART)


def _read(ids: Sequence[str] | None) -> list[int]:
    return list(dict.fromkeys(read_id(text, "m", "message") for text in ids or ()))


@app.command("classify-reply")
def classify_reply(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(help="What the server said, like '550 5.1.1 No such user'.")],
    phase: Annotated[
        str, typer.Option(metavar="connect|auth|mail|rcpt|data|dot", help="How far it had come.")
    ] = "data",
    provider: Annotated[str, typer.Option(help="The sending mailbox's: google, microsoft or imap.")] = "imap",
) -> None:
    """Which class a server's answer is, whom it concerns, and what to do. Needs no database.

    Examples:

      mailrotate outbox classify-reply "550 5.1.1 No such user" --phase rcpt

      mailrotate outbox classify-reply "535 5.7.8 Bad credentials" --phase auth --json
    """
    from mailrotate.core.rules.replies import classify, parse_reply
    from mailrotate.core.values.states import Phase

    speech = call_of(ctx).speech
    if phase not in set(Phase):
        raise BadInput("reply.phase", f"'{phase}' is no phase; there are {', '.join(Phase)}")
    verdict = classify(parse_reply(text, Phase(phase)), provider)
    answer = {
        "class": verdict.reply_class,
        "who": verdict.who,
        "code": verdict.code,
        "enhanced": verdict.enhanced,
        "hint": verdict.hint,
        "rule": verdict.rule,
        "hold_for": verdict.hold_for,
    }
    if speech.as_json:
        speech.document(answer)
    else:
        speech.facts((name.replace("_", " "), value) for name, value in answer.items() if value is not None)
