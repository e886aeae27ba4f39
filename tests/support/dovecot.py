"""A Dovecot of the tests' own on loopback: IMAP in clear and over TLS, and LMTP to deliver by."""

import base64
import grp
import imaplib
import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.tls import TlsAuthority

_CONFIGURATION = """
protocols = imap lmtp
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
default_process_limit = 60
first_valid_uid = 1
first_valid_gid = 1
mail_uid = {mail}
mail_gid = {mail_group}
mail_location = maildir:{folder}/mail/%u
mail_fsync = never
maildir_stat_dirs = yes
mail_max_userip_connections = 0
lmtp_save_to_detail_mailbox = yes
postmaster_address = postmaster@example.org
hostname = mail.example.org
auth_failure_delay = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users/%u
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={folder}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
}}
service anvil {{
  chroot =
  # Else each refused login makes the next one slower.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
# Processes that serve one session after another: else each session starts two programs.
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service imap {{
  service_count = 1000
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """One running server; `add_user` makes a mailbox with the folders INBOX and Sent."""

    def __init__(self, authority: TlsAuthority) -> None:
        # Not below pytest's folder: Dovecot's own user could not get there, and sockets need short names.
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
        self.folder.chmod(0o755)
        self.imap_port, self.imaps_port, self.lmtp_port = _free_ports(3)
        self._users: dict[str, str] = {}
        (self.folder / "users").mkdir(mode=0o755)
        (self.folder / "state").mkdir(mode=0o755)
        (self.folder / "mail").mkdir(mode=0o777)
        (self.folder / "mail").chmod(0o777)
        configuration = self.folder / "dovecot.conf"
        chain, key = authority.certificate_files()
        configuration.write_text(
            _CONFIGURATION.format(
                folder=self.folder,
                chain=chain,
                key=key,
                imap=self.imap_port,
                imaps=self.imaps_port,
                lmtp=self.lmtp_port,
                **_accounts(),
            )
        )
        self._process = subprocess.Popen(
            [_program(), "-F", "-c", configuration], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._await_greeting()

    def add_user(self, address: str, password: str) -> None:
        is_changed = self._users.get(address, password) != password
        self._users[address] = password
        encoded = base64.b64encode(password.encode()).decode()
        # A file for each, because Dovecot looks at most once a second whether a file has changed.
        file = self.folder / "users" / address
        file.write_text(f"{address}:{{PLAIN.b64}}{encoded}\n")
        file.chmod(0o644)
        # Until it looks again, Dovecot takes the old password.
        while is_changed and not self._takes_password(address):
            pass

    def _takes_password(self, address: str) -> bool:
        with imaplib.IMAP4("127.0.0.1", self.imap_port, 30) as client:
            try:
                client.login(address, self._users[address])
            except client.error:
                return False
            return True

    def add_folder(self, address: str, folder: str) -> None:
        self._in_folders(address, lambda client: client.create(f'"{folder}"'))

    def remove_folder(self, address: str, folder: str) -> None:
        self._in_folders(address, lambda client: client.delete(f'"{folder}"'))

    def file(self, address: str, folder: str, raw: bytes) -> None:
        """What somebody, or a rule, puts into a folder."""
        self._in_folders(address, lambda client: client.append(f'"{folder}"', "", "", raw))

    def _in_folders(self, address: str, act: Callable[[imaplib.IMAP4], tuple[str, list[object]]]) -> None:
        with imaplib.IMAP4("127.0.0.1", self.imap_port, 30) as client:
            client.login(address, self._users[address])
            status, said = act(client)
            assert status == "OK", said

    def deliver(self, address: str, raw: bytes) -> None:
        """Into the INBOX, or for name+folder@domain into that folder, as a mail server delivers it."""
        with smtplib.LMTP("127.0.0.1", self.lmtp_port, "localhost", timeout=30) as server:
            server.sendmail("outside@example.com", [address], raw)

    def messages(self, address: str, folder: str = "INBOX") -> list[tuple[frozenset[str], bytes]]:
        """Each message's flags and bytes, in the order of arrival."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, 30) as client:
            client.login(address, self._users[address])
            status, said = client.select(f'"{folder}"', readonly=True)
            if status != "OK":
                raise LookupError(said)
            if said == [b"0"]:
                return []
            _, parts = client.fetch("1:*", "(FLAGS BODY.PEEK[])")
        return [
            (frozenset(flag.decode() for flag in imaplib.ParseFlags(part[0])), part[1])
            for part in parts
            if isinstance(part, tuple)
        ]

    def empty(self, address: str) -> None:
        """Delete every message in the INBOX."""
        with imaplib.IMAP4("127.0.0.1", self.imap_port, 30) as client:
            client.login(address, self._users[address])
            client.select("INBOX")
            client.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")
            client.expunge()

    def forget_uids(self, address: str) -> None:
        """What a restored backup does to a server: the INBOX is numbered anew, with another UIDVALIDITY."""
        home = self.folder / "mail" / address
        for name in ("dovecot-uidlist", "dovecot.index", "dovecot.index.log", "dovecot.index.cache"):
            (home / name).unlink(missing_ok=True)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        shutil.rmtree(self.folder)

    def _await_greeting(self) -> None:
        for _ in range(200):
            try:
                with socket.create_connection(("127.0.0.1", self.imap_port), 5) as connection:
                    if connection.recv(4) == b"* OK":
                        return
            except OSError:
                pass
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        log = self.folder / "log"
        raise RuntimeError(
            f"Dovecot does not start: {log.read_text() if log.exists() else 'it says nothing'}"
        )


def find_dovecot() -> str | None:
    """Debian has it in /usr/sbin, which is missing from the PATH of ordinary users."""
    return shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")


def _program() -> str:
    program = find_dovecot()
    if program is None:
        raise FileNotFoundError("dovecot")
    return program


def _accounts() -> dict[str, str]:
    """As root, the users that Debian's package makes; else all runs as whoever runs the tests."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        group = grp.getgrgid(nobody.pw_gid).gr_name
        return {
            "internal": "dovecot",
            "internal_group": "dovecot",
            "login": "dovenull",
            "mail": "nobody",
            "mail_group": group,
        }
    user = pwd.getpwuid(os.geteuid()).pw_name
    group = grp.getgrgid(os.getegid()).gr_name
    return {"internal": user, "internal_group": group, "login": user, "mail": user, "mail_group": group}


def _free_ports(count: int) -> list[int]:
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return ports
