"""Fetching a document over https from a server on loopback."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext

import pytest

from mailrotate.adapters import autoconfig
from mailrotate.adapters.autoconfig import fetch_autoconfig
from tests.support.tls import TlsAuthority

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def https_server(context: SSLContext | None, answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        # A client that refuses the certificate is no error of the server's to tell about.
        server.handle_error = lambda request, client_address: None  # type: ignore[method-assign]  # only this one
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"{'http' if context is None else 'https'}://localhost:{server.server_port}/config.xml"
        finally:
            server.shutdown()
            thread.join(10)


def sends(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_b1_a_document_is_fetched_whole(authority: TlsAuthority) -> None:
    with https_server(authority.server_context(), sends(b"<xml/>" * 1000)) as url:
        assert fetch_autoconfig(url) == b"<xml/>" * 1000


@pytest.mark.parametrize("status", [404, 410, 500])
def test_b1_where_there_is_nothing_nothing_is_found(status: int, authority: TlsAuthority) -> None:
    with https_server(authority.server_context(), sends(b"sorry", status)) as url:
        assert fetch_autoconfig(url) is None


def test_i2_a_document_is_not_believed_without_a_trusted_certificate(authority: TlsAuthority) -> None:
    for context in (authority.server_context("other.example.org"), authority.expired_context(), None):
        with https_server(context, sends(b"<xml/>")) as url:
            assert fetch_autoconfig(url) is None
            assert fetch_autoconfig(url.replace("http:", "https:")) is None


def test_i2_nobody_leads_us_away_from_https(authority: TlsAuthority) -> None:
    with (
        https_server(None, sends(b"<plain/>")) as plain,
        https_server(authority.server_context(), sends(b"", 302, Location=plain)) as url,
    ):
        assert fetch_autoconfig(url) is None
    with (
        https_server(authority.server_context(), sends(b"<xml/>")) as target,
        https_server(authority.server_context(), sends(b"", 302, Location=target)) as url,
    ):
        assert fetch_autoconfig(url) == b"<xml/>"


def test_b1_a_document_of_any_size_is_not_read_to_its_end(authority: TlsAuthority) -> None:
    with https_server(authority.server_context(), sends(b"x" * 65_537)) as url:
        assert fetch_autoconfig(url) is None


def test_b1_a_slow_server_is_waited_for_only_so_long(
    authority: TlsAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoconfig, "_SECONDS_IN_ALL", 0.2)
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not over.wait(0.02):
            handler.wfile.write(b"x")

    with https_server(authority.server_context(), drip) as url:
        assert fetch_autoconfig(url) is None
        over.set()


def test_b1_nobody_there_is_no_error(authority: TlsAuthority) -> None:
    with https_server(authority.server_context(), sends(b"")) as url:
        pass
    assert fetch_autoconfig(url) is None
    assert fetch_autoconfig("https://nowhere.invalid/config.xml") is None
