"""A real PgBouncer in front of the test's PostgreSQL, on a port of its own on loopback."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from tests.support.mail_fixtures import missing


@contextmanager
def pooler_of(url: str, mode: str, *more: str) -> Iterator[str]:
    """Start it before the server of a database with a Unix socket; yield the URL through it."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    assert program is not None
    target = make_url(url)
    server = Path(str(target.query["host"]))
    port = _free_port()
    settings = (
        "[databases]",
        f"* = host={server} port=5432 user={target.username}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = any",
        f"pool_mode = {mode}",
        *more,
    )
    with tempfile.TemporaryDirectory() as folder:
        # It refuses to run as root, and only the server's own user may enter the folder of its socket.
        owner = server.stat().st_uid if os.geteuid() == 0 else None
        Path(folder).chmod(0o755)
        file = Path(folder, "pgbouncer.ini")
        file.write_text("\n".join(settings))
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            [program, str(file)], stdin=quiet, stdout=quiet, stderr=quiet, user=owner, cwd=folder
        )
        try:
            _wait_for(port, process)
            yield f"postgresql://{target.username}@127.0.0.1:{port}/{target.database}"
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("PgBouncer has ended")
