"""Do the commands that people copy from us still work? Run as `make examples`.

- README.md: each `$ ` line of a ```console block is run, in order, by one shell in an empty home beside a
  copy of examples/, and must end with status 0. `mailrotate sandbox` stays up in the background; a command
  that only a person ends is interrupted after a few seconds. A block right below `<!-- not run: REASON -->`
  is only read, and so are ```sh blocks.
- The examples in every command's `--help` (each command needs one), on the other pages and in examples/ are
  read: the command must exist, and its own help must list each option used.
- A `make` line must name a target.

The last lines say how many of each were checked.
"""
# ruff: noqa: T201  it is a script, printing is how it speaks

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from command_help import BIN, PROGRAM, command_at, joined, reading_problem, walk, without_prompt

ROOT = Path(__file__).resolve().parent.parent
# What the README may have our shell do; any other line (git, crontab, sudo …) is listed as not run.
RUNNABLE = {PROGRAM, "export", "cd", "mkdir", "cp", "cat", "echo", "printf", "chmod"}
END = "--end-of-line--"


@dataclass(frozen=True)
class Example:
    """One command line, where it stands, and whether it is to be run."""

    where: str
    line: str
    run: bool = False


class Shell:
    """One bash in a throw-away home that is told one line after the other."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # As little as a new user has: no key, no database and no settings of whoever runs the check.
        environment = {
            "HOME": str(home),
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "NO_COLOR": "1",
        }
        self.process = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=home,
            env=environment,
            start_new_session=True,
        )

    def run(self, line: str) -> tuple[int, str]:
        """The line's exit status and what it printed. Standard input is empty, as under cron."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{{ {line}\n}} </dev/null\nprintf '\\n{END} %s\\n' $?\n")
        stdin.flush()
        output = ""
        for text in stdout:
            if text.startswith(END):
                return int(text.split()[1]), output.rstrip()
            output += text
        return 1, f"{output}(the shell ended)"

    def start(self, line: str) -> tuple[int, str]:
        """Run in the background; returns when what it prints has come to rest, 1 if it ended by then."""
        log = self.home / ".background"
        self.run(f"{line} >{log} 2>&1 & background=$!")
        before, deadline = 0, time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(1)
            size = log.stat().st_size if log.exists() else 0
            if size and size == before:
                break
            before = size
        ended, _ = self.run('kill -0 "$background"')
        return ended, log.read_text(encoding="utf-8", errors="replace").rstrip()

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)


class Check:
    """The examples seen so far, counted, and what is wrong with them."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []

    def fail(self, where: str, problem: str) -> None:
        self.problems.append(f"{where}: {problem}")

    def read(self, example: Example) -> None:
        self.counts["examples read"] += 1
        if problem := reading_problem(example.line):
            self.fail(example.where, f"{problem}, in: {example.line}")

    def run(self, example: Example, shell: Shell) -> None:
        line = example.line
        print(f"$ {line}", flush=True)
        if re.match(rf"{PROGRAM} sandbox( -|$)", line):
            status, output = shell.start(line)
        elif never_ends(line):
            status, output = shell.run(f"timeout --kill-after=20 5 {line}")
            status = 0 if status == 124 else status  # what `timeout` says after its SIGTERM
        else:
            status, output = shell.run(f"timeout 120 {line}" if line.startswith(f"{PROGRAM} ") else line)
        print("".join(f"    {text}\n" for text in output.splitlines()), end="", flush=True)
        self.counts["README lines run"] += 1
        if status:
            self.fail(example.where, f"status {status} from: {line}")

    def make(self, example: Example) -> None:
        targets = example.line.partition("#")[0].split()[1:]
        asked = subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, capture_output=True, text=True)
        self.counts["make lines checked"] += 1
        if asked.returncode:
            self.fail(example.where, asked.stderr.strip())


def never_ends(line: str) -> bool:
    """Whether only a person ends it."""
    words = set(line.split())
    return "--follow" in words or (line.split()[1:2] == ["run"] and not words & {"--once", "--for", "--help"})


def examples_in_markdown(page: Path) -> Iterator[Example]:
    """The commands of its ```console blocks (those after `$ `) and ```sh blocks."""
    block = re.compile(
        r"(?P<not_run><!-- *not run:[^\n]*-->\s*)?^```(?P<kind>console|sh)\n(?P<body>.*?)^```",
        re.DOTALL | re.MULTILINE,
    )
    text = page.read_text(encoding="utf-8")
    for found in block.finditer(text):
        number = text.count("\n", 0, found.start("body")) + 1
        console = found["kind"] == "console"
        for line in joined(found["body"].splitlines()):
            command = without_prompt(line)
            if command and not command.startswith("#") and (line.startswith("$ ") or not console):
                where = f"{page.relative_to(ROOT)}, block at line {number}"
                yield Example(where, command, run=console and not found["not_run"])


def examples_in_units() -> Iterator[Example]:
    """What our cron lines and systemd units call."""
    for file in sorted(path for path in (ROOT / "examples").rglob("*") if path.is_file()):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if called := re.search(rf'(?:^ExecStart=|\* \* \*.*)/{PROGRAM}"? (.+)', line):
                yield Example(str(file.relative_to(ROOT)), f"{PROGRAM} {called[1]}")


def check_help(check: Check) -> None:
    for path, command in walk():
        page = " ".join((PROGRAM, *path, "--help"))
        check.counts["help pages"] += 1
        for line in command.examples:
            check.read(Example(page, line))
        for child in command.children:
            if command_at(*path, child) is None:
                check.fail(page, f"lists {child}, whose own --help fails")
        if not command.children and not command.examples:
            check.fail(page, "shows no example")


def check_pages(check: Check) -> None:
    pages = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for example in [e for page in pages if page.exists() for e in examples_in_markdown(page)]:
        if example.line.startswith("make "):
            check.make(example)
        elif example.line.startswith(f"{PROGRAM} "):
            check.read(example)
    for example in examples_in_units():
        check.read(example)


def check_readme(check: Check) -> None:
    page = ROOT / "README.md"
    examples = list(examples_in_markdown(page)) if page.exists() else []
    if not any(example.run and example.line.startswith(f"{PROGRAM} ") for example in examples):
        check.fail("README.md", f"no ```console block shows a `$ {PROGRAM} …` that can be run")
    with tempfile.TemporaryDirectory(prefix="examples-", ignore_cleanup_errors=True) as folder:
        shutil.copytree(ROOT / "examples", Path(folder) / "examples")
        shell = Shell(Path(folder))
        try:
            for example in examples:
                first = example.line.split()[0]
                if first == "make":
                    check.make(example)
                elif example.run and first in RUNNABLE:
                    check.run(example, shell)
                elif first == PROGRAM:
                    check.read(example)
                else:
                    check.counts["README lines neither run nor read"] += 1
                    print(f"not run: {example.line}", flush=True)
        finally:
            shell.end()


def main() -> int:
    check = Check()
    if command_at() is None:
        check.fail(f"{PROGRAM} --help", "fails, so nothing else can be checked")
    else:
        check_help(check)
        check_pages(check)
        check_readme(check)
    print()
    for what, number in check.counts.items():
        print(f"{number:5d} {what}")
    for problem in check.problems:
        print(f"FAILED {problem}")
    return 1 if check.problems else 0


if __name__ == "__main__":
    sys.exit(main())
