"""Tell users about failed mailboxes by mail, through the outbox (C10).

A notice and its message are rows of one transaction, so each is given once (F3); the message then leaves like
any other. Nothing here sends.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import notice_letter
from mailrotate.core.rules.compose import message_id_for
from mailrotate.core.rules.notice_letter import CampaignLoss, Told
from mailrotate.core.rules.notice_schedule import (
    BOUNCED,
    RECOVERY,
    Failure,
    Notice,
    addressees,
    continues,
    due,
)
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting
from mailrotate.core.store import (
    connections,
    events,
    mailboxes,
    moves,
    notices,
    seat_addresses,
    workspaces,
)
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.notices import FailedMailbox
from mailrotate.core.store.sending import outbox
from mailrotate.core.store.sending.outbox import NewMessage
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.reasons import NO_SENDER
from mailrotate.core.values.states import ConnectionState, MessageKind, Priority, Role, UserState


@dataclass(frozen=True)
class _Due:
    """A notice that is to be given now. Without a carrier no mail can be sent."""

    failed: FailedMailbox
    nth: str
    addressees: Sequence[str]
    carrier: StoredMailbox | None
    told: Told


class _Desk:
    """What one pass knows of the workspace while it decides on notices."""

    def __init__(self, context: Context, connection: Connection, now: datetime) -> None:
        self.context, self.connection, self.now = context, connection, now
        workspace = workspaces.find(connection)
        assert workspace is not None
        self.zone = workspace.timezone
        self.failed = notices.failed_mailboxes(connection)
        self._failed_ids = {failed.id for failed in self.failed}
        self.admins = [
            user.email
            for user in workspaces.users(connection)
            if user.role is Role.ADMIN and user.state is UserState.ACTIVE
        ]

    def is_broken(self, address: str) -> bool:
        """Whether mail to this address would lie in a failed mailbox."""
        held = seat_addresses.holding(self.connection, address)
        return held is not None and held.mailbox_id in self._failed_ids

    def carrier_for(self, user_id: int) -> StoredMailbox | None:
        """Choose the mailbox that sends a notice: a working one of the user, else of the workspace."""
        working = [
            box
            for box in mailboxes.listing(self.connection)
            if box.state is ConnectionState.CONNECTED and box.user_state is UserState.ACTIVE
        ]
        able = [box for box in working if self._is_able(box)]
        # Held ones last: there the notice waits.
        return min(able or working, key=lambda box: (box.user_id != user_id, box.id), default=None)

    def _is_able(self, box: StoredMailbox) -> bool:
        health = connections.health_of(self.connection, box.id)
        is_held = health.hold_reason is not None and (
            health.hold_until is None or health.hold_until > self.now
        )
        return health.paused_at is None and not is_held


def plan(context: Context, now: datetime) -> None:
    """Plan the notices that are due, one mail for each addressee."""
    with context.store.reading() as connection:
        is_needed = bool(
            notices.failed_mailboxes(connection)
            or notices.recovered_mailboxes(connection, RECOVERY)
            or notices.unsent(connection)
        )
    if not is_needed:
        return
    with acting(context, now) as (connection, now):
        # Two runners at once would both find the same notice due.
        workspaces.lock(connection)
        desk = _Desk(context, connection, now)
        _revise_unsent(desk)
        found = [*_failures(desk), *_recoveries(desk), *_bounces(desk)]
        _give(desk, found)


# --- what is due


def _failures(desk: _Desk) -> list[_Due]:
    found = []
    for failed in desk.failed:
        given = notices.of_failure(desk.connection, failed.id, failed.failed_at)
        was_before = notices.was_announced_before(desk.connection, failed.id, failed.failed_at)
        ends = notices.failure_ends(desk.connection, failed.id, failed.failed_at)
        failure = Failure(
            failed.failed_at,
            {end.id: end.ends_at for end in ends},
            continues(failed.failed_at, failed.connected_at, was_before),
            {notice.nth for notice in given},
        )
        notice = due(failure, desk.now)
        if notice is not None:
            found.append(_due_of(desk, failed, notice))
    return found


def _due_of(desk: _Desk, failed: FailedMailbox, notice: Notice) -> _Due:
    box = mailboxes.by_id(desk.connection, failed.id)
    carrier = desk.carrier_for(box.user_id)
    told = notice_letter.of_failure(
        box.address,
        failed.failed_at,
        failed.last_error,
        _losses(desk, box, failed),
        notice.is_last,
        desk.zone,
        desk.context.spell,
    )
    own = box.user_email if box.user_state is UserState.ACTIVE else None
    carried_by = None if carrier is None else carrier.address
    return _Due(failed, notice.nth, addressees(own, desk.admins, desk.is_broken, carried_by), carrier, told)


def _losses(desk: _Desk, box: StoredMailbox, failed: FailedMailbox) -> list[CampaignLoss]:
    ends = {
        end.campaign_id: end.ends_at
        for end in notices.failure_ends(desk.connection, box.id, failed.failed_at)
    }
    found = []
    for one in notices.hanging_on(desk.connection, box.id, box.slot_id):
        ends_at = ends.get(one.campaign_id)
        has_passed = ends_at is not None and ends_at <= desk.now
        if one.people or (has_passed and one.stopped):
            loss = CampaignLoss(one.campaign, one.people, one.contacted, one.stopped, ends_at, has_passed)
            found.append(loss)
    return found


def _recoveries(desk: _Desk) -> list[_Due]:
    """Tell those who had a notice of a failure that it is over."""
    found = []
    for failed in notices.recovered_mailboxes(desk.connection, RECOVERY):
        box = mailboxes.by_id(desk.connection, failed.id)
        had = notices.left_messages(desk.connection, failed.id, failed.failed_at)
        paused = [name for _, name in connections.paused_by(desk.connection, failed.id, NO_SENDER)]
        told = notice_letter.of_recovery(
            box.address, failed.connected_at, paused, desk.zone, desk.context.spell
        )
        found.append(_Due(failed, RECOVERY, had, desk.carrier_for(box.user_id), told))
    return found


def _bounces(desk: _Desk) -> list[_Due]:
    """Tell the admins once of a failure's notice that was refused; never of a notice about that."""
    found = []
    for refused in notices.refused(desk.connection):
        given = notices.of_failure(desk.connection, refused.mailbox_id, refused.failed_at)
        if any(notice.nth == BOUNCED for notice in given):
            continue
        box = mailboxes.by_id(desk.connection, refused.mailbox_id)
        others = [one for one in desk.admins if one != refused.addressee and not desk.is_broken(one)]
        failed = next(one for one in desk.failed if one.id == box.id)
        told = notice_letter.of_bounce(refused.address, refused.addressee, refused.said)
        found.append(_Due(failed, BOUNCED, others, desk.carrier_for(box.user_id), told))
    return list({one.failed.id: one for one in reversed(found)}.values())


# --- giving


def _give(desk: _Desk, found: Sequence[_Due]) -> None:
    """Write one message for each addressee, and a row for each notice."""
    message_ids = {}
    for addressee in dict.fromkeys(one for notice in found for one in _mailed_to(notice)):
        theirs = [notice for notice in found if addressee in _mailed_to(notice)]
        carrier = theirs[0].carrier
        assert carrier is not None
        subject, text = notice_letter.mail([notice.told for notice in theirs])
        written = json.dumps({"subject": subject, "text": text})
        message_ids[addressee] = _plan_message(desk, carrier, addressee, written)
    for notice in found:
        mails = [(addressee, message_ids[addressee]) for addressee in _mailed_to(notice)]
        notices.insert_notices(
            desk.connection,
            notice.failed.id,
            notice.failed.failed_at,
            notice.nth,
            mails or [("", None)],
            desk.now,
        )
        _log(desk, notice, len(mails))


def _mailed_to(notice: _Due) -> Sequence[str]:
    return () if notice.carrier is None else notice.addressees


def _plan_message(desk: _Desk, carrier: StoredMailbox, to_address: str, written: str) -> int:
    token = uuid.uuid4().hex
    new = NewMessage(
        kind=MessageKind.NOTICE,
        priority=Priority.NOTICE,
        mailbox_id=carrier.id,
        campaign_id=None,
        campaign_sender_id=None,
        recipient_id=None,
        step_id=None,
        step_position=None,
        to_address=to_address,
        from_address=carrier.address,
        token=token,
        message_id=message_id_for(token, carrier.address),
        due_at=desk.now,
        ready_at=desk.now,
        fields=written,
    )
    outbox.plan(desk.connection, MESSAGE["plan"], [new], desk.now)
    return notices.message_of_token(desk.connection, token)


def _log(desk: _Desk, notice: _Due, mails: int) -> None:
    """Log a notice once, whoever is told by mail: webhooks are told of it too."""
    if notice.nth == RECOVERY and not mails:
        # Nobody heard of the failure; `mailbox.recovered` is in the log.
        return
    action = "notice.recovery" if notice.nth == RECOVERY else "notice.failure"
    if notice.nth == BOUNCED:
        action = "notice.bounced"
    told = {"nth": notice.nth, "mails": mails, "failed_at": rfc3339(notice.failed.failed_at)}
    events.record(desk.connection, RUNNER, action, desk.now, About(notice.failed.id), **told)


def _revise_unsent(desk: _Desk) -> None:
    """Drop mails about failures that are over, and move others out of lanes that cannot send."""
    for mail in notices.unsent(desk.connection):
        box = mailboxes.by_id(desk.connection, mail.mailbox_id)
        if not notices.is_of_present(desk.connection, mail.message_id, RECOVERY, BOUNCED):
            moves.move(desk.connection, MESSAGE["cancel"], mail.message_id)
        elif box.state is not ConnectionState.CONNECTED or box.user_state is not UserState.ACTIVE:
            carrier = desk.carrier_for(box.user_id)
            if carrier is not None and moves.move(desk.connection, MESSAGE["cancel"], mail.message_id):
                again = _plan_message(desk, carrier, mail.to_address, mail.fields)
                notices.change_message(desk.connection, mail.message_id, again)
