"""The note that a running sandbox leaves for its user's other processes: where it listens, the password."""

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from mailrotate.core.values.errors import NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import Security
from mailrotate.sandbox.server import SandboxInfo


def leave_note(info: SandboxInfo) -> None:
    """Write the note, readable only for this user; it replaces the note of an older sandbox."""
    place = _place()
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = place.with_suffix(f".{os.getpid()}")
    with suppress(FileNotFoundError):
        new.unlink()
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as note:
        json.dump(asdict(info), note)
    new.replace(place)


def take_note_away(info: SandboxInfo) -> None:
    """Remove the note, unless another sandbox has replaced it."""
    if _read_note() == info:
        _place().unlink(missing_ok=True)


def find_running() -> SandboxInfo:
    """Find the sandbox that was started last. Raises NotFound (`sandbox.none`)."""
    info = _read_note()
    if info is not None:
        # A sandbox that was killed could not take its note away.
        with suppress(OSError), socket.create_connection((info.imap.host, info.imap.port), timeout=10):
            return info
    raise NotFound("sandbox.none", "no sandbox is running", Command("sandbox"))


def _read_note() -> SandboxInfo | None:
    try:
        said = json.loads(_place().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return SandboxInfo(
        smtp=_endpoint(said["smtp"]),
        imap=_endpoint(said["imap"]),
        senders=tuple(said["senders"]),
        password=said["password"],
    )


def _endpoint(said: dict[str, str]) -> Endpoint:
    return Endpoint(said["host"], int(said["port"]), Security(said["security"]))


def _place() -> Path:
    from platformdirs import user_state_path

    # Not the runtime directory: on a system without one it would be in the shared temporary folder.
    return user_state_path("mailrotate") / "sandbox.json"
