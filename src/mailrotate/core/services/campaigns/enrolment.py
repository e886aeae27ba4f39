"""Add recipients to a campaign: from a file, from another campaign, or one by one (D8, D1, D3).

Rows are checked one after the other and staged outside the write lock; a short transaction then takes in
the good ones together. A person who is in the campaign already, open or ended, is reported and does not start
again.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.addresses import read_address
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.access import seats
from mailrotate.core.services.access.authority import find_campaign_to_fill, find_seen_campaign
from mailrotate.core.services.access.naming import find_user
from mailrotate.core.services.campaigns.row_checks import (
    Aside,
    Demands,
    PeopleRows,
    Records,
    RowTrouble,
)
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.facts import RECIPIENT_ZONE
from mailrotate.core.services.effects import assigning, door
from mailrotate.core.store import campaigns, events
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About
from mailrotate.core.store.people import recipients
from mailrotate.core.store.people.staging import Enrolment, RowProblem, StagedRow, Staging
from mailrotate.core.values.errors import BadInput, Busy, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.spread import EVERYONE
from mailrotate.core.values.states import CampaignState, Rotation

_WORDS = {
    RowProblem.TWICE: "an earlier line has the same address",
    RowProblem.PRESENT: "is in the campaign already",
    RowProblem.SUPPRESSED: "is suppressed",
    RowProblem.STOPPED: "was stopped in this campaign, for good",
}


@dataclass(frozen=True)
class HowToImport:
    """`strict`: import nothing if one row is bad. `rehearse`: change nothing.

    `owner`, of contacts that are not known yet, and `for_user`, for whom the recipients are added, are
    addresses of users. The default of both is the acting user, for the owner first `for_user`.
    """

    strict: bool = False
    rehearse: bool = False
    owner: str | None = None
    for_user: str | None = None


@dataclass(frozen=True)
class Imported:
    """The result of an import; `problems` can be read once, and only inside the import's block.

    `several_addresses` counts the rows with several addresses in one cell, of which the first was read.
    """

    campaign: str
    imported: int
    duplicate: int
    suppressed: int
    invalid: int
    several_addresses: int
    problems: Iterator[RowTrouble]

    @property
    def refused(self) -> int:
        return self.duplicate + self.suppressed + self.invalid


def demands_of(context: Context, name: str) -> Demands:
    """What every recipient of the campaign must have. Raises NotFound, Refused (`campaign.finished`)."""
    with context.store.reading() as connection:
        campaign = find_campaign_to_fill(connection, context.actor, name)
        _refuse_finished(campaign)
        return _demands(connection, campaign)


def _demands(connection: Connection, campaign: StoredCampaign) -> Demands:
    steps = campaigns.steps_of(connection, campaign.id, campaign.version)
    needs = TextNeeds.of((step.subject, step.body) for step in steps)
    return Demands(needs, campaign.timezone == RECIPIENT_ZONE, campaign.version)


def _refuse_finished(campaign: StoredCampaign) -> None:
    if campaign.state is CampaignState.FINISHED:
        raise Refused(
            "campaign.finished",
            f"campaign '{campaign.name}' is finished and cannot take new recipients",
            Command("campaign", "copy", campaign.name),
        )


@contextmanager
def importing_file(
    context: Context,
    name: str,
    records: Records,
    how: HowToImport,
    aside: Aside,
    *,
    progress: Callable[[int], None],
    now: datetime,
) -> Iterator[Imported]:
    """Import a file's records; the good ones are stored when the block begins.

    Raises NotFound (`campaign.none`, `user.none`), Refused (`campaign.finished`), BadInput.
    """
    rows = PeopleRows(context, demands_of(context, name), aside, progress)
    with _importing(context, name, rows, rows.of_file(records), how, now) as imported:
        yield imported


@contextmanager
def importing_people(
    context: Context, name: str, from_campaign: str, how: HowToImport, aside: Aside, now: datetime
) -> Iterator[Imported]:
    """Import all present and former recipients of another campaign, with their fields there."""
    demands = demands_of(context, name)
    with context.store.reading() as connection:
        other = find_seen_campaign(connection, context.actor, from_campaign)
        rows = PeopleRows(context, demands, aside, lambda _count: None)
        staged = rows.of_people(recipients.people(connection, other.id))
        with _importing(context, name, rows, staged, how, now) as imported:
            yield imported


def add(
    context: Context,
    name: str,
    address: str,
    fields: Mapping[str, str],
    *,
    aside: Aside,
    now: datetime,
    for_user: str | None = None,
) -> str:
    """Add one recipient; return the normalised address.

    Raises NotFound, BadInput (`address.invalid`, `recipient.invalid`), Refused (`recipient.refused`).
    """
    kept = read_address(address)
    rows = PeopleRows(context, demands_of(context, name), aside, lambda _count: None)
    how = HowToImport(for_user=for_user)
    with _importing(context, name, rows, rows.of_people([(kept, fields)]), how, now) as imported:
        for trouble in imported.problems:
            if imported.invalid:
                raise BadInput(
                    "recipient.invalid",
                    f"{kept}: {trouble.problem}",
                    Command("recipient", "add", name, kept, "--field", "NAME=VALUE"),
                )
            raise Refused(
                "recipient.refused",
                f"{kept}: {trouble.problem}",
                Command("suppression", "list")
                if imported.suppressed
                else Command("recipient", "show", name, kept),
            )
    return kept


@contextmanager
def _importing(
    context: Context,
    name: str,
    rows: PeopleRows,
    staged: Iterator[StagedRow],
    how: HowToImport,
    now: datetime,
) -> Iterator[Imported]:
    aside = rows.aside
    with context.store.reading() as connection:
        campaign = find_campaign_to_fill(connection, context.actor, name)
        adder_id = seats.user_for(connection, context.actor, how.for_user).id
        owner_id = find_user(connection, how.owner).id if how.owner else adder_id
    with Staging(context.store, campaign.id) as staging:
        staging.add_many(staged)
        # Before the rows are examined, so that a recipient who was stopped meanwhile is reported by line.
        door.settle(context, now)
        counts = staging.examine()
        if not how.rehearse and counts.get(None) and not (how.strict and _bad_count(counts, aside)):
            with staging.writing(lambda found: door.enter(context, found, now)) as (connection, counts):
                if not (how.strict and _bad_count(counts, aside)):
                    asked = campaigns.by_id(connection, campaign.id)
                    _refuse_changed(asked, rows.demands)
                    _merge(context, connection, staging, counts, asked, adder_id, owner_id, now)
        nothing = how.strict and _bad_count(counts, aside) > 0
        with closing(staging.problems()) as staged_problems:
            yield Imported(
                campaign=campaign.name,
                imported=0 if nothing else counts.get(None, 0),
                duplicate=sum(
                    counts.get(problem, 0)
                    for problem in (RowProblem.TWICE, RowProblem.PRESENT, RowProblem.STOPPED)
                ),
                suppressed=counts.get(RowProblem.SUPPRESSED, 0),
                invalid=aside.count,
                several_addresses=rows.several_addresses,
                problems=_by_line(aside, staged_problems),
            )


def _refuse_changed(campaign: StoredCampaign, demands: Demands) -> None:
    """Check again: the campaign may have ended or changed its fields while the rows were checked."""
    _refuse_finished(campaign)
    if campaign.version != demands.version:
        raise Busy(
            "campaign.edited",
            f"campaign '{campaign.name}' was edited during the import; nothing was imported",
            "run the command again",
        )


def _bad_count(counts: Mapping[RowProblem | None, int], aside: Aside) -> int:
    return aside.count + sum(count for problem, count in counts.items() if problem is not None)


def _by_line(aside: Aside, staged: Iterator[tuple[int, str, RowProblem]]) -> Iterator[RowTrouble]:
    troubles = (RowTrouble(line, address, _WORDS[problem]) for line, address, problem in staged)
    return heapq.merge(aside, troubles, key=lambda trouble: trouble.line)


def _merge(
    context: Context,
    connection: Connection,
    staging: Staging,
    counts: Mapping[RowProblem | None, int],
    campaign: StoredCampaign,
    adder_id: int,
    owner_id: int,
    now: datetime,
) -> None:
    """Store the good rows; in a running campaign, each gets a sender at once (E1)."""
    acting = context.actor.user_id
    added_for = None if adder_id == acting else adder_id
    how = Enrolment(RECIPIENT["enrol"], campaign.id, acting, owner_id, now, added_for=added_for)
    started = campaign.state is not CampaignState.DRAFT
    # Whose contacts they are is known only once they are stored.
    by_owner = campaign.rotation is Rotation.OWNER
    if started and campaign.rotation is Rotation.CAPACITY:
        how = replace(how, next_at=assigning.first_due_at(connection, campaign, now))
    elif started and not by_owner:
        pool = adder_id if campaign.rotation is Rotation.ADDER else EVERYONE
        assignment = assigning.assignment_for(connection, campaign, {pool: counts.get(None, 0)}, now)
        if assignment is not None:
            due_at = assigning.first_due_at(connection, campaign, now)
            how = replace(how, assignment=assignment, next_at=due_at)
    imported = staging.merge(connection, how)
    if started and by_owner:
        assigning.assign_waiting(connection, campaign.id, now)
    told = {} if added_for is None else {"user": added_for}
    about = About(campaign_id=campaign.id)
    events.record(connection, context.actor, "recipients.imported", now, about, imported=imported, **told)
