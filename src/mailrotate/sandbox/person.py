"""A person with a mailbox in the sandbox: reads, answers and unsubscribes as mail programs do."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mailrotate.core.values.clock import system_clock
from mailrotate.core.values.errors import NotFound
from mailrotate.sandbox.server import SandboxInfo

if TYPE_CHECKING:
    from imap_tools import BaseMailBox, MailMessage


@dataclass(frozen=True)
class ReceivedMail:
    """One mail as its reader sees it; what a header lacks is an empty text."""

    from_address: str
    to_address: str
    subject: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    date: datetime
    text: str
    from_name: str = ""


def read_mailbox(info: SandboxInfo, address: str, folder: str = "INBOX") -> list[ReceivedMail]:
    """Everything in the folder, oldest first, without a change to it.

    Empty for an address that has never had mail. Raises NotFound `sandbox.no_folder`.
    """
    return [_received(mail) for mail in _read(info, address, folder)]


def answer(info: SandboxInfo, address: str, text: str) -> str:
    """Reply to the newest mail of `address`, quoting it; the reply's Message-ID.

    Raises NotFound `sandbox.no_mail`.
    """
    original = _newest(info, address)
    read = _received(original)
    reply = _letter(
        address,
        to=(original.reply_to or (original.from_,))[0],
        subject=read.subject if read.subject.lower().startswith("re:") else f"Re: {read.subject}".strip(),
    )
    # RFC 5322 section 3.6.4.
    if read.message_id:
        reply["In-Reply-To"] = read.message_id
        reply["References"] = " ".join((*(read.references or (read.in_reply_to,)), read.message_id)).strip()
    quoted = "\n".join(f"> {line}" for line in read.text.splitlines())
    reply.set_content(f"{text}\n\n{read.from_address} wrote:\n{quoted}\n")
    return _send(info, address, reply)


def unsubscribe(info: SandboxInfo, address: str) -> str:
    """Send the mail that `List-Unsubscribe` of the newest mail asks for (RFC 2369, RFC 6068); its Message-ID.

    Raises NotFound `sandbox.no_mail`, or `sandbox.no_unsubscribe` where the header names no mailto.
    """
    offered = _header(_newest(info, address), "list-unsubscribe")
    links = [part.strip(" <>") for part in offered.split(",")]
    link = next((link for link in links if link.lower().startswith("mailto:")), None)
    if link is None:
        raise NotFound(
            "sandbox.no_unsubscribe", f"the newest mail of {address} does not offer unsubscribing by mail"
        )
    to, _, query = link[len("mailto:") :].partition("?")
    # Not parse_qs: in a mailto a plus is a plus.
    asked = {name.lower(): unquote(value) for name, _, value in (f.partition("=") for f in query.split("&"))}
    letter = _letter(address, to=unquote(to), subject=asked.get("subject", "unsubscribe"))
    letter.set_content(asked.get("body", "") + "\n")
    return _send(info, address, letter)


def _letter(address: str, *, to: str, subject: str) -> EmailMessage:
    # Shorter lines would fold a long Message-ID into encoded words, which no longer match it.
    letter = EmailMessage(policy=SMTP.clone(max_line_length=998))
    letter["From"] = address
    letter["To"] = to
    letter["Subject"] = subject
    letter["Date"] = format_datetime(system_clock())
    letter["Message-ID"] = make_msgid(domain=address.rpartition("@")[2])
    return letter


def _send(info: SandboxInfo, address: str, letter: EmailMessage) -> str:
    with smtplib.SMTP(info.smtp.host, info.smtp.port, timeout=30) as server:
        server.login(address, info.password)
        server.send_message(letter)
    return str(letter["Message-ID"])


def _newest(info: SandboxInfo, address: str) -> "MailMessage":
    mails = list(_read(info, address, "INBOX", newest_only=True))
    if not mails:
        raise NotFound("sandbox.no_mail", f"{address} has no mail in this sandbox")
    return mails[0]


def _read(
    info: SandboxInfo, address: str, folder: str, *, newest_only: bool = False
) -> Iterator["MailMessage"]:
    from imap_tools import MailboxFolderSelectError

    with _mailbox(info, address) as mailbox:
        if mailbox is None:
            return
        try:
            mailbox.folder.set(folder, readonly=True)
        except MailboxFolderSelectError:
            raise NotFound("sandbox.no_folder", f"the mailbox {address} has no folder '{folder}'") from None
        uids = mailbox.uids()[-1:] if newest_only else mailbox.uids()
        if uids:
            yield from mailbox.fetch(uid_list=uids, mark_seen=False, bulk=500)


@contextmanager
def _mailbox(info: SandboxInfo, address: str) -> Iterator["BaseMailBox | None"]:
    """An open mailbox; None where none was made yet."""
    from imap_tools import MailboxLoginError, MailBoxUnencrypted

    with MailBoxUnencrypted(info.imap.host, info.imap.port, timeout=30) as mailbox:
        try:
            mailbox.login(address, info.password, initial_folder=None)
        except MailboxLoginError as refusal:
            # RFC 5530: the password is right, the mailbox does not exist.
            if b"[AUTHORIZATIONFAILED]" not in refusal.command_result[1][0]:
                raise
            yield None
        else:
            yield mailbox


def _received(mail: "MailMessage") -> ReceivedMail:
    return ReceivedMail(
        from_address=mail.from_,
        to_address=", ".join(mail.to),
        # imap-tools leaves the line ends of a folded header in.
        subject="".join(mail.subject.splitlines()),
        message_id=_header(mail, "message-id"),
        in_reply_to=_header(mail, "in-reply-to"),
        references=tuple(_header(mail, "references").split()),
        date=mail.date,
        text=mail.text.replace("\r\n", "\n"),
        from_name="" if mail.from_values is None else mail.from_values.name,
    )


def _header(mail: "MailMessage", name: str) -> str:
    """The first header of that name, unfolded."""
    return " ".join(str(mail.obj.get(name, "")).split())
