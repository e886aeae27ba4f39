"""`mailrotate sandbox`: a local mail server in the foreground, and what the people in it read and answer."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.hints import in_words
from mailrotate.cli.lazy import noun
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint, Shell

if TYPE_CHECKING:
    from mailrotate.sandbox.server import SandboxInfo

# The included slots of a new workspace's admin.
INCLUDED_SLOTS = 2

Person = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose mailbox; it takes any address.")]


def serve(
    ctx: typer.Context,
    smtp_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 2525,
    imap_port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 2143,
    password_file: Annotated[
        Path | None,
        typer.Option(help="Its first line is the password of all mailboxes; without, each start makes one."),
    ] = None,
) -> None:
    """Serve ready-made mailboxes on this machine until Ctrl-C. Mail stays in memory and never leaves it.

    Mail to any address is accepted and creates a mailbox for its recipient, with the same password.

    Examples:

      mailrotate sandbox

      mailrotate sandbox --smtp-port 0 --imap-port 0 --json

      mailrotate sandbox read pia@firm.example.com
    """
    if ctx.invoked_subcommand is not None:
        return
    import signal

    from mailrotate.sandbox.server import Sandbox
    from mailrotate.sandbox.whereabouts import leave_note, take_note_away

    speech = call_of(ctx).speech
    password = None if password_file is None else _first_line(password_file)
    with Sandbox(smtp_port=smtp_port, imap_port=imap_port, password=password) as sandbox:
        info = sandbox.info
        try:
            leave_note(info)
            sandbox.serve_until(
                signal.SIGINT,
                signal.SIGTERM,
                ready=lambda: speech.stream(asdict(info), *_directions(info)),
            )
        finally:
            take_note_away(info)
    speech.say("the sandbox has ended; its mail is gone")


def read(
    ctx: typer.Context,
    address: Person,
    folder: Annotated[
        str, typer.Option(help="Folder to show; 'Sent' has the mail that the address sent.")
    ] = "INBOX",
) -> None:
    """Show the mail of an address in the running sandbox, oldest first.

    Examples:

      mailrotate sandbox read pia@firm.example.com

      mailrotate sandbox read anna@sandbox.example.org --folder Sent
    """
    from mailrotate.sandbox.person import read_mailbox
    from mailrotate.sandbox.whereabouts import find_running

    speech = call_of(ctx).speech
    mails = read_mailbox(find_running(), address, folder)
    if speech.as_json:
        speech.document([asdict(mail) for mail in mails])
        return
    for mail in mails:
        headers = {
            "From": f"{mail.from_name} <{mail.from_address}>" if mail.from_name else mail.from_address,
            "To": mail.to_address,
            "Subject": mail.subject,
            "Message-ID": mail.message_id,
            "In-Reply-To": mail.in_reply_to,
        }
        speech.facts((f"{name}:", value) for name, value in headers.items() if value)
        speech.line()
        for text in mail.text.rstrip().splitlines():
            speech.line(f"  {text}")
        speech.line()
    if not mails:
        speech.say(f"{address} has no mail in {folder}")


def answer(
    ctx: typer.Context,
    address: Person,
    text: Annotated[str, typer.Argument(help="What the person writes.")],
) -> None:
    """Reply as the recipient to their newest mail.

    Examples:

      mailrotate sandbox answer pia@firm.example.com "Yes, please call me."
    """
    from mailrotate.sandbox import person
    from mailrotate.sandbox.whereabouts import find_running

    message_id = person.answer(find_running(), address, text)
    call_of(ctx).speech.result({"message_id": message_id}, f"{address} has answered: {message_id}")


def unsubscribe(ctx: typer.Context, address: Person) -> None:
    """Unsubscribe as the recipient by mail, in the way that their newest mail offers.

    Examples:

      mailrotate sandbox unsubscribe pia@firm.example.com
    """
    from mailrotate.sandbox import person
    from mailrotate.sandbox.whereabouts import find_running

    message_id = person.unsubscribe(find_running(), address)
    call_of(ctx).speech.result({"message_id": message_id}, f"{address} has unsubscribed: {message_id}")


def _first_line(file: Path) -> str:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as trouble:
        raise BadInput("password.unreadable", f"cannot read a password from {file}: {trouble}") from None
    if not lines or not lines[0]:
        raise BadInput("password.empty", f"the first line of {file} is empty; it should be the password")
    return lines[0]


def _directions(info: "SandboxInfo") -> list[str]:
    smtp, imap = (f"{server.host}:{server.port}" for server in (info.smtp, info.imap))
    return [
        f"SMTP      {smtp}",
        f"IMAP      {imap}, both without TLS and for this machine alone",
        f"addresses {', '.join(info.senders)}",
        f"password  {info.password}",
        "",
        "In another terminal, apart from your real workspace:",
        "",
        "  export MAILROTATE_DB=./sandbox.db MAILROTATE_KEY_FILE=./sandbox.key",
        *(f"  {command}" for command in _connects(info, smtp, imap)),
        "",
        "After a campaign has sent messages:",
        "",
        *(
            f"  {in_words(Command('sandbox', *words))}"
            for words in (("read", "ADDRESS"), ("answer", "ADDRESS", "TEXT"), ("unsubscribe", "ADDRESS"))
        ),
        "",
        "Ctrl-C ends the sandbox.",
    ]


def _connects(info: "SandboxInfo", smtp: str, imap: str) -> Iterator[str]:

    for number, address in enumerate(info.senders):
        if number == INCLUDED_SLOTS:
            yield in_words(Command("slot", "add", "--for", info.senders[0]))
        servers = ("--smtp", smtp, "--imap", imap, "--security", "none")
        connect = Command("mailbox", "connect", address, *servers, "--password-stdin")
        yield in_words(Hint(Shell("echo", info.password), "|", connect))


app = noun("", __name__, "read", "answer", "unsubscribe", without_verb=serve)
