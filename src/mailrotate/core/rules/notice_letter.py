"""The words of a notice (C10)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from mailrotate.core.rules.text import one_line
from mailrotate.core.values.clock import next_whole_second
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.reasons import heard

# How a command is written for people.
Spell = Callable[[AnyHint], str]


@dataclass(frozen=True)
class CampaignLoss:
    """What a failure means for one campaign.

    `people` wait for the mailbox, `contacted` of them would be stopped at `ends_at`; `stopped` were, at a
    deadline that has passed. `ends_at` is None where no deadline runs.
    """

    name: str
    people: int
    contacted: int
    stopped: int = 0
    ends_at: datetime | None = None
    has_passed: bool = False


@dataclass(frozen=True)
class Told:
    """What a notice says of one mailbox."""

    subject: str
    lines: tuple[str, ...]


def of_failure(
    address: str,
    failed_at: datetime,
    said: str | None,
    losses: Sequence[CampaignLoss],
    is_last: bool,
    zone: str,
    spell: Spell,
) -> Told:
    """Say what failed, in the server's words, how to reconnect it, and what is lost when."""
    lines = [f"{address} has failed since {_at(failed_at, zone)}."]
    if said:
        lines.append(f"Its server said: {heard(one_line(said))}")
    lines += [_loss(loss, zone) for loss in losses]
    if is_last:
        lines.append("This is the last notice before that. It is irreversible: they stay stopped for good.")
    lines.append(f"To reconnect it: {spell(Command('mailbox', 'reconnect', address))}")
    passed = sum(loss.stopped for loss in losses if loss.has_passed)
    if any(loss.has_passed for loss in losses):
        return Told(f"{address}: {_counted(passed)} stopped", tuple(lines))
    ahead = ": last notice before recipients are stopped" if is_last else ""
    return Told(f"{address} has failed{ahead}", tuple(lines))


def _loss(loss: CampaignLoss, zone: str) -> str:
    if loss.ends_at is None:
        verb = "waits" if loss.people == 1 else "wait"
        return f"In {loss.name}, {_counted(loss.people)} {verb} until it is reconnected."
    others = loss.people - loss.contacted
    if loss.has_passed:
        verb = "was" if loss.stopped == 1 else "were"
        return f"In {loss.name}, {_counted(loss.stopped)} {verb} stopped at {_at(loss.ends_at, zone)}."
    moved = f"; {_counted(others)} not contacted yet will go to other senders" if others else ""
    return f"In {loss.name}, {_counted(loss.contacted)} will be stopped at {_at(loss.ends_at, zone)}{moved}."


def of_recovery(
    address: str, recovered_at: datetime, waiting: Sequence[str], zone: str, spell: Spell
) -> Told:
    """Say that a mailbox works again, and which campaigns wait for a resume."""
    lines = [f"{address} works again since {_at(recovered_at, zone)}."]
    lines += [
        f"{name} is still paused. To resume it: {spell(Command('campaign', 'resume', name))}"
        for name in waiting
    ]
    return Told(f"{address} works again", tuple(lines))


def of_bounce(address: str, addressee: str, said: str | None) -> Told:
    """Say that a notice could not be delivered."""
    lines = [f"The notice to {addressee} about {address} was refused."]
    if said:
        lines.append(f"The server said: {heard(one_line(said))}")
    return Told(f"the notice about {address} was refused", tuple(lines))


def mail(told: Sequence[Told]) -> tuple[str, str]:
    """Put the notices for one addressee into one mail: its subject and text."""
    subject = told[0].subject if len(told) == 1 else f"{len(told)} mailboxes need your attention"
    return subject, "\n\n".join("\n".join(each.lines) for each in told) + "\n"


def _at(instant: datetime, zone: str) -> str:
    return f"{next_whole_second(instant).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}"


def _counted(number: int) -> str:
    return f"{number} recipient{'' if number == 1 else 's'}"
