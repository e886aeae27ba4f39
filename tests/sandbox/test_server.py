"""A sandbox starts, says where it is, stops at once and leaves nothing behind."""

import gc
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict

import pytest
from imap_tools import MailboxLoginError

from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, Busy
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.sandbox.clients import letter, opened, send

PIA = "pia@firm.example.com"


def test_its_whereabouts_are_json_and_its_password_is_not_in_the_repr(info: SandboxInfo) -> None:
    said = json.loads(json.dumps(asdict(info)))
    assert said["smtp"] == {"host": "127.0.0.1", "port": info.smtp.port, "security": "none"}
    assert said["imap"] == {"host": "127.0.0.1", "port": info.imap.port, "security": "none"}
    assert said["senders"] == [
        "anna@sandbox.example.org",
        "ben@sandbox.example.org",
        "clara@sandbox.example.org",
    ]
    assert said["password"] == info.password
    assert info.password not in repr(info)


def test_the_addresses_are_ones_that_mailrotate_accepts() -> None:
    with Sandbox(domain="Mail.Example.NET") as sandbox:
        assert [normalise_address(sender) for sender in sandbox.info.senders] == list(sandbox.info.senders)
        assert sandbox.info.senders[0] == "anna@mail.example.net"
    with pytest.raises(BadInput) as refusal:
        Sandbox(domain="sandbox.test")
    assert refusal.value.code == "address.invalid"


def test_each_start_has_a_password_of_its_own_unless_one_is_given() -> None:
    generated = Sandbox()
    passwords = [generated.start().password]
    generated.stop()
    passwords.append(generated.start().password)
    generated.stop()
    assert len(set(passwords)) == 2
    with Sandbox(password="a 'quoted' one") as sandbox:
        assert sandbox.info.password == "a 'quoted' one"
        send(sandbox.info, PIA, letter("<1@example.org>"))
        with opened(sandbox.info, PIA):
            pass


def test_a_restart_takes_the_same_ports_and_has_forgotten_all_mail() -> None:
    with Sandbox() as first:
        before = first.info
        send(before, PIA, letter("<1@example.org>"))
    again = Sandbox(smtp_port=before.smtp.port, imap_port=before.imap.port, password=before.password)
    with again, pytest.raises(MailboxLoginError), opened(before, PIA):
        pass
    with pytest.raises(RuntimeError):
        _ = again.info
    again.stop()


@pytest.mark.parametrize("taken", ["smtp_port", "imap_port"])
def test_a_taken_port_is_named_and_the_other_one_is_given_back(info: SandboxInfo, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free = probe.getsockname()[1]
    ports = {"smtp_port": free, "imap_port": free, taken: info.smtp.port}
    with pytest.raises(Busy) as refusal:
        Sandbox(**ports).start()
    assert refusal.value.code == "sandbox.port_taken"
    assert f"127.0.0.1:{info.smtp.port}" in refusal.value.message
    gc.collect()
    socket.create_server(("127.0.0.1", free)).close()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "localhost", "", "::"])
def test_only_loopback_is_listened_on(host: str) -> None:
    """I2: credentials in clear are for loopback alone."""
    with pytest.raises(BadInput) as refusal:
        Sandbox(host=host)
    assert refusal.value.code == "sandbox.not_loopback"


def test_stopping_hangs_up_on_every_client_wherever_it_is() -> None:
    """Unclosed sockets and transports would be ResourceWarnings, which are errors here."""
    sandbox = Sandbox()
    info = sandbox.start()
    send(info, PIA, *(letter(f"<{n}@example.org>", body="x" * 900) for n in range(300)))
    clients = []

    def client(port: int, *lines: bytes) -> None:
        clients.append(connection := socket.create_connection(("127.0.0.1", port), timeout=30))
        assert connection.recv(200)
        for line in lines:
            connection.sendall(line)
            assert connection.recv(200)

    client(info.smtp.port)
    client(info.smtp.port, b"EHLO me\r\n", b"AUTH LOGIN\r\n")
    client(info.imap.port)
    client(info.imap.port, b"1 LOGIN {4}\r\n")
    # This one never reads what it asked for, which is more than any buffer between holds.
    login = f"1 LOGIN {PIA} {info.password}\r\n".encode()
    client(info.imap.port, login, b"2 SELECT INBOX\r\n", b"3 FETCH 1:* BODY[]\r\n" * 10)
    # And these go, or have not been greeted yet, as it stops.
    socket.create_connection(("127.0.0.1", info.smtp.port)).close()
    clients += [socket.create_connection(("127.0.0.1", info.imap.port), timeout=30) for _ in range(3)]
    sandbox.stop()
    for connection in clients:
        try:
            while connection.recv(1 << 20):
                pass
        except ConnectionResetError:
            pass
        connection.close()
    gc.collect()
    assert "sandbox" not in [thread.name for thread in threading.enumerate()]


def test_nothing_is_logged_of_what_clients_say(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Sandbox() as sandbox:
        send(sandbox.info, PIA, letter("<1@example.org>"))
        with opened(sandbox.info, PIA) as mailbox:
            mailbox.folder.set("INBOX")
        secret = sandbox.info.password
    assert secret not in caplog.text
    assert {record.name for record in caplog.records} <= {"asyncio"}


FOREGROUND = """
import signal, sys
from mailrotate.sandbox.server import Sandbox
with Sandbox() as sandbox:
    def tell():
        print(sandbox.info.smtp.port, flush=True)
    sandbox.serve_until(signal.SIGINT, signal.SIGTERM, ready=tell)
print("stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_foreground_at_once_and_in_silence(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", FOREGROUND],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        assert client.recv(200).startswith(b"220 ")
        process.send_signal(number)
        said, complained = process.communicate(timeout=30)
    assert (process.returncode, said, complained) == (0, "stopped\n", "")


@pytest.mark.parametrize("package", ["aiosmtpd", "pymap"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(package: str) -> None:
    script = f"""
import sys
sys.modules[{package!r}] = None
from mailrotate.core.values.errors import BadInput
from mailrotate.sandbox.server import Sandbox
try:
    Sandbox().start()
except BadInput as refusal:
    print(refusal.code, refusal.hint, {package!r} in refusal.message, sep="|")
"""
    ran = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert ran.stdout == "sandbox.missing_extra|pip install 'mailrotate[sandbox]'|True\n", ran.stderr


def test_naming_a_sandbox_imports_neither_server() -> None:
    script = "import sys, mailrotate.sandbox.server, mailrotate.sandbox.person; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert {"pymap", "aiosmtpd", "imap_tools"}.isdisjoint(ran.stdout.split())
