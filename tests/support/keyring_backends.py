"""System keyrings as one meets them: one that works, and those that hang, prompt, fail or forget.

Named in PYTHON_KEYRING_BACKEND, they are loaded by the child process that asks the keyring.
"""

import fcntl
import getpass
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend


def environment_for(backend: type[KeyringBackend], folder: Path) -> dict[str, str]:
    """All that a process needs to find this keyring; `folder` is where it keeps things."""
    return {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHON_KEYRING_BACKEND": f"{backend.__module__}.{backend.__qualname__}",
        "XDG_DATA_HOME": str(folder),
    }


def _folder() -> Path:
    return Path(os.environ["XDG_DATA_HOME"])


class Working(KeyringBackend):
    """Keeps each text in a file of its own."""

    priority: Any = 5

    def get_password(self, service: str, username: str) -> str | None:
        file = _folder() / f"{service}.{username}"
        return file.read_text() if file.exists() else None

    def set_password(self, service: str, username: str, password: str) -> None:
        (_folder() / f"{service}.{username}").write_text(password)


class Chatty(Working):
    """Works, but prints on both streams, like a plug-in with a debug line left in."""

    def get_password(self, service: str, username: str) -> str | None:
        print("looking", flush=True)  # noqa: T201
        os.write(1, b"looking deeper")
        os.write(2, b"still looking")
        return super().get_password(service, username)


class PlaintextKeyring(Working):
    """What keyrings.alt calls its unencrypted one, here with a priority that would let it pass."""


class NotRecommended(Working):
    priority: Any = 0.5


class Swallowing(Working):
    """Takes everything and keeps nothing, as keyring's null backend does."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class Failing(Working):
    """Repeats what it was given in its error."""

    def get_password(self, service: str, username: str) -> str | None:
        raise RuntimeError("no D-Bus")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot store {password}")


class Dying(Working):
    def get_password(self, service: str, username: str) -> str | None:
        os._exit(3)


class Prompting(Working):
    """Asks for a password on the terminal, else on standard input."""

    def get_password(self, service: str, username: str) -> str | None:
        return getpass.getpass("Password for the keyring: ")

    def set_password(self, service: str, username: str, password: str) -> None:
        input("Password for the keyring: ")


class Hanging(Working):
    """Waits for ever, with a child that does the same; both hold a lock on the file `alive`."""

    def get_password(self, service: str, username: str) -> str | None:
        with (_folder() / "alive").open("w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
            waiting = [sys.executable, "-c", "import signal; signal.pause()"]
            with subprocess.Popen(waiting, pass_fds=[alive.fileno()]):
                alive.write("both")
                alive.flush()
                signal.pause()
        return None


class Telling(Working):
    """Answers with what a child process can see of its parent."""

    def get_password(self, service: str, username: str) -> str | None:
        seen = {"environment": dict(os.environ), "command": Path("/proc/self/cmdline").read_text()}
        return json.dumps(seen | {"kept": super().get_password(service, username)})
