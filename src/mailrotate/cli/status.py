"""`mailrotate status`: is it sending, and if not why."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.grace.document import left, row_of
from mailrotate.cli.hints import in_words
from mailrotate.cli.mailbox.document import health_of
from mailrotate.cli.output import Speech, counted, instant, localised, zoned
from mailrotate.cli.slot.team import team_line, team_row
from mailrotate.cli.turns import next_turn
from mailrotate.cli.webhook.document import row_of as webhook_row
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import ConnectionState

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.grace_extension import Running
    from mailrotate.core.services.sending.runners import RunnerEntry
    from mailrotate.core.services.sending.webhook_health import Endpoint
    from mailrotate.core.services.views.overview import CampaignLine, MailboxLine, Overview
    from mailrotate.core.store.sending.outbox_lists import UnfitStep


def status(ctx: typer.Context) -> None:
    """One screen: is it sending, and if not why; mailboxes, campaigns, errors, the next command.

    Examples:

      mailrotate status

      mailrotate status --json
    """
    from mailrotate.core.services.views import overview

    call = call_of(ctx)
    found = overview.look(call.context, call.now)
    if call.speech.as_json:
        call.speech.document(_document(found, call))
        return
    zone = call.zone
    for line in (found.headline.line, *found.headline.beside):
        call.speech.wrapped(localised(line, zone, brief_on=call.now), _INDENT)
    # A command that holds a lane sends only its own message.
    runners = ", ".join(_runner(one) for one in found.runners if one.kind != "command")
    last_pass = "none yet" if found.last_pass_at is None else zoned(found.last_pass_at, zone)
    call.speech.wrapped(f"runner: {runners or 'none now'}; last pass: {last_pass}", _INDENT)
    _slots(call.speech, found)
    if found.mailboxes:
        call.speech.line()
        call.speech.table(
            ("mailbox", "state", "today", f"next ({zone})", "why"),
            (_mailbox_cells(line, found.runner_works, call) for line in found.mailboxes),
            drop=("today", "state"),
            whole=True,
        )
    if found.campaigns:
        call.speech.line()
        call.speech.table(
            ("campaign", "state", "sent", "done", "recipients"),
            map(_campaign_cells, found.campaigns),
            drop=("recipients",),
            whole=True,
        )
    if found.graces:
        call.speech.line()
        call.speech.table(
            ("away", "campaign", f"ends ({zone})", "left", "recipients"),
            (_grace_cells(one, call) for one in found.graces),
            drop=("recipients", "left", "campaign"),
        )
    call.speech.line()
    for line in _advice(found):
        call.speech.wrapped(line, _INDENT)


# Of the second line of what is wider than the terminal.
_INDENT = 2


def _runner(one: "RunnerEntry") -> str:
    only = "" if one.only is None else f", only {one.only}"
    return f"run_{one.id} ({one.host}, pid {one.pid}{only})"


def _slots(speech: Speech, found: "Overview") -> None:
    """How many are connected, for each user and the team (A3); one operator alone is the team."""
    team = found.slots
    each = [
        f"{user.connected}/{user.total} connected, default sender {user.default or 'none'}"
        for user in team.users
    ]
    if len(each) == 1 and (team.total, team.unassigned) == (team.users[0].total, 0):
        speech.line(f"slots: {each[0]}")
        return
    speech.line(f"slots: {team_line(team)}")
    for user, counts in zip(team.users, each, strict=True):
        speech.line(f"  {user.user}: {counts}")


def _mailbox_cells(line: "MailboxLine", runner_works: bool, call: Call) -> tuple[object, ...]:
    from mailrotate.core.rules.gates import Gate

    next_at = "nothing waits"
    if line.waits_for_act:
        next_at = "when its inbox is read" if line.binding is Gate.INBOX else "after an action"
    elif line.next_at is not None and line.next_at <= call.now:
        next_at = next_turn(runner_works)
    elif line.next_at is not None:
        next_at = instant(line.next_at, call.zone, brief_on=call.now)
    return (
        line.address,
        health_of(vars(line)),
        f"{line.sent_today}/{line.daily_limit}",
        next_at,
        _why(line, call),
    )


def _why(line: "MailboxLine", call: Call) -> str:
    if line.waits_for is not None:
        # Only of the gate that opens last is the instant in the column before.
        is_last = line.next_at is not None and line.cause is not None and line.cause is line.binding
        brief = _PASSING.get(line.cause) if is_last and line.cause is not None else None
        return brief or localised(line.waits_for, call.zone, brief_on=call.now)
    # What passes by itself holds nothing back where nothing waits.
    is_told = line.reason is not None and line.until is None
    return localised(line.reason or "", call.zone, brief_on=call.now) if is_told else ""


# Gates whose reason names the instant of the column before.
_PASSING = {
    "due": "not due yet",
    "gap": "gap after a message",
    "window": "delivery window closed",
    "recipient_window": "recipient's window closed",
    "retry": "retry after a refusal",
}


def _campaign_cells(line: "CampaignLine") -> tuple[object, ...]:
    state = reasons.of_campaign(line.state, line.pause_reasons)
    people = ", ".join(f"{count} {state}" for state, count in line.recipients.items())
    return line.name, state, line.sent, f"{line.ended}/{line.total}", people


def _grace_cells(running: "Running", call: Call) -> tuple[object, ...]:
    one = running.deadline
    ends_at = instant(one.ends_at, call.zone)
    return one.address, one.campaign, ends_at, left(one.ends_at, call.now), running.recipients


def _advice(found: "Overview") -> Iterator[str]:
    """What wants a person, each command once, and the next one at the end."""
    following = in_words(found.headline.command)
    said = {following}
    # Without its command such a line says nothing.
    bare = {_FIRST, *(box.address for box in found.mailboxes)}
    for what, hint in _attention(found):
        command = in_words(hint)
        if command not in said:
            yield f"{what}: {command}"
        elif what not in bare and what not in found.headline.text:
            yield what
        said.add(command)
    yield f"next: {following}"


_FIRST = "before anything is sent"


def _attention(found: "Overview") -> Iterator[tuple[str, AnyHint]]:
    """What wants a person, with the command for it."""
    from mailrotate.core.rules.gates import Gate

    if found.obstacle is not None and found.obstacle.remedy is not None:
        yield _FIRST, found.obstacle.remedy
    for box in found.mailboxes:
        # A paused or disconnected mailbox needs a line only while something waits for it.
        is_at_rest = box.gate is Gate.REST or box.state is ConnectionState.DISCONNECTED
        is_news = box.waits or box.waits_for_act or not is_at_rest
        if is_news and box.remedy is not None and box.until is None and box.gate is not Gate.WORKSPACE:
            yield box.address, box.remedy
        if box.broke_by is not None:
            what = f"{box.address}: its last pass ended in an unexpected failure ({box.broke_by})"
            yield what, found.closer(box.address)
        if box.unread_mails:
            mails = counted(box.unread_mails, "mail")
            yield f"{box.address}: {mails} could not be read", Command("mailbox", "show", box.address)
    for count, what, state in ((found.errors, "in error", "error"), (found.held, "of unknown fate", "held")):
        if count:
            yield f"{counted(count, 'message')} {what}", Command("outbox", "list", "--state", state)
    yield from map(unfit_words, found.unfit)
    yield from ((warning.says, warning.command) for warning in found.warnings)
    if found.requests:
        asked = counted(found.requests, "requested mailbox", "requested mailboxes")
        yield asked, Command("mailbox", "requests")
    ways = {box.address: box.remedy for box in found.mailboxes}
    for address in found.telling.untold:
        nobody = f"{address}: nobody could be told by mail that it failed, because no other mailbox worked"
        yield nobody, ways.get(address) or Command("mailbox", "reconnect", address)
    for refused in found.telling.refused:
        said = f": {refused.said}" if refused.said else ""
        what = f"{refused.address}: the notice to {refused.addressee} was refused{said}"
        yield what, ways.get(refused.address) or Command("mailbox", "reconnect", refused.address)
    for endpoint in found.telling.webhooks:
        yield _webhook_words(endpoint), Command("webhook", "list")
    for line in found.campaigns:
        if line.overdue:
            late = f"{counted(line.overdue, 'message')} of {line.name} late"
            yield late, Command("outbox", "release", "--campaign", line.name)


def _webhook_words(endpoint: "Endpoint") -> str:
    words = [] if endpoint.state == "working" else [endpoint.state]
    if endpoint.queue.waiting:
        words.append(f"{counted(endpoint.queue.waiting, 'event')} waiting")
    if endpoint.queue.given_up:
        words.append(f"{counted(endpoint.queue.given_up, 'event')} given up")
    return f"webhook w_{endpoint.hook.id}: {', '.join(words)}"


def unfit_words(step: "UnfitStep") -> tuple[str, Command]:
    """What keeps a step from being written, and the command that mends its text."""
    people = counted(step.count, "recipient")
    what = f"step {step.step} of {step.campaign} cannot be written for {people}: {step.reason}"
    return what, Command("campaign", "edit", step.campaign, "FILE")


def _document(found: "Overview", call: Call) -> dict[str, object]:
    headline, obstacle = found.headline, found.obstacle
    text = localised(headline.text, call.zone, brief_on=call.now)
    return {
        **{name: value for name, value in vars(found).items() if name not in ("telling", "runner_works")},
        "headline": {"code": headline.code, "text": text, "sending": headline.sending},
        "sending": headline.sending,
        "summary": text,
        "next_command": headline.command,
        "obstacle": None if obstacle is None else {"code": obstacle.code, "reason": obstacle.reason},
        "runners": [vars(runner) | {"id": f"run_{runner.id}"} for runner in found.runners],
        "slots": {
            **team_row(found.slots),
            "users": [
                {"user": user.user, "connected": user.connected, "total": user.total, "default": user.default}
                for user in found.slots.users
            ],
        },
        "mailboxes": [vars(line) for line in found.mailboxes],
        "graces": [row_of(one) for one in found.graces],
        "refused_notices": [
            {"mailbox": one.address, "addressee": one.addressee, "error": one.said}
            for one in found.telling.refused
        ],
        "webhooks": [webhook_row(endpoint) for endpoint in found.telling.webhooks],
        "untold": found.telling.untold,
        "unfit": [vars(step) for step in found.unfit],
        "warnings": [
            {"code": warning.code, "reason": warning.says, "command": warning.command}
            for warning in found.warnings
        ],
        "campaigns": [
            vars(line) | {"id": f"c_{line.id}", "ended": line.ended, "total": line.total}
            for line in found.campaigns
        ],
    }
