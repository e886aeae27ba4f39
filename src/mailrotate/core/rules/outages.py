"""Servers that cannot be used, as the headline of `status` names them (F5)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from mailrotate.core.rules.headline_words import counted, past
from mailrotate.core.rules.world import Code, Lane, Outage, Trouble, World
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import ConnectionState

Server: TypeAlias = tuple[str, int | None]


def down(lane: Lane, all_lanes: Sequence[Lane] = ()) -> Trouble | None:
    """Trouble with a server of this mailbox; with all lanes, those that miss it are counted."""
    outage = lane.smtp or lane.imap
    if outage is None:
        return None
    found = [(each, known) for each in all_lanes or (lane,) if (known := _outages(each, outage.server))]
    lanes = {outage.server: [each for each, _ in found]}
    return _outage(lanes, [one for _, known in found for one in known], bool(all_lanes))


def _outages(lane: Lane, server: Server) -> list[Outage]:
    return [one for one in (lane.smtp, lane.imap) if one is not None and one.server == server]


def server_down(world: World, now: datetime) -> Trouble | None:
    """The servers that cannot be used: of those that send before those that are read."""
    for outages in ([lane.smtp for lane in world.lanes], [lane.imap for lane in world.lanes]):
        known = [outage for outage in outages if outage is not None]
        lanes = defaultdict[Server, list[Lane]](list)
        for lane, outage in zip(world.lanes, outages, strict=True):
            if outage is not None:
                lanes[outage.server].append(lane)
        if known:
            return _offline(world, known) or _outage(lanes, known)
    return None


def _offline(world: World, known: Sequence[Outage]) -> Trouble | None:
    """This machine, when several servers are known and no connected mailbox reaches its own (C2)."""
    connected = [lane for lane in world.lanes if lane.state is ConnectionState.CONNECTED]
    is_one_server = len({outage.host for outage in known}) == 1
    if is_one_server or len(known) < len(connected) or any(outage.refuses for outage in known):
        return None
    says = f"no mail server can be reached{_since(known)}; check the network of this machine"
    return Trouble(Code.OFFLINE, says, Command("mailbox", "test", "--all"))


def _outage(
    lanes: Mapping[Server, Sequence[Lane]], outages: Sequence[Outage], counts: bool = True
) -> Trouble:
    """The server that most mailboxes miss, and how many more there are."""
    server = max(lanes, key=lambda each: len(lanes[each]))
    host, port = server
    is_one_of_host = sum(each == host for each, _ in lanes) > 1
    name = f"{host} port {port}" if is_one_of_host else host
    own = [outage for outage in outages if outage.server == server]
    others = f" and {counted(len(lanes) - 1, 'more server')}" if len(lanes) > 1 else ""
    missed = f" ({counted(len(lanes[server]), 'mailbox', 'mailboxes')})" if counts else ""
    does, said = own[0].words
    says = f"{name} {does}{_since(own)}{missed}{others}{said}"
    return Trouble(Code.SERVER_DOWN, says, Command("mailbox", "test", lanes[server][0].address))


def _since(outages: Iterable[Outage]) -> str:
    known = [outage.since for outage in outages if outage.since is not None]
    return f" since {past(min(known))}" if known else ""
