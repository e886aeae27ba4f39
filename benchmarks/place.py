"""A throw-away workspace, set up with the program's own commands, and servers on loopback to send to."""

import contextlib
import io
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from mailrotate.cli.main import main

if TYPE_CHECKING:
    from benchmarks.postgresql import Server

PASSWORD = "not-a-secret"
_MOST_SECONDS = 300


class Place:
    """A folder with a database and a key; `run` is `mailrotate` on them."""

    def __init__(self, folder: Path, server: "Server | None" = None) -> None:
        self.folder = folder
        self.server = server
        self.database = folder / "bench.db"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MAILROTATE_DB": str(self.database) if server is None else server.make("bench"),
            "MAILROTATE_KEY_FILE": str(folder / "key"),
            "MAILROTATE_PASSWORD": PASSWORD,
        }

    def run(self, *arguments: str) -> str:
        """Run a command in this process, because starting one takes longer than most commands."""
        out, err = io.StringIO(), io.StringIO()
        with (
            as_environment(self.environment),
            contextlib.chdir(self.folder),
            open(os.devnull, encoding="ascii") as nothing,
            patch("sys.stdin", nothing),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main(list(arguments))
            except SystemExit as end:
                if end.code not in (None, 0, 8):
                    raise RuntimeError(
                        f"mailrotate {' '.join(arguments)}: {end.code}\n{err.getvalue()}"
                    ) from None
        return out.getvalue()


@contextmanager
def as_environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def place(server: "Server | None" = None) -> Iterator[Place]:
    """Make a workspace in a SQLite file, or in a database of the server."""
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-bench-"))
    try:
        yield Place(folder, server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def program(name: str) -> str | None:
    """Debian has Postfix's in /usr/sbin, which is missing from the PATH of ordinary users."""
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")


class Sink:
    """A running smtp-sink, which takes every mail and forgets it."""

    def __init__(self, port: int, counter: Path) -> None:
        self.port = port
        self._counter = counter

    def taken(self) -> int:
        """How many messages it has taken so far."""
        found = re.findall(rb"mesg=(\d+)", self._counter.read_bytes()[-200:])
        return int(found[-1]) if found else 0

    @contextmanager
    def expecting(self, count: int) -> Iterator[None]:
        """Wait at the end of the block until the sink has taken `count` more; raises RuntimeError."""
        wanted = self.taken() + count
        yield
        deadline = time.monotonic() + _MOST_SECONDS
        while self.taken() < wanted:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{wanted - self.taken()} of {count} messages have not arrived")
            time.sleep(0.005)
        if self.taken() > wanted:
            raise RuntimeError(f"{self.taken() - wanted} more than {count} messages have arrived")


@contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """Start Postfix's sink; gives its port."""
    with counting_sink(*options) as sink:
        yield sink.port


@contextmanager
def counting_sink(*options: str) -> Iterator[Sink]:
    found = program("smtp-sink")
    if found is None:
        raise SystemExit("smtp-sink is missing: apt-get install postfix")
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    with tempfile.NamedTemporaryFile(prefix="mailrotate-sink-") as counter:
        # -a: our own client takes nothing but 235 for a login, and the sink answers 250.
        # -c: it counts on its standard output.
        sink = subprocess.Popen(
            [found, "-a", "-c", *user, *options, f"127.0.0.1:{port}", "256"], stdout=counter
        )
        try:
            wait_for(port)
            yield Sink(port, Path(counter.name))
        finally:
            sink.terminate()
            sink.wait()


def wait_for(port: int) -> None:
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
