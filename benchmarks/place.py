"""A throw-away workspace, set up with the program's own commands, and servers on loopback to send to."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "not-a-secret"


class Place:
    """A folder with a database and a key; `run` is `mailrotate` on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "bench.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MAILROTATE_DB": str(self.database),
            "MAILROTATE_KEY_FILE": str(folder / "key"),
            "MAILROTATE_PASSWORD": PASSWORD,
        }

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mailrotate", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode not in (0, 8):
            raise RuntimeError(f"mailrotate {' '.join(arguments)}: {done.returncode}\n{done.stderr}")
        return done.stdout


@contextmanager
def place() -> Iterator[Place]:
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-bench-"))
    try:
        yield Place(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Postfix's sink: takes every mail and forgets it. Gives its port."""
    program = shutil.which("smtp-sink", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise SystemExit("smtp-sink is missing: apt-get install postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    # -a: our own client takes nothing but 235 for a login, and the sink answers 250.
    sink = subprocess.Popen([program, "-a", *user, *options, f"127.0.0.1:{port}", "256"])
    try:
        _wait_for(port)
        yield port
    finally:
        sink.terminate()
        sink.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
