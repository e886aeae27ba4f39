"""An endpoint on loopback that records what is posted to it, and answers as a test says."""

import base64
import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

import pytest

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Posted:
    """One request; the names of its headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> Any:
        return json.loads(self.body)

    def signed_by(self, secret: str) -> bool:
        """Verify as a receiver does, by the specification's words and not by our code."""
        content = b".".join((self.key.encode(), self.headers["webhook-timestamp"].encode(), self.body))
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return f"v1,{wanted}" in self.headers["webhook-signature"].split(" ")


def status(code: int, text: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    return answer


@dataclass
class Receiver:
    """`answers` are used up in turn, the last for ever; a hanging one waits on `ending`."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=lambda: deque([status(204)]))
    ending: threading.Event = field(default_factory=threading.Event)

    def will(self, *answers: Answer) -> None:
        self.answers = deque(answers)

    def types(self) -> list[str]:
        return [one.json()["type"] for one in self.posted]


@contextmanager
def receiving(context: SSLContext | None = None) -> Iterator[Receiver]:
    """A server that tests may ask to misbehave."""
    receiver = Receiver()
    guard = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with guard:
                found = {name.lower(): value for name, value in self.headers.items()}
                receiver.posted.append(Posted(self.path, found, body))
                answer = receiver.answers[0] if len(receiver.answers) == 1 else receiver.answers.popleft()
            try:
                answer(self)
            except OSError:
                # The client has hung up, as it should in some tests.
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        # A client that refuses the certificate is no error of the server's to tell about.
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # only this one
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        scheme = "http" if context is None else "https"
        receiver.url = f"{scheme}://localhost:{server.server_port}/hooks"
        try:
            yield receiver
        finally:
            receiver.ending.set()
            server.shutdown()
            thread.join(10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found
