"""`mailrotate mailbox signature`: closing texts in Markdown, one of them the main one or none."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Address
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.signature_editing import MailboxSignatures

app = noun(
    "Manage signatures; the main one ends every message of the mailbox.",
    __name__,
    "add",
    "edit",
    "list",
    "show",
    "main",
    "unmain",
    "remove",
    "restore",
)

# UTF-8 needs up to four bytes for a character; the service counts these.
_MOST_BYTES = 4 * 10_000 + 1

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the signature is called.")]
Body = Annotated[
    str, typer.Option("--body", metavar="FILE|-", help="File with the Markdown text; - reads standard input.")
]


def add(
    ctx: typer.Context,
    address: Address,
    name: Name,
    body: Body,
    main: Annotated[bool, typer.Option("--main", help="Also make it the main one.")] = False,
) -> None:
    """Add a signature in Markdown. It can show {{ sender_name }}, {{ sender_email }} and {{ email }}.

    A field of recipients needs a fallback, like {{ first_name | default("") }}.

    Examples:

      mailrotate mailbox signature add anna@example.org work --body signature.md --main
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    text = _read(body)
    found = signature_editing.add(call.context, address, name, text, call.now, main=main)
    _tell(call.speech, found, f"added signature '{name}'")
    if not main:
        call.speech.next(Command("mailbox", "signature", "main", found.address, name))


def edit(ctx: typer.Context, address: Address, name: Name, body: Body) -> None:
    """Change a signature's text; it applies to every message that is not yet being sent.

    Examples:

      mailrotate mailbox signature edit anna@example.org work --body signature.md
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    found = signature_editing.edit(call.context, address, name, _read(body), call.now)
    _tell(call.speech, found, f"changed signature '{name}'")


def list_(ctx: typer.Context, address: Address) -> None:
    """List the signatures of a mailbox, and which is the main one.

    Examples:

      mailrotate mailbox signature list anna@example.org
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    _tell(call.speech, signature_editing.listing(call.context, address))


def show(ctx: typer.Context, address: Address, name: Name) -> None:
    """Show a signature as it was written.

    Examples:

      mailrotate mailbox signature show anna@example.org work
    """
    from mailrotate.core.services.mailboxes import signature_editing

    found = signature_editing.show(call_of(ctx).context, address, name)
    call_of(ctx).speech.result({"name": found.name, "main": found.is_main, "body": found.body}, found.body)


def main(ctx: typer.Context, address: Address, name: Name) -> None:
    """Make a signature the main one, which ends every message of the mailbox.

    Examples:

      mailrotate mailbox signature main anna@example.org work
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    found = signature_editing.choose_main(call.context, address, name, call.now)
    _tell(call.speech, found, f"{found.address} closes its messages with '{name}'")


def unmain(ctx: typer.Context, address: Address) -> None:
    """Send without a signature from now on; the signatures are kept.

    Examples:

      mailrotate mailbox signature unmain anna@example.org
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    found = signature_editing.choose_main(call.context, address, None, call.now)
    _tell(call.speech, found, f"{found.address} sends without a signature")


def remove(ctx: typer.Context, address: Address, name: Name) -> None:
    """Delete a signature.

    Examples:

      mailrotate mailbox signature remove anna@example.org work
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    found = signature_editing.remove(call.context, address, name, call.now)
    _tell(call.speech, found, f"deleted signature '{name}'")


def restore(ctx: typer.Context, address: Address, name: Name) -> None:
    """Restore a signature from before the mailbox was disconnected and connected again.

    Examples:

      mailrotate mailbox signature restore anna@example.org work
    """
    from mailrotate.core.services.mailboxes import signature_editing

    call = call_of(ctx)
    found = signature_editing.restore(call.context, address, name, call.now)
    _tell(call.speech, found, f"signature '{name}' is back")


def _read(source: str) -> str:
    """Read a signature from a file or standard input.

    Raises BadInput (`signature.unreadable`, `signature.too_long`).
    """
    where = "standard input" if source == "-" else source
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(_MOST_BYTES)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(_MOST_BYTES)
        if len(raw) == _MOST_BYTES:
            raise BadInput("signature.too_long", f"{where} is too long for a signature")
        return raw.decode("utf-8-sig")
    except OSError as trouble:
        raise BadInput("signature.unreadable", f"cannot read {where}: {trouble.strerror}") from None
    except UnicodeDecodeError as trouble:
        raise BadInput(
            "signature.unreadable", f"{where} is not UTF-8: byte {trouble.start + 1} cannot be read"
        ) from None


def _tell(speech: Speech, found: "MailboxSignatures", done: str | None = None) -> None:
    if done is not None and not speech.as_json:
        speech.line(done)
    for warning in found.warnings:
        speech.warn(warning)
    rows: list[dict[str, Any]] = [
        {"name": each.name, "main": each.is_main, "body": each.body} for each in found.signatures
    ]
    add_one = Command("mailbox", "signature", "add", found.address, "NAME", "--body", "FILE")
    speech.listing(
        ("name", "main", "begins with"),
        rows,
        lambda row: (row["name"], row["main"], row["body"].strip().splitlines()[0][:50]),
        Hint(f"{found.address} has no signature:", add_one),
    )
