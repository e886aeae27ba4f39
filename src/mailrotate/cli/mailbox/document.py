"""A mailbox as JSON, and the words for its state."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mailrotate.cli.output import counted
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.reasons import heard

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.mailbox_views import ListedMailbox, ShownMailbox
    from mailrotate.core.store.sending.unread_mail import UnreadMail


def row_of(listed: "ListedMailbox") -> dict[str, Any]:
    return {
        "id": f"b_{listed.id}",
        "address": listed.address,
        "user": listed.user,
        "slot": None if listed.slot_id is None else f"s_{listed.slot_id}",
        "provider": listed.provider,
        "state": listed.state,
        "paused_at": listed.paused_at,
        "hold_reason": listed.hold_reason,
        "hold_until": listed.hold_until,
        "default": listed.is_default,
        "access": listed.access,
        "sender_name": listed.sender_name,
        "daily_limit": listed.daily_limit,
        "ramp_day": listed.ramp_day,
        "sent_today": listed.sent_today,
        "last_test_at": listed.last_test_at,
        "last_sent_at": listed.last_sent_at,
        "last_read_at": listed.last_read_at,
        "unchecked_since": listed.unchecked_since,
        "last_error": listed.last_error,
        "trouble": listed.trouble,
        "failed_at": listed.failed_at,
        "disconnected_at": listed.disconnected_at,
        "removed_at": listed.removed_at,
        "deadlines": [
            {"campaign": deadline.campaign, "kind": deadline.kind, "ends_at": deadline.ends_at}
            for deadline in listed.deadlines
        ],
    }


def trouble_of(row: Mapping[str, Any]) -> str:
    """What is wrong with a mailbox, or since when nothing shows that it still works."""
    if row["trouble"] or not row["unchecked_since"]:
        return heard(row["trouble"] or "")
    return f"not checked since {rfc3339(row['unchecked_since'].replace(microsecond=0))}"


def health_of(row: Mapping[str, Any]) -> str:
    notes = [str(row["state"])]
    notes += ["paused"] if row["paused_at"] else []
    notes += ["on hold"] if row["hold_reason"] else []
    return ", ".join(notes)


def unread_words(mail: "UnreadMail") -> str:
    """Say why a mail was not read, and whether it will be asked for again."""
    tried = counted(mail.tries, "try", "tries")
    state = "is asked for again" if mail.given_up_at is None else "given up"
    return f"not read ({mail.reason}); {state} after {tried}"


def value_of(value: object) -> object:
    """A setting's value as one text."""
    return ", ".join(value) if isinstance(value, tuple) else value


def document_of(shown: "ShownMailbox") -> dict[str, Any]:
    """Build the JSON of one mailbox."""
    return {
        **row_of(shown.listed),
        "settings": {s.name: {"value": value_of(s.value), "from": s.origin} for s in shown.settings},
        "smtp": f"{shown.smtp.host}:{shown.smtp.port}",
        "smtp_security": shown.smtp.security,
        "imap": f"{shown.imap.host}:{shown.imap.port}",
        "imap_security": shown.imap.security,
        "username": shown.username,
        "files_sent_copy": shown.files_sent_copy,
        "day_ends_at": shown.day_ends_at,
        "inbox_read_at": shown.inbox_read_at,
        "inbox_error": shown.inbox_error,
        "campaigns": [{"campaign": c.name, "state": c.state, "people": c.people} for c in shown.campaigns],
        "sends_as": shown.sends_as or shown.listed.address,
        "aliases": [vars(alias) for alias in shown.aliases],
        "folders": [vars(folder) for folder in shown.folders],
        "unread_mails": [vars(mail) for mail in shown.unread_mails],
        "broke_by": shown.broke_by,
    }
