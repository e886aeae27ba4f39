"""Every change of state: one table per machine, event by event.

`docs/scheduler.md` draws its diagrams from these tables, and tests walk every pair. A machine has the name of
the table whose rows are in its states.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from mailrotate.core.values.states import OPEN_RECIPIENTS
from mailrotate.core.values.states import CampaignState as C
from mailrotate.core.values.states import ConnectionState as K
from mailrotate.core.values.states import DeadlineState as D
from mailrotate.core.values.states import MessageState as M
from mailrotate.core.values.states import RecipientState as R
from mailrotate.core.values.states import RequestState as Q
from mailrotate.core.values.states import UserState as U
from mailrotate.core.values.transition import Transition

Machine = Mapping[str, Transition]

# The origin of a new row.
_NEW: Final = None


def _machine(name: str, **events: tuple[tuple[StrEnum | None, ...], StrEnum]) -> Machine:
    return {
        event: Transition(
            name, event, tuple(state for state in before if state is not None), after, _NEW in before
        )
        for event, (before, after) in events.items()
    }


CAMPAIGN: Machine = _machine(
    "campaign",
    create=((_NEW,), C.DRAFT),
    start=((C.DRAFT,), C.ACTIVE),
    pause=((C.ACTIVE, C.PAUSED), C.PAUSED),
    resume=((C.PAUSED,), C.ACTIVE),
    stop=((C.ACTIVE, C.PAUSED), C.FINISHED),
)

RECIPIENT: Machine = _machine(
    "recipient",
    enrol=((_NEW,), R.QUEUED),
    sent=(OPEN_RECIPIENTS, R.ACTIVE),
    sent_last=(OPEN_RECIPIENTS, R.FINISHED),
    campaign_stopped=(OPEN_RECIPIENTS, R.FINISHED),
    removed=(OPEN_RECIPIENTS, R.FINISHED),
    # D6: a reply is always recorded, but these three keep their state: stopped, bounced, unsubscribed.
    replied=((*OPEN_RECIPIENTS, R.FINISHED, R.FAILED), R.REPLIED),
    bounced=(OPEN_RECIPIENTS, R.BOUNCED),
    unsubscribed=(OPEN_RECIPIENTS, R.UNSUBSCRIBED),
    failed=(OPEN_RECIPIENTS, R.FAILED),
    retried=((R.FAILED,), R.ACTIVE),
    # B8: contacted recipients of a removed mailbox, until another mailbox takes them over.
    mailbox_removed=(OPEN_RECIPIENTS, R.FAILED),
    taken_on=((R.FAILED,), R.ACTIVE),
    # F4: the server refused the mailbox and not the recipient, who was not contacted yet, or was.
    requeued=((R.BOUNCED, R.UNSUBSCRIBED), R.QUEUED),
    reopened=((R.BOUNCED, R.UNSUBSCRIBED), R.ACTIVE),
    # E3: contacted recipients of a mailbox that left the rotation.
    sender_removed=(OPEN_RECIPIENTS, R.FINISHED),
    # The user cancelled the recipient's next message: no step is skipped silently.
    cancelled=(OPEN_RECIPIENTS, R.FINISHED),
    stopped=(OPEN_RECIPIENTS, R.STOPPED),
)

MESSAGE: Machine = _machine(
    "message",
    write=((_NEW,), M.DRAFT),
    plan=((_NEW,), M.SCHEDULED),
    schedule=((M.DRAFT,), M.SCHEDULED),
    claim=((M.SCHEDULED,), M.SENDING),
    put_back=((M.SENDING,), M.SCHEDULED),
    # A runner that was wrongly taken for dead still has the claim token, and knows the result.
    settle_sent=((M.SENDING, M.HELD), M.SENT),
    settle_error=((M.SENDING,), M.ERROR),
    # A message that cannot be rendered never reaches a server.
    refuse=((M.SCHEDULED,), M.ERROR),
    lose=((M.SENDING,), M.HELD),
    retry=((M.ERROR,), M.SCHEDULED),
    # C15: its mailbox failed or was disconnected, and came back.
    cut_off=((M.SCHEDULED,), M.ERROR),
    reconnected=((M.ERROR,), M.SCHEDULED),
    resolve_sent=((M.HELD,), M.SENT),
    resolve_not_sent=((M.HELD,), M.SCHEDULED),
    resolve_dropped=((M.HELD,), M.CANCELLED),
    # F3: after a restore, what waits here may have left before.
    doubt=((M.SCHEDULED,), M.HELD),
    # D6, C15: when a recipient ends, what is scheduled or in error goes; what is held stays.
    cancel=((M.DRAFT, M.SCHEDULED, M.ERROR), M.CANCELLED),
)

CONNECTION: Machine = _machine(
    "connection",
    connect=((_NEW,), K.CONNECTED),
    fail=((K.CONNECTED,), K.FAILED),
    recover=((K.FAILED, K.CONNECTED), K.CONNECTED),
    disconnect=((K.CONNECTED, K.FAILED), K.DISCONNECTED),
)

DEADLINE: Machine = _machine(
    "deadline",
    begin=((_NEW,), D.RUNNING),
    # C8: the mailbox was added to the rotation again, within the hour.
    readded=((D.RUNNING,), D.ENDED),
    # C3: the failed mailbox works again.
    recovered=((D.RUNNING,), D.ENDED),
    # C4: a disconnect turns the days of a failure into the hour.
    converted=((D.RUNNING,), D.ENDED),
    # C9: its time has passed.
    settled=((D.RUNNING,), D.ENDED),
    # C12: nobody of the campaign waits for the mailbox any more.
    campaign_ended=((D.RUNNING,), D.ENDED),
    # E3, B8: the mailbox left the rotation, or was removed.
    sender_removed=((D.RUNNING,), D.ENDED),
    mailbox_removed=((D.RUNNING,), D.ENDED),
)

# A user who was removed comes back as the same one.
USER: Machine = _machine(
    "user",
    add=((_NEW, U.ACTIVE, U.LOCKED), U.ACTIVE),
    lock=((U.ACTIVE,), U.LOCKED),
    unlock=((U.LOCKED,), U.ACTIVE),
)

# The end of an approval (A7) is an instant of its own: its decision stays what it was.
REQUEST: Machine = _machine(
    "mailbox_request",
    request=((_NEW,), Q.REQUESTED),
    approve=((Q.REQUESTED,), Q.APPROVED),
    deny=((Q.REQUESTED,), Q.DENIED),
)
