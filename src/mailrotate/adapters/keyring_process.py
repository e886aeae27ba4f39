"""The system keyring, asked in a child process that cannot prompt and is given a few seconds.

A keyring plug-in is third-party code. Without a desktop session it may fail, wait for D-Bus for ever, or
prompt for a password on the terminal, inside the process that calls it. So the call runs in a child
process: in a new session (no terminal to prompt on), with empty standard input, and killed with all its
children when its time is over. The secret travels only through a pipe.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "mailrotate"
TIME_LIMIT = 5.0  # seconds; a working keyring answers in less than one

# Only the variables that a keyring needs: MAILROTATE_… may hold passwords.
_PASSED_ON = frozenset(
    {
        *("HOME", "USER", "LOGNAME", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH"),
        *("DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY"),
        *("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_CURRENT_DESKTOP"),
        *("DESKTOP_SESSION", "KDE_FULL_SESSION", "KDE_SESSION_VERSION"),
        *("PYTHONPATH", "PYTHONHOME", "PYTHON_KEYRING_BACKEND"),
        *("KEYRING_PROPERTY_SCHEME", "KEYRING_PROPERTY_PREFERRED_COLLECTION"),
    }
)


class KeyringUnusable(Exception):
    """The system keyring cannot be relied on here; the text says why, for a person."""


def read_keyring(username: str, environment: Mapping[str, str], *, limit: float = TIME_LIMIT) -> str | None:
    """The text stored under our service and `username`, None where there is none. Raises KeyringUnusable."""
    return _ask("get", username, environment, None, limit)


def write_keyring(
    username: str, text: str, environment: Mapping[str, str], *, limit: float = TIME_LIMIT
) -> None:
    """Store a text and read it back: some keyrings silently drop it.

    Raises KeyringUnusable; the old or the new text is then stored.
    """
    if _ask("set", username, environment, text, limit) != text:
        raise KeyringUnusable("it did not keep what was stored in it")


def _ask(
    verb: str, username: str, environment: Mapping[str, str], text: str | None, limit: float
) -> str | None:
    # -P: otherwise `-m` imports modules from the current folder.
    command = [sys.executable, "-P", "-m", "mailrotate.adapters.keyring_process", verb, username]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if text is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: value for name, value in environment.items() if name in _PASSED_ON},
        start_new_session=True,
    ) as child:
        try:
            reply, _ = child.communicate(None if text is None else text.encode(), timeout=limit)
        except BaseException as trouble:  # also an interrupt: no child process may stay behind
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            if isinstance(trouble, subprocess.TimeoutExpired):
                raise KeyringUnusable(f"it did not answer within {limit:g} seconds") from None
            raise
    return _read_reply(reply)


def _read_reply(reply: bytes) -> str | None:
    try:
        answer = json.loads(reply)
    except ValueError:
        raise KeyringUnusable("its plug-in ended without an answer") from None
    if "trouble" in answer:
        raise KeyringUnusable(answer["trouble"])
    text: str | None = answer["text"]
    return text


def _answer(verb: str, username: str, text: str | None) -> dict[str, str | None]:
    try:
        backend = _usable_backend()
        if text is not None:
            backend.set_password(SERVICE, username, text)
        return {"text": backend.get_password(SERVICE, username)}
    except KeyringUnusable as trouble:
        return {"trouble": str(trouble)}
    except Exception as trouble:  # noqa: BLE001  a plug-in may raise anything
        # Only the exception's name: the plug-in's text may contain the secret.
        return {"trouble": f"it failed to {verb} the key ({type(trouble).__name__})"}


def _usable_backend() -> "KeyringBackend":
    from keyring import core

    # The limit applies to the backend that chains others, so that it chains only safe ones.
    core.init_backend(limit=lambda backend: backend.priority >= 1)
    backend = core.get_keyring()
    name = f"{type(backend).__module__}.{type(backend).__qualname__}"
    # keyring's own mark for "not recommended" is a priority below 1: fail, null, plain text and its kin.
    if backend.priority < 1 or "plaintext" in name.lower():
        # `fail` stands for no plug-in at all.
        only = "" if name == "keyring.backends.fail.Keyring" else f" (only {name})"
        raise KeyringUnusable(f"there is none that is safe to use{only}")
    return backend


def _main() -> None:
    verb, username = sys.argv[1:]
    text = sys.stdin.read() if verb == "set" else None
    # The answer has a pipe that no grandchild inherits; what plug-ins print goes nowhere, what they ask
    # gets the end of file.
    reply = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    with reply:
        json.dump(_answer(verb, username, text), reply)


if __name__ == "__main__":
    _main()
