"""The facts of the world for the headline: what stands in the database, and what this process sees itself."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.ports import MarkPlace
from mailrotate.core.rules.decision import Verdict, verdicts
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.grace import has_passed
from mailrotate.core.rules.headline_words import more
from mailrotate.core.rules.outages import down
from mailrotate.core.rules.runner_watch import PASS_IS_RECENT
from mailrotate.core.rules.situation import Obstacle, Situation
from mailrotate.core.rules.world import Code, Kept, Lane, Machine, Outage, Trouble
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding.next_send import Prospects
from mailrotate.core.services.sending import runners
from mailrotate.core.services.sending.runners import RunnerEntry
from mailrotate.core.store import connections, deadlines, workspaces
from mailrotate.core.store.engine import Store, exposure
from mailrotate.core.store.sending import kept_lanes, liveness
from mailrotate.core.store.sending import lanes as stored_lanes
from mailrotate.core.store.sending.liveness import RunnerEnd
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values import reasons
from mailrotate.core.values.hint import Command, Shell
from mailrotate.core.values.states import CampaignState, ConnectionState, DeadlineKind, ReplyClass

# A pass of some hundred messages writes less than this.
_LEAST_FREE_BYTES = 16 * 2**20


def living_runners(context: Context) -> tuple[RunnerEntry, ...]:
    return tuple(runner for runner in runners.listing(context) if runner.alive)


def machine(
    context: Context, connection: Connection, alive: Sequence[RunnerEntry], obstacle: Obstacle | None
) -> Machine:
    """What all mailboxes share."""
    workspace, last = workspaces.find(connection), liveness.latest_sender(connection)
    troubles = list(_disk_troubles(context, connection))
    if obstacle is not None:
        says = obstacle.reason.removesuffix("; nothing is sent")
        troubles.append(Trouble(Code(obstacle.code), says, obstacle.remedy or Command("status")))
    return Machine(
        troubles=tuple(troubles),
        warnings=tuple(_exposures(context.store, context.mark)),
        runner_works=any(runner.sends for runner in alive),
        last_pass_at=None if workspace is None else workspace.last_sending_pass_at,
        ended_at=None if last is None else last.ended_at,
        loop_is_over=last is not None and _is_over(last),
        other_work=next((runner.only for runner in alive if runner.only), None),
    )


def _is_over(last: RunnerEnd) -> bool:
    """Whether it was a loop that did not end by itself, as `run --for` under cron does."""
    if last.kind != "loop":
        return False
    return last.ends_at is None or last.ended_at is None or last.ended_at < last.ends_at


def _exposures(store: Store, mark: MarkPlace) -> Iterator[Trouble]:
    """The files beside the key that every user of this machine can reach; an open key is refused (I1)."""
    for path in (store.path, mark.path):
        says = None if path is None else exposure(path)
        if says is not None:
            yield Trouble(Code.EXPOSED, says, Shell("chmod", "o-rwx", str(path)))


def works(connection: Connection, alive: Sequence[RunnerEntry], now: datetime) -> bool:
    """Whether a runner works right now."""
    workspace = workspaces.find(connection)
    last_pass_at = None if workspace is None else workspace.last_pass_at
    return bool(alive) and last_pass_at is not None and now - last_pass_at <= PASS_IS_RECENT


def _disk_troubles(context: Context, connection: Connection) -> Iterator[Trouble]:
    free = context.store.free_bytes()
    if free is not None and free < _LEAST_FREE_BYTES:
        says = f"the disk of {context.store.name} is full ({free // 2**20} MB left)"
        yield Trouble(Code.DISK_FULL, says, Shell("df", "-h", context.store.name))
    if liveness.is_stuck(context.store, connection):
        # A disk that is full within a quota has room for all that can be seen from here.
        says = f"what a server answered cannot be recorded in {context.store.name}; its runner says why"
        yield Trouble(Code.UNRECORDED, says, Command("runner", "list"))


def lanes(prospects: Prospects, mailbox_ids: Sequence[int]) -> tuple[Lane, ...]:
    """What waits in each of these lanes, and what is wrong with it."""
    connection = prospects.connection
    prospects.know_mailboxes(mailbox_ids)
    decisions = prospects.of_lanes(mailbox_ids)
    servers = connections.servers_of(connection, mailbox_ids)
    broken = stored_lanes.broken(connection)
    hours = _hours(prospects)
    found = []
    for number in mailbox_ids:
        box, decision = prospects.box(number), decisions[number]
        smtp, imap = outages(box, *servers[number])
        found.append(
            Lane(
                address=box.address,
                state=box.state,
                shut=_shut(prospects, number),
                decision=decision,
                kept=_kept(prospects, box) if decision is None else None,
                smtp=smtp,
                imap=imap,
                broke_by=broken.get(number),
                grace=hours.get(number) if box.state is ConnectionState.DISCONNECTED else None,
            )
        )
    return tuple(found)


def _hours(prospects: Prospects) -> dict[int, tuple[str, datetime]]:
    """By mailbox, the campaign and the end of the hour that ends first, of those that somebody waits for."""
    running = deadlines.running_where(prospects.connection, deadlines.of_kind(DeadlineKind.DISCONNECT))
    people = deadlines.hanging(prospects.connection, running) if running else {}
    found: dict[int, tuple[str, datetime]] = {}
    for each in running:
        if people.get(each.id) and not has_passed(each.ends_at, prospects.now):
            found.setdefault(each.mailbox_id, (each.campaign, each.ends_at))
    return found


def _shut(prospects: Prospects, mailbox_id: int) -> Verdict | None:
    """The closed gate of the mailbox: the first that an act opens, or that time opens."""
    every = verdicts(Situation(None, prospects.mailbox_facts(mailbox_id), None), prospects.now)
    closed = [verdict for verdict in every if not verdict.open]
    return next((one for one in closed if one.until is None), next(iter(closed), None))


def server_trouble(connection: Connection, box: SendingMailbox) -> Trouble | None:
    """The server that keeps this mailbox from sending."""
    smtp, _ = outages(box, *connections.servers_of(connection, [box.id])[box.id])
    return None if smtp is None else down(Lane(box.address, box.state, smtp=smtp))


def outages(
    box: SendingMailbox, smtp_server: tuple[str, int], imap_server: tuple[str, int]
) -> tuple[Outage | None, Outage | None]:
    """The servers of a connected mailbox that were in trouble at the last try."""
    health, inbox = box.health, box.inbox
    if box.state is not ConnectionState.CONNECTED:
        return None, None
    smtp = imap = None
    passing = health.hold_class in (ReplyClass.NET, ReplyClass.RETRY)
    if health.trouble_since is not None or passing:
        said = health.hold_reason if passing else health.last_error
        host, port = smtp_server
        smtp = Outage(host, said or "no answer", health.trouble_since, port)
    if inbox.failing_since is not None:
        host, port = imap_server
        imap = Outage(host, inbox.error or "no answer", inbox.failing_since, port)
    return smtp, imap


def _kept(prospects: Prospects, box: SendingMailbox) -> Kept | None:
    """What this lane keeps until a user acts; None if nothing waits in it."""
    campaign_ids = kept_lanes.campaigns_kept(prospects.connection, box.id, box.slot_id)
    if box.state is not ConnectionState.CONNECTED:
        is_cut_off = kept_lanes.any_cut_off(prospects.connection, box.id)
        return Kept(None, tuple(campaign_ids)) if campaign_ids or is_cut_off else None
    found = [prospects.campaign(number) for number in campaign_ids]
    paused = [one for one in found if one.state is CampaignState.PAUSED]
    if not paused:
        return None
    # Not by name: a member may not see a campaign for which the mailbox is shared.
    says = f"its campaign is {reasons.paused(paused[0].pause_reasons)}{more(paused, 'more campaign')}"
    return Kept(Verdict(Gate.PAUSE, False, says), tuple(one.id for one in paused))
