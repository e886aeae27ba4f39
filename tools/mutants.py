"""Which small changes of the code does no test notice? Run as `make mutate`.

For each part below, mutmut changes the part's functions one small step at a time, in a copy under
build/mutants, and runs the tests that reach the changed function. The type checker goes first: what it
refuses is not run. A change that survives is tried once more in a fresh process, because a function that
runs at import has already run in a forked one.

Then the survivors are compared with the rows of docs/mutants.md, each of which gives the reason; a missing
or an outdated row is named, and the exit status is 1. `mutants.py PART…` runs these parts alone;
`mutants.py --again PART…` tries only what survived the last run, with the tests as they are now; and
`mutants.py --compare PART…` only compares what was run last.
"""
# ruff: noqa: T201  it is a script, printing is how it speaks

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import (
    mangled_name_from_mutant_name,
    orig_function_and_class_names_from_key,
)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "mutants.md"
WORK = ROOT / "build" / "mutants"
PROCESSES = 2
# mutmut leaves out a function with a decorator, so in the copy the decorator is applied after it, by name.
PLAIN = "_undecorated"
# Not a timeout: on a busy machine any change may take long, so it is tried again like a survivor.
NOTICED = ("caught by type check", "killed")


@dataclass(frozen=True)
class Part:
    """Some of the source files, and the tests that are quick and concern them."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]
    pytest: tuple[str, ...] = ()


def rules(name: str, modules: str) -> Part:
    """Some modules of pure rules, and the unit tests named after them."""
    tests = (f"tests/unit/rules/test_{module}.py" for module in modules.split())
    return Part(
        name,
        tuple(f"core/rules/{module}.py" for module in modules.split()),
        tuple(test for test in tests if (ROOT / test).exists()),
    )


# A server of PostgreSQL for each of a thousand processes would take hours.
SQLITE = ("-k", "not postgresql and not killed and not right_now")
PARTS = (
    rules(
        "deciding",
        "clock_trust decision gates grace network_trouble provider_limits quota refusal_row"
        " renewal retry roles rotation sign_in steps suspicion transitions window",
    ),
    rules("reading", "role_addresses timeline_filter"),
    Part(
        "telling",
        ("core/rules/notice_schedule.py", "core/rules/webhook_retry.py"),
        ("tests/unit/rules/test_notices.py", "tests/unit/rules/test_webhooks.py"),
    ),
    Part(
        "claiming",
        (
            "core/services/sending/claiming.py",
            "core/services/sending/lane_facts.py",
            "core/services/sending/recovery.py",
            "core/store/sending/claims.py",
            "core/store/sending/lanes.py",
        ),
        (
            "tests/services/test_claiming.py",
            "tests/services/test_lane_facts.py",
            "tests/services/test_recovery.py",
            "tests/store/test_claims.py",
            "tests/store/test_lanes.py",
            "tests/store/test_outbox.py",
        ),
        SQLITE,
    ),
    Part(
        "settling",
        ("core/services/sending/settling.py",),
        ("tests/services/test_settling.py", "tests/services/test_recovery.py"),
        SQLITE,
    ),
    Part(
        "turning",
        ("core/services/sending/lane_inbox.py", "core/services/sending/turn.py"),
        ("tests/services/test_turn.py", "tests/services/test_turns.py", "tests/services/test_notices.py"),
        SQLITE,
    ),
    Part(
        "finding",
        ("core/store/sending/due.py", "core/store/sending/outbox.py"),
        (
            "tests/services/test_planning.py",
            "tests/store/test_due_lanes.py",
            "tests/store/test_outbox.py",
            "tests/store/test_work.py",
        ),
        SQLITE,
    ),
    Part(
        "deadlines",
        ("core/services/effects/grace_periods.py", "core/store/deadlines.py"),
        (
            "tests/services/test_grace_begins.py",
            "tests/services/test_grace_periods.py",
            "tests/services/test_settlements.py",
            "tests/store/test_deadlines.py",
        ),
        SQLITE,
    ),
)

# Rules that no part tries; docs/mutants.md gives the reasons.
LEFT_OUT = """
    addresses attachment_types campaign_file campaign_senders compose encoded_words field_names headline
    headline_notices headline_stops headline_words inbound letter_check markdown markdown_check
    markdown_reader marks mime notice_letter outages replies runner_watch sent_mail situation
    template_language templates text text_needs toml_lines toml_table webhook_signature webhook_url world
"""

# Of each change, by its name: the source file, and what became of it.
Verdicts = dict[str, tuple[str, str]]

SETTINGS = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = {sources}
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {pytest}
type_check_command = {types}
# A change may take eight times as long as its tests did, and 16 seconds more.
timeout_multiplier = 8
timeout_constant = 2
"""


@dataclass(frozen=True)
class Survivor:
    """A change that nothing noticed: its file, the function or method, and the line that it became."""

    file: str
    function: str
    line: str

    @property
    def row(self) -> str:
        """The first two columns of its row on the page."""
        return f"| `{self.function}` | `{self.line.replace('|', chr(92) + '|')}` | "


def main() -> int:
    asked = set(sys.argv[1:])
    flags = asked & {"--again", "--compare"}
    parts = [part for part in PARTS if part.name in asked or asked == flags]
    for part in parts if "--compare" not in flags else ():
        run(part, again="--again" in flags)
    return 1 if sum([compare(part) for part in parts]) + forgotten() else 0


def run(part: Part, again: bool) -> None:
    """Try every change of a part, or only the last survivors; then what survives, in processes of its own."""
    began, worked = time.monotonic(), processor_seconds()
    known = verdicts(part) if again else {}
    names = survived(known)
    if again and not names:
        return
    if not again:
        shutil.rmtree(WORK / part.name, ignore_errors=True)
        copy(part, "src")
        for source in part.sources:
            undecorate(WORK / part.name / "src" / "mailrotate" / source)
    copy(part, "tests")
    mutmut(part, names)
    told = told_by_mutmut(part)
    keep(part, known | {name: told[name] for name in names or told})
    retry(part)
    took, worked = time.monotonic() - began, processor_seconds() - worked
    print(f"{part.name}: {took / 60:.0f} minutes, {worked / 60:.0f} of one processor")


def copy(part: Part, name: str) -> None:
    """Copy a folder of the project to where the part is changed, in the place of an earlier copy."""
    folder = WORK / part.name
    for earlier in (folder / name, folder / "mutants" / name):
        shutil.rmtree(earlier, ignore_errors=True)
    shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def undecorate(path: Path) -> None:
    """Turn each `@d def f` at the top of a module into `def f_undecorated` and `f = d(f_undecorated)`."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for function in reversed(ast.parse(text).body):
        if isinstance(function, ast.FunctionDef) and len(function.decorator_list) == 1:
            name, decorator = function.name, ast.unparse(function.decorator_list[0])
            first, last = function.lineno - 1, function.end_lineno
            lines[last:last] = ["", "", f"{name} = {decorator}({name}{PLAIN})"]
            lines[first] = lines[first].replace(f"def {name}(", f"def {name}{PLAIN}(", 1)
            del lines[first - 1]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def retry(part: Part) -> None:
    """Try the survivors again, each in a process that has imported nothing yet."""
    known = verdicts(part)
    names = survived(known)
    if names and not passes(part, "", part.tests):
        sys.exit(f"{part.name}: its tests fail without any change, so they say nothing about a survivor")
    stats = json.loads((WORK / part.name / "mutants" / "mutmut-stats.json").read_text(encoding="utf-8"))

    def verdict(name: str) -> str:
        # What ran at import is put down to some test; the module's own tests know better.
        module = Path(known[name][0]).stem
        own = {test for test in part.tests if Path(test).stem == f"test_{module}"}
        reached = stats["tests_by_mangled_function_name"].get(mangled_name_from_mutant_name(name), ())
        return "survived" if passes(part, name, sorted(own | set(reached)) or part.tests) else "killed"

    with ThreadPoolExecutor(PROCESSES) as pool:
        again = dict(zip(names, pool.map(verdict, names), strict=True))
    keep(part, known | {name: (known[name][0], again[name]) for name in names})


def passes(part: Part, name: str, tests: Sequence[str]) -> bool:
    """Whether these tests pass with the change of that name; with "" nothing is changed."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *options(part), *tests],
        cwd=WORK / part.name / "mutants",
        env={**os.environ, "MUTANT_UNDER_TEST": name, "PYTHONPATH": "src"},
        capture_output=True,
    )
    return ran.returncode == 0


def processor_seconds() -> float:
    """What the processes that have ended took; on a busy machine it says more than a clock."""
    used = os.times()
    return used.children_user + used.children_system


def options(part: Part) -> list[str]:
    return ["-p", "no:cacheprovider", "--hypothesis-profile=mutate", *part.pytest]


def mutmut(part: Part, names: Sequence[str]) -> None:
    """Let mutmut make the changes and run the tests, of the changes of these names or of all."""
    folder = WORK / part.name
    types = [sys.executable, "-m", "mypy", "--strict", "--no-warn-unused-ignores", "--output", "json"]
    # The parts share what mypy keeps of the files that they do not change.
    types += ["--cache-dir", str(WORK / "types")]
    settings = SETTINGS.format(
        sources=json.dumps([f"src/mailrotate/{source}" for source in part.sources]),
        tests=json.dumps(part.tests),
        pytest=json.dumps(options(part)),
        types=json.dumps(types),
    )
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(project + settings, encoding="utf-8")
    program = Path(sys.executable).with_name("mutmut")
    subprocess.run([program, "run", "--max-children", str(PROCESSES), *names], cwd=folder, check=True)


def told_by_mutmut(part: Part) -> Verdicts:
    made = WORK / part.name / "mutants"
    return {
        name: (told.relative_to(made).as_posix().removesuffix(".meta"), status_by_exit_code[code])
        for told in sorted(made.rglob("*.py.meta"))
        for name, code in json.loads(told.read_text(encoding="utf-8"))["exit_code_by_key"].items()
    }


def kept(part: Part) -> Path:
    return WORK / f"{part.name}.json"


def keep(part: Part, found: Verdicts) -> None:
    kept(part).write_text(json.dumps(found, indent=1), encoding="utf-8")


def verdicts(part: Part) -> Verdicts:
    """What the last run of a part has found."""
    return json.loads(kept(part).read_text(encoding="utf-8"))


def survived(known: Verdicts) -> list[str]:
    return [name for name, (_, status) in known.items() if status not in NOTICED]


def survivors(part: Part) -> Iterator[Survivor]:
    os.chdir(WORK / part.name)
    for name, (source, status) in verdicts(part).items():
        if status in NOTICED:
            continue
        function, owner = orig_function_and_class_names_from_key(name)
        function = function.removesuffix(PLAIN)
        difference = get_diff_for_mutant(name, path=source).splitlines()[2:]
        gone, became = (
            " ".join(line[1:].strip() for line in difference if line.startswith(sign)) for sign in "-+"
        )
        yield Survivor(
            source.removeprefix("src/mailrotate/"),
            f"{owner}.{function}" if owner else function,
            changed(gone, became),
        )


def changed(gone: str, became: str) -> str:
    """The new line; the old one where the line is left out, or only the text of a literal is another."""
    if not became:
        return f"(left out) {gone}"
    is_text = became.replace("XX", "") == gone or became.lower() == gone.lower()
    return f"(text) {gone}" if is_text else became


def compare(part: Part) -> int:
    """Say what the page lacks and what it has too much of; returns how much that is."""
    if not kept(part).exists():
        print(f"{part.name}: has not run here")
        return 1
    counts = Counter(status for _, status in verdicts(part).values())
    print(f"{part.name}: {counts.total()} changes: {dict(counts)}")
    found = {(each.file, each.row) for each in survivors(part)}
    listed = rows_of(part)
    for title, rows in (("not on the page", found - listed), ("no longer a survivor", listed - found)):
        for file, row in sorted(rows):
            print(f"{title}: {file} {row}")
    return len(found ^ listed)


def forgotten() -> int:
    """Say which rules are in none of the parts and not left out on purpose; returns how many."""
    known = {Path(source).stem for part in PARTS for source in part.sources} | set(LEFT_OUT.split())
    rules = {path.stem for path in (ROOT / "src" / "mailrotate" / "core" / "rules").glob("[!_]*.py")}
    for module in sorted(rules - known):
        print(f"in none of the parts: core/rules/{module}.py")
    return len(rules - known)


def rows_of(part: Part) -> set[tuple[str, str]]:
    """The rows of the page below the headings that name a part's files."""
    rows, file = set(), ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            file = line.removeprefix("### ").strip("`")
        elif line.startswith("| `") and any(Path(file).match(source) for source in part.sources):
            first, _, _ = line.removesuffix(" |").rpartition(" | ")
            rows.add((file, f"{first} | "))
    return rows


if __name__ == "__main__":
    sys.exit(main())
