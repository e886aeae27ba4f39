"""A Postfix with its own configuration and queue, that accepts mail on loopback and relays it to a sink."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.place import free_port, program, wait_for

_SESSIONS = 10
# As Debian ships them, but not in a chroot, for which Debian's own start script copies files.
_SERVICES = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60 1 pickup
cleanup   unix n - n - 0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n - - trivial-rewrite
bounce    unix - - n - 0 bounce
defer     unix - - n - 0 bounce
trace     unix - - n - 0 bounce
verify    unix - - n - 1 verify
flush     unix n - n 1000? 0 flush
proxymap  unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix - - n - - smtp
relay     unix - - n - - smtp
showq     unix n - n - - showq
error     unix - - n - - error
retry     unix - - n - - error
discard   unix - - n - - discard
local     unix - n n - - local
virtual   unix - n n - - virtual
lmtp      unix - - n - - lmtp
anvil     unix - - n - 1 anvil
scache    unix - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""
_SETTINGS = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file_prefixes = {folder}
maillog_file = {folder}/mail.log
myhostname = bench.example.org
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{sink_port}
"""


def why_not() -> str | None:
    """What is missing for `relaying`; None if nothing is."""
    if program("postfix") is None or program("smtp-source") is None:
        return "Postfix is missing: apt-get install postfix"
    return None if os.getuid() == 0 else "only root can start Postfix"


class Postfix:
    """One running instance."""

    def __init__(self, port: int) -> None:
        self._port = port

    def feed(self, count: int, length: int) -> None:
        """Hand in messages of `length` bytes in ten sessions; return when all are accepted."""
        source = [program("smtp-source") or "", "-s", str(_SESSIONS), "-m", str(count), "-l", str(length)]
        # -d: the sessions stay, like those of the others; one for each message takes half as long again.
        addresses = ["-d", "-f", "sender0@example.org", "-t", "person@firm.example.com"]
        subprocess.run([*source, *addresses, f"127.0.0.1:{self._port}"], check=True)


@contextmanager
def relaying(sink_port: int) -> Iterator[Postfix]:
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-postfix-"))
    settings, port = folder / "etc", free_port()
    # Its processes run as a user of their own and go through this folder.
    folder.chmod(0o755)
    for name in ("etc", "queue", "data"):
        (folder / name).mkdir()
    os.chown(folder / "data", pwd.getpwnam("postfix").pw_uid, -1)
    settings.joinpath("main.cf").write_text(_SETTINGS.format(folder=folder, sink_port=sink_port))
    settings.joinpath("master.cf").write_text(_SERVICES.format(port=port))
    command = [program("postfix") or "", "-c", str(settings)]
    subprocess.run([*command, "start"], check=True, capture_output=True)
    try:
        wait_for(port)
        yield Postfix(port)
    finally:
        subprocess.run([*command, "stop"], check=True, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)
