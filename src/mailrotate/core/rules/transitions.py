"""Every change of state there is: one table for each machine, event by event.

`docs/scheduler.md` draws its diagrams from these tables, and tests walk every pair.
"""

from collections.abc import Mapping
from enum import StrEnum

from mailrotate.core.values.states import CampaignState as C
from mailrotate.core.values.states import ConnectionState as K
from mailrotate.core.values.states import MessageState as M
from mailrotate.core.values.states import RecipientState as R
from mailrotate.core.values.states import RequestState as Q
from mailrotate.core.values.states import UserState as U

Machine = Mapping[str, Mapping[StrEnum, StrEnum]]

CAMPAIGN: Machine = {
    "start": {C.DRAFT: C.ACTIVE},
    "pause": {C.ACTIVE: C.PAUSED, C.PAUSED: C.PAUSED},
    "resume": {C.PAUSED: C.ACTIVE},
    "stop": {C.ACTIVE: C.FINISHED, C.PAUSED: C.FINISHED},
}

RECIPIENT: Machine = {
    "sent": {R.QUEUED: R.ACTIVE, R.ACTIVE: R.ACTIVE},
    "sent_last": {R.QUEUED: R.FINISHED, R.ACTIVE: R.FINISHED},
    "campaign_stopped": {R.QUEUED: R.FINISHED, R.ACTIVE: R.FINISHED},
    "removed": {R.QUEUED: R.FINISHED, R.ACTIVE: R.FINISHED},
    # D6: a reply is always recorded, but these three keep their state: stopped, bounced, unsubscribed.
    "replied": {R.QUEUED: R.REPLIED, R.ACTIVE: R.REPLIED, R.FINISHED: R.REPLIED, R.FAILED: R.REPLIED},
    "bounced": {R.QUEUED: R.BOUNCED, R.ACTIVE: R.BOUNCED},
    "unsubscribed": {R.QUEUED: R.UNSUBSCRIBED, R.ACTIVE: R.UNSUBSCRIBED},
    "failed": {R.QUEUED: R.FAILED, R.ACTIVE: R.FAILED},
    "retried": {R.FAILED: R.ACTIVE},
    # B8: who was contacted by a mailbox that is gone, until another takes them on.
    "mailbox_removed": {R.QUEUED: R.FAILED, R.ACTIVE: R.FAILED},
    "taken_on": {R.FAILED: R.ACTIVE},
    # The operator took the message that was next out of the outbox: no step is skipped in silence.
    "cancelled": {R.QUEUED: R.FINISHED, R.ACTIVE: R.FINISHED},
    "stopped": {R.QUEUED: R.STOPPED, R.ACTIVE: R.STOPPED},
}

MESSAGE: Machine = {
    "schedule": {M.DRAFT: M.SCHEDULED},
    "claim": {M.SCHEDULED: M.SENDING},
    "put_back": {M.SENDING: M.SCHEDULED},
    "settle_sent": {M.SENDING: M.SENT},
    "settle_error": {M.SENDING: M.ERROR},
    # What cannot be rendered never reaches a server.
    "refuse": {M.SCHEDULED: M.ERROR},
    "lose": {M.SENDING: M.HELD},
    "retry": {M.ERROR: M.SCHEDULED},
    "resolve_sent": {M.HELD: M.SENT},
    "resolve_not_sent": {M.HELD: M.SCHEDULED},
    "resolve_dropped": {M.HELD: M.CANCELLED},
    # D6, C15: when a recipient ends, what is scheduled or in error goes; what is held stays.
    "cancel": {M.DRAFT: M.CANCELLED, M.SCHEDULED: M.CANCELLED, M.ERROR: M.CANCELLED},
}

CONNECTION: Machine = {
    "fail": {K.CONNECTED: K.FAILED},
    "recover": {K.FAILED: K.CONNECTED, K.CONNECTED: K.CONNECTED},
    "disconnect": {K.CONNECTED: K.DISCONNECTED, K.FAILED: K.DISCONNECTED},
}

# The end of an approval (A7) is an instant of its own: its decision stays what it was.
USER: Machine = {"lock": {U.ACTIVE: U.LOCKED}, "unlock": {U.LOCKED: U.ACTIVE}}

REQUEST: Machine = {"approve": {Q.REQUESTED: Q.APPROVED}, "deny": {Q.REQUESTED: Q.DENIED}}


def origins(machine: Machine, event: str) -> tuple[str, ...]:
    """The states from which `event` is legal: the WHERE of a compare-and-set."""
    return tuple(state.value for state in machine[event])


def outcome(machine: Machine, event: str) -> str:
    """Where `event` leads, for events that lead to one place: the SET of a compare-and-set."""
    (after,) = set(machine[event].values())
    return after.value
