"""`mailrotate demo`: the main job on a sandbox and a throw-away workspace, by the commands that people type.

Each command is a process of its own, as it is for a person. Every figure of the closing table is read from
the recipients' own mailboxes by IMAP, and compared with what was promised.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import Speech
from mailrotate.cli.sandbox import INCLUDED_SLOTS
from mailrotate.core.values.errors import MailrotateError
from mailrotate.core.values.hint import Command, Shell

if TYPE_CHECKING:
    from mailrotate.sandbox.person import ReceivedMail
    from mailrotate.sandbox.server import SandboxInfo

_CAMPAIGN = "autumn-intro"
_PEOPLE = ("Ada", "Bea", "Cem", "Dan", "Eva", "Finn", "Gil", "Hana", "Ines", "Jon", "Kim", "Lea")
_ANSWERS = "Cem"
_CAMPAIGN_TOML = f"""\
name = "{_CAMPAIGN}"
window = {{ days = "mon-sun", hours = "00:00-24:00" }}
[[steps]]
subject = "A question about {{{{ company }}}}"
body = "intro.md"
[[steps]]
delay = "3s"       # weeks in real use; no subject: a reply in the same thread
body = "bump.md"
"""
_INTRO = "Hello {{ first_name }}, who looks after mail at {{ company }}?\n"
_BUMP = "Hello {{ first_name }}, did my question reach you?\n"
_SETTINGS = {
    "MAILROTATE_CONFIG": "config.toml",
    "MAILROTATE_DB": "demo.db",
    "MAILROTATE_KEY_FILE": "demo.key",
}
# The second step's delay, and a second because instants are rounded up to whole ones.
_WAIT_SECONDS = 4


def demo(
    ctx: typer.Context,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the files and the workspace.")] = False,
) -> None:
    """Show the main job in less than a minute: three mailboxes, twelve people, two steps, one answer.

    It needs the extra `sandbox`, touches no workspace of yours, and no mail leaves this machine.

    Examples:

      mailrotate demo

      mailrotate demo --keep
    """
    from mailrotate.sandbox.server import Sandbox

    speech = Speech()
    # So that a polite end cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Sandbox() as sandbox, _folder(keep, speech) as folder:
        own = call_of(ctx).app.settings.environment
        others = {name: value for name, value in own.items() if not name.startswith("MAILROTATE_")}
        stage = _Stage(folder, {**others, **_SETTINGS}, speech)
        speech.line(
            f"A mail server runs for as long as this demo. {len(_PEOPLE)} people have mailboxes there, and"
        )
        speech.line("so have anna, ben and clara, who write to them. Below each command is what it prints.")
        speech.line()
        _connect(stage, sandbox.info)
        _start_campaign(stage, sandbox.info)
        _run(stage, sandbox.info)
        _show(speech, sandbox.info)
    # From `make demo` it is in no PATH yet: then it is the path it was started by that can be typed.
    typed = "mailrotate" if shutil.which("mailrotate", path=own.get("PATH")) else sys.argv[0]
    for command in ("sandbox", "mailbox connect YOU@YOUR-DOMAIN", "--help"):
        speech.line(f"next: {typed} {command}")


@contextmanager
def _folder(keep: bool, speech: Speech) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="mailrotate-demo-"))
    try:
        (folder / "campaign.toml").write_text(_CAMPAIGN_TOML)
        (folder / "intro.md").write_text(_INTRO)
        (folder / "bump.md").write_text(_BUMP)
        (folder / "config.toml").touch()
        rows = (f"{_address(name)},{name},{name}'s Works\n" for name in _PEOPLE)
        (folder / "people.csv").write_text("email,first_name,company\n" + "".join(rows))
        yield folder
    finally:
        if keep:
            speech.line(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def _address(name: str) -> str:
    return f"{name.lower()}@works.example.com"


@dataclass(frozen=True)
class _Stage:
    """Where commands are typed: a folder, its settings, and the screen."""

    folder: Path
    environment: Mapping[str, str]
    speech: Speech

    def type(self, *arguments: str) -> None:
        """Echo and run one command, and show what it says. Raises MailrotateError when it fails."""
        self.speech.line(f"$ {in_words(Command(*arguments))}")
        sys.stdout.flush()
        ran = subprocess.run(
            [sys.executable, "-m", "mailrotate", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        # Standard error tells how the work goes on, at more length than a minute has room for.
        for line in (ran.stdout + ran.stderr if ran.returncode else ran.stdout).splitlines():
            self.speech.line(line)
        if ran.returncode:
            raise _not_as_promised([f"the command above ended with status {ran.returncode}"])

    def show(self, *files: str) -> None:
        self.speech.line(f"$ {in_words(Shell('cat', *files))}")
        for file in files:
            self.speech.line((self.folder / file).read_text().rstrip("\n"))


def _connect(stage: _Stage, info: "SandboxInfo") -> None:
    (stage.folder / "password").write_text(info.password + "\n")
    settings = " ".join(f"{name}={value}" for name, value in _SETTINGS.items())
    stage.speech.line(f"$ cd {stage.folder}; export {settings}")
    smtp, imap = (f"{server.host}:{server.port}" for server in (info.smtp, info.imap))
    for number, address in enumerate(info.senders):
        if number == INCLUDED_SLOTS:
            stage.type("slot", "add", "--for", info.senders[0])
        stage.type(
            "mailbox", "connect", address, "--smtp", smtp, "--imap", imap, "--security", "none",
            "--password-file", "password", "--gap", "0s",
        )  # fmt: skip


def _start_campaign(stage: _Stage, info: "SandboxInfo") -> None:
    stage.speech.line()
    stage.show("campaign.toml")
    stage.show("intro.md", "bump.md")
    stage.type("campaign", "create", "campaign.toml")
    stage.type("recipient", "import", _CAMPAIGN, "people.csv")
    senders = [word for address in info.senders for word in ("--from", address)]
    stage.type("campaign", "start", _CAMPAIGN, *senders)


def _run(stage: _Stage, info: "SandboxInfo") -> None:
    """As cron would: again and again."""
    from mailrotate.sandbox import person

    stage.speech.line()
    stage.type("run", "--once")
    person.answer(info, _address(_ANSWERS), "That is me. Call me on Monday?")
    stage.speech.line(f"  ({_ANSWERS} answers by mail; {_WAIT_SECONDS} s pass)")
    sys.stdout.flush()
    time.sleep(_WAIT_SECONDS)
    stage.type("run", "--once")
    stage.type("run", "--once")


def _show(speech: Speech, info: "SandboxInfo") -> None:
    """The table, and whether it is what was promised. Raises MailrotateError where it is not."""
    from mailrotate.sandbox.person import read_mailbox

    received = {name: read_mailbox(info, _address(name)) for name in _PEOPLE}
    answered = {
        mail.from_address
        for sender in info.senders
        for mail in read_mailbox(info, sender)
        if mail.in_reply_to
    }
    speech.line()
    speech.line("The mail of the twelve people, read from their mailboxes over IMAP:")
    speech.table(
        ("person", "first message from", "follow-up from", "in its thread", "answered"),
        (_row(name, mails, _address(name) in answered) for name, mails in received.items()),
    )
    problems = _broken_promises(received, answered, info.senders)
    if problems:
        raise _not_as_promised(problems)
    speech.line()
    share = len(_PEOPLE) // len(info.senders)
    speech.line(f"{len(_PEOPLE)} people, {share} to each mailbox; {_ANSWERS} answered and got no follow-up;")
    speech.line("every follow-up came from the mailbox of the first message and replies to it.")


def _row(name: str, mails: Sequence["ReceivedMail"], has_answered: bool) -> tuple[object, ...]:
    first, follow_up = (*mails, None, None)[:2]
    return (
        name,
        first and _name(first.from_address),
        follow_up and _name(follow_up.from_address),
        first and follow_up and follow_up.in_reply_to == first.message_id,
        has_answered or None,
    )


def _name(address: str) -> str:
    return address.partition("@")[0]


def _broken_promises(
    received: Mapping[str, Sequence["ReceivedMail"]], answered: set[str], senders: Sequence[str]
) -> list[str]:
    problems = []
    if answered != {_address(_ANSWERS)}:
        problems.append(f"only {_ANSWERS} should have answered, and: {', '.join(sorted(answered)) or 'none'}")
    for name, mails in received.items():
        wanted = 1 if name == _ANSWERS else 2
        if len(mails) != wanted:
            problems.append(f"{name} should have {wanted} mails and has {len(mails)}")
            continue
        for follow_up in mails[1:]:
            if follow_up.from_address != mails[0].from_address:
                problems.append(f"{name}'s follow-up came from another mailbox")
            if follow_up.in_reply_to != mails[0].message_id:
                problems.append(f"{name}'s follow-up is not in the thread of the first message")
    firsts = Counter(mails[0].from_address for mails in received.values() if mails)
    share = len(received) // len(senders)
    problems += [
        f"{sender} should have written to {share} people and wrote to {firsts[sender]}"
        for sender in senders
        if firsts[sender] != share
    ]
    return problems


def _not_as_promised(problems: Sequence[str]) -> MailrotateError:
    return MailrotateError("demo.not_as_promised", "; ".join(problems), Command("demo", "--keep"))
