"""Turn a planned message into the bytes that are sent, from the present contents of the database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from mailrotate.core.rules.templates import letter_fields, merge_subject
from mailrotate.core.store import aliases, campaigns, mailboxes
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.sending import outbox
from mailrotate.core.store.sending.outbox import Candidate, Thread
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.letter import Attachment, Letter, UnfitLetter, Unsubscribe
from mailrotate.core.values.states import MessageKind


@dataclass
class StepCache:
    """Steps and attachments of the campaign versions used in one turn of a lane; versions never change."""

    steps: dict[tuple[int, int], list[StoredStep]] = field(default_factory=dict)
    attachments: dict[int, tuple[Attachment, ...]] = field(default_factory=dict)

    def steps_of(self, connection: Connection, campaign: StoredCampaign) -> list[StoredStep]:
        key = (campaign.id, campaign.version)
        if key not in self.steps:
            self.steps[key] = campaigns.steps_of(connection, campaign.id, campaign.version)
        return self.steps[key]

    def attachments_of(self, connection: Connection, step: StoredStep) -> tuple[Attachment, ...]:
        if step.version_id not in self.attachments:
            self.attachments[step.version_id] = tuple(
                Attachment(filename, content_type, data)
                for filename, content_type, data in campaigns.attachments_of(connection, step.version_id)
            )
        return self.attachments[step.version_id]


@dataclass(frozen=True)
class Letterhead:
    """Who a letter is from: the alias that the mailbox sends as, else its own address (B11).

    `mailbox` is the mailbox's own address.
    """

    name: str
    address: str
    mailbox: str
    signature: str | None


def letterhead_of(connection: Connection, box: SendingMailbox) -> Letterhead:
    """The sender of a mailbox's letters, as it is set now."""
    name, address = _from_of(connection, box)
    return Letterhead(name, address, box.address, mailboxes.main_signature(connection, box.connection_id))


def letter_for(
    connection: Connection,
    cache: StepCache,
    message: Candidate,
    letterhead: Letterhead,
    campaign: StoredCampaign,
) -> Letter:
    """Compose one campaign message from the present texts, sender settings and thread.

    Raises UnfitLetter if its step is gone: a draft may lose a step while a test message waits.
    """
    steps = cache.steps_of(connection, campaign)
    step = next((s for s in steps if s.position == message.step_position), None)
    if step is None:
        raise UnfitLetter("its step was removed from the campaign")
    thread = _thread_of(connection, message, step)
    # A test goes to its author, and shows what its recipient will receive.
    own = json.loads(message.own_fields or "{}")
    fields = {
        **(own or json.loads(message.recipient_fields or "{}")),
        **letter_fields(own.get("email") or message.to_address, letterhead.name, letterhead.address),
    }
    thread_subject = None if thread is None else thread.subject
    if thread is None and message.kind is MessageKind.TEST:
        # A test or preview of a follow-up shows the message that it would answer.
        thread_subject = _subject_before(steps, step, fields)
    return Letter(
        from_name=letterhead.name,
        from_address=letterhead.address,
        to_address=message.to_address,
        subject_template=step.subject,
        body_template=step.body,
        fields=fields,
        signature_markdown=letterhead.signature,
        unsubscribe=Unsubscribe(letterhead.mailbox, message.unsubscribe_token or message.token),
        message_id=message.message_id,
        in_reply_to=None if thread is None else thread.message_id,
        references=() if thread is None else (*thread.cited_ids, thread.message_id),
        thread_subject=thread_subject,
        attachments=cache.attachments_of(connection, step),
    )


def notice_letter_for(connection: Connection, message: Candidate, box: SendingMailbox) -> tuple[Letter, str]:
    """A notice as it was written when it was due, and its text."""
    written = json.loads(message.own_fields or "{}")
    from_name, from_address = _from_of(connection, box)
    letter = Letter(
        from_name=from_name,
        from_address=from_address,
        to_address=message.to_address,
        subject_template=written["subject"],
        body_template="",
        fields={},
        signature_markdown=None,
        unsubscribe=None,
        message_id=message.message_id,
    )
    return letter, written["text"]


def _from_of(connection: Connection, box: SendingMailbox) -> tuple[str, str]:
    settings = box.settings
    alias = settings.sends_as
    known = None if alias is None else aliases.find(connection, box.connection_id, alias)
    if known is None:
        return settings.sender_name, box.address
    return (settings.sender_name if known.sender_name is None else known.sender_name), known.address


def _thread_of(connection: Connection, message: Candidate, step: StoredStep) -> Thread | None:
    """The thread of a follow-up: it answers the previous message unless its step has its own subject (D5)."""
    if step.subject is not None or message.recipient_id is None:
        return None
    return outbox.thread_before(connection, message.recipient_id, step.position)


def _subject_before(
    steps: Sequence[StoredStep], step: StoredStep, fields: Mapping[str, object]
) -> str | None:
    """The subject of the thread that a follow-up belongs to. Raises as `compose`."""
    subjects = [s.subject for s in steps if s.position < step.position and s.subject is not None]
    return merge_subject(subjects[-1], fields) if subjects else None
