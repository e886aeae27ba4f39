"""Posting to endpoints on loopback that behave, and to others (C10)."""

import socket
import time
from http.server import BaseHTTPRequestHandler

import pytest

from mailrotate.adapters import webhook_poster
from mailrotate.adapters.webhook_poster import HttpPoster
from mailrotate.core.values.webhook import WebhookAnswer, WebhookTrouble
from tests.support.tls import TlsAuthority
from tests.support.webhook_server import Answer, Receiver, receiving, status

HEADERS = {"webhook-id": "msg_1"}


def post(url: str, seconds: float = 5) -> WebhookAnswer:
    return HttpPoster(seconds).post(url, HEADERS, b'{"type": "x"}')


def trouble(url: str, seconds: float = 5) -> str:
    with pytest.raises(WebhookTrouble) as raised:
        post(url, seconds)
    return str(raised.value)


def raw(content: bytes) -> Answer:
    return lambda handler: (handler.wfile.write(content), handler.wfile.flush(), None)[-1]


def test_c10_a_post_carries_its_headers_and_body_as_they_are(receiver: Receiver) -> None:
    receiver.will(status(202, b"thank\tyou\n"))
    assert post(f"{receiver.url}/a?b=c%20d") == WebhookAnswer(202, "thank you")
    (posted,) = receiver.posted
    assert (posted.path, posted.body, posted.key) == ("/hooks/a?b=c%20d", b'{"type": "x"}', "msg_1")
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["host"] == receiver.url.split("/")[2]


def test_c10_over_tls_the_certificate_is_verified(authority: TlsAuthority) -> None:
    with receiving(authority.server_context()) as secured:
        assert post(secured.url).status == 204


@pytest.mark.parametrize("kind", ["expired", "another name", "unknown authority"])
def test_c10_a_certificate_that_is_not_trusted_ends_it_before_anything_is_said(
    kind: str, authority: TlsAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    context = {
        "expired": authority.expired_context,
        "another name": lambda: authority.server_context("example.org"),
        "unknown authority": TlsAuthority(tmp_path_factory.mktemp("other")).server_context,
    }[kind]()
    with receiving(context) as secured:
        assert "certificate of localhost is not trusted" in trouble(secured.url)
        assert secured.posted == []


def test_c10_a_redirect_is_an_answer_and_not_a_way(receiver: Receiver) -> None:
    with receiving() as other:
        receiver.will(status(307, Location=other.url))
        assert post(receiver.url).status == 307
        assert other.posted == []


def hangs(receiver: Receiver) -> Answer:
    return lambda handler: (receiver.ending.wait(20), None)[-1]


def drips(receiver: Receiver) -> Answer:
    """A byte each 50 ms, so that no single read ever times out."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not receiver.ending.wait(0.05):
            handler.wfile.write(b"x")

    return answer


@pytest.mark.parametrize("slow", [hangs, drips])
def test_c10_an_endpoint_that_is_too_slow_is_left(slow: object, receiver: Receiver) -> None:
    assert callable(slow)
    receiver.will(slow(receiver))
    began = time.monotonic()
    assert trouble(receiver.url, 0.5) == "no answer within 0.5 s"
    assert time.monotonic() - began < 3


def test_c10_a_status_counts_although_the_text_behind_it_never_ends(receiver: Receiver) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not receiver.ending.is_set():
            handler.wfile.write(b"x" * 65536)

    receiver.will(endless)
    answer = post(receiver.url)
    assert (answer.status, len(answer.text)) == (200, 200)


def test_c10_a_status_counts_although_its_text_does_not_come(receiver: Receiver) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        receiver.ending.wait(20)

    receiver.will(silent)
    assert post(receiver.url, 0.5) == WebhookAnswer(200)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Remote end closed connection without response"),
        (b"220 mail.example.org ESMTP\r\n", "220 mail.example.org ESMTP"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "got more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "got more than 65536 bytes when reading header line"),
    ],
)
def test_c10_an_answer_that_is_none_is_trouble(receiver: Receiver, content: bytes, said: str) -> None:
    receiver.will(raw(content))
    assert trouble(receiver.url) == said


def test_c10_words_of_an_endpoint_cannot_steer_a_terminal(receiver: Receiver) -> None:
    receiver.will(status(500, b"bad\x1b[31m\r\nday \xff"))
    assert post(receiver.url).text == "bad?[31m day �"


def test_c10_nobody_listening_is_trouble() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert trouble(f"http://127.0.0.1:{free.getsockname()[1]}/") == "Connection refused"


def test_c10_without_tls_only_this_machine_is_reached_whatever_localhost_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def elsewhere(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(webhook_poster.socket, "getaddrinfo", elsewhere)
    assert trouble("http://localhost/") == "localhost is not this machine; use https"
