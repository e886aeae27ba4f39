"""Asking a name server on loopback for mail exchangers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from mailrotate.adapters import dns as questions
from mailrotate.adapters.dns import mail_exchangers


@contextmanager
def name_server(answer: Callable[[dns.message.Message], bytes | None]) -> Iterator[dns.resolver.Resolver]:
    """A resolver that knows only the server which answers so; None answers nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (received := server.recvfrom(4096))[0] != b"stop":
                reply = answer(dns.message.from_wire(received[0]))
                if reply is not None:
                    server.sendto(reply, received[1])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = server.getsockname()[1]
        try:
            yield resolver
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", server.getsockname())
            thread.join(10)


def records(
    *texts: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> Callable[[dns.message.Message], bytes]:
    def answer(query: dns.message.Message) -> bytes:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        if texts:
            reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "MX", *texts))
        return bytes(reply.to_wire())

    return answer


def test_b1_exchangers_come_with_the_preferred_first() -> None:
    with name_server(records("20 b.example.", "10 a.example.", "30 c.example.")) as resolver:
        assert mail_exchangers("firm.example", resolver) == ["a.example", "b.example", "c.example"]


@pytest.mark.parametrize(
    "answer",
    [records("0 ."), records(), records(rcode=dns.rcode.NXDOMAIN), records(rcode=dns.rcode.SERVFAIL)],
    ids=["null MX", "no record", "no domain", "server failure"],
)
def test_b1_a_domain_without_exchangers_has_none(answer: Callable[[dns.message.Message], bytes]) -> None:
    with name_server(answer) as resolver:
        assert mail_exchangers("firm.example", resolver) == []


def test_b1_a_silent_name_server_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_SECONDS", 0.3)
    with name_server(lambda query: None) as resolver:
        assert mail_exchangers("firm.example", resolver) == []


def test_b1_what_is_no_domain_has_no_exchangers() -> None:
    with name_server(records("10 a.example.")) as resolver:
        assert mail_exchangers("a" * 64 + ".example", resolver) == []
