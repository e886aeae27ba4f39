"""An IMAP server on loopback for what a well-behaved one never does; each command's answer is given by name.

    ScriptedImap({"LOGIN": "NO [ALERT] too many connections"})

An answer is what stands after the tag; lines before it, each with `* `, are sent untagged. None hangs,
an empty text closes the connection.
"""

import contextlib
import socket
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_USUAL = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1 UIDPLUS\r\nOK done",
    "LOGIN": "OK welcome",
    "LOGOUT": "* BYE bye\r\nOK done",
    "LIST": '* LIST () "/" INBOX\r\nOK done',
    "EXAMINE": "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] fine\r\n* OK [UIDNEXT 13] next\r\nOK [READ-ONLY] done",
    "STATUS": "* STATUS INBOX (UIDVALIDITY 7 UIDNEXT 13)\r\nOK done",
    "UID SEARCH": "* SEARCH 11 12\r\nOK done",
    "UID FETCH": "OK done",
}


class ScriptedImap:
    """Serves one connection after the other; `commands` are the lines without their tags."""

    def __init__(
        self, script: Mapping[str, str | None] | None = None, greeting: str | None = "* OK ready"
    ) -> None:
        self.commands: list[str] = []
        self._answers: dict[str, str | None] = {**_USUAL, **(script or {})}
        self._greeting = greeting
        self._stopping = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        # Of each accepted connection: else an answer waits 40 ms for the acknowledgement of the one before.
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        if self._greeting is None:
            self._stopping.wait()
            return
        connection.sendall(f"{self._greeting}\r\n".encode())
        with connection.makefile("r", encoding="latin-1", newline="\r\n") as lines:
            for line in lines:
                tag, _, command = line.strip().partition(" ")
                self.commands.append(command)
                words = command.upper().split()
                verb = " ".join(words[:2]) if words[0] == "UID" else words[0]
                answer = self._answers.get(verb, "BAD what?")
                if answer is None:
                    self._stopping.wait()
                if not answer:
                    return
                untagged, _, status = answer.rpartition("\r\n")
                before = f"{untagged}\r\n" if untagged else ""
                connection.sendall(f"{before}{tag} {status}\r\n".encode())
