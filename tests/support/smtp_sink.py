"""Postfix's smtp-sink: a fast server that takes everything and writes each message to a file."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


class SmtpSink:
    """One running process on loopback, which asks for neither TLS nor a login."""

    def __init__(self) -> None:
        # Not below pytest's folder, where smtp-sink's own user could not write.
        self.folder = Path(tempfile.mkdtemp(prefix="smtp-sink-"))
        self.folder.chmod(0o777)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        program = find_smtp_sink()
        if program is None:
            raise FileNotFoundError("smtp-sink")
        # It refuses to run as root. Without -a it offers a login and answers it with 250 instead of 235.
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [program, *user, "-a", "-d", f"{self.folder}/message.", f"127.0.0.1:{self.port}", "100"]
        )
        self._await_greeting()

    def messages(self) -> list[bytes]:
        """What was taken, in no certain order; smtp-sink puts lines of its own before each message."""
        return [file.read_bytes() for file in self.folder.iterdir()]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)

    def _await_greeting(self) -> None:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                    if connection.recv(3) == b"220":
                        connection.sendall(b"QUIT\r\n")
                        return
            except OSError:
                pass
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        self.stop()
        raise RuntimeError("smtp-sink does not start")


def find_smtp_sink() -> str | None:
    """Debian has it in /usr/sbin, which is missing from the PATH of ordinary users."""
    return shutil.which("smtp-sink") or shutil.which("smtp-sink", path="/usr/sbin:/usr/local/sbin")
