"""The guard itself: no test reaches beyond loopback."""

import socket

import pytest

from tests.support.network_guard import ReachedOut


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_no_test_connects_elsewhere(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as one, pytest.raises(ReachedOut):
        one.connect(("192.0.2.1", 9))
    with socket.socket(socket.AF_INET, kind) as one, pytest.raises(ReachedOut):
        one.connect_ex(("192.0.2.1", 9))


def test_no_test_sends_a_datagram_elsewhere() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, pytest.raises(ReachedOut):
        one.sendto(b"x", ("192.0.2.1", 53))


def test_no_test_asks_the_dns() -> None:
    with pytest.raises(ReachedOut):
        socket.getaddrinfo("example.org", 25)
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nowhere.invalid", 25)


def test_loopback_and_files_are_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 5).close()
    assert socket.getaddrinfo("localhost", 25)
    left, right = socket.socketpair()
    left.close()
    right.close()
