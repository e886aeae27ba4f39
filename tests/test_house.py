"""The promises about the house itself: who imports whom, one clock, one reader of the environment, the lock.

These read files and need neither a database nor a server.
"""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mailrotate.core.values.states import (
    CampaignState,
    ConnectionState,
    MessageState,
    RecipientState,
    RequestState,
    UserState,
)

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "mailrotate"
LOCKS = ("run.txt", "dev.txt", "mutate.txt")

# What stands in the store beside its rooms, each a subject of one file.
STORE_SUBJECTS = {
    "aliases", "backups", "campaign_edits", "campaigns", "column_types", "connections", "database_errors",
    "deadlines", "dialects", "engine", "events", "group_commit", "index_steps", "instants", "listed",
    "mailboxes", "moves", "names", "notices", "plans", "portions", "progress", "ready", "removals",
    "requests", "schema", "seat_addresses", "senders",
    "settings", "shares", "signatures", "slots", "statistics", "step_senders", "triggers", "users",
    "visibility", "webhooks", "workspaces",
}  # fmt: skip

# Longer than 400 lines, each with the reason why it is better whole.
LONG_FILES: dict[str, str] = {
    "core/store/migrations/versions/0001_first.py": (
        "one upgrade that has made databases: a revision is never edited, and half of one is not a revision"
    ),
}


# Longer than 50 lines, by file and name, each with the reason why it is better whole.
LONG_FUNCTIONS: dict[tuple[str, str], str] = {}


# Words that are states, whatever they are of.
STATES = {
    state.value
    for states in (CampaignState, RecipientState, MessageState, ConnectionState, UserState, RequestState)
    for state in states
}


def sources() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def inside(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def files_with(found: Callable[[ast.AST], bool]) -> dict[str, int]:
    """How often each source file holds a node of that kind."""
    counts = {
        inside(path): sum(map(found, ast.walk(ast.parse(path.read_bytes(), str(path))))) for path in sources()
    }
    return {name: count for name, count in counts.items() if count}


def tracked_files() -> list[Path]:
    """What the next commit may hold: all but what .gitignore names."""
    asked = subprocess.run(
        # Also where the checkout is another user's, as in a container.
        ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if asked.returncode:
        pytest.skip("not a git checkout, so nothing says which files belong to the project")
    return [path for name in asked.stdout.split("\0") if name and (path := ROOT / name).is_file()]


# --- structure


def test_imports_go_one_way_down() -> None:
    """Promise 1: cli, app, runner, providers and adapters, core; the contracts are in pyproject.toml."""
    checked = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_two_modules_import_each_other() -> None:
    """Not inside functions either: who has to understand one of two such modules needs both."""
    imported = {_module(path): _imports(path) for path in sources()}
    pairs = {(one, other) for one, others in imported.items() for other in others}
    assert {pair for pair in pairs if pair[::-1] in pairs and pair[0] < pair[1]} == set()


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)


def _imports(path: Path) -> set[str]:
    """Every module that is named in an import, as `a.b` and, of `from a import b`, as both."""
    named: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.ImportFrom):
            named |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    return named


def test_every_file_of_the_services_stands_in_a_room() -> None:
    """The import contract lists the rooms; two modules that every room may import stand beside them."""
    services = SOURCE / "core" / "services"
    assert {path.stem for path in services.glob("*.py")} == {"__init__", "context", "periods"}


def test_every_file_of_the_store_stands_in_a_room() -> None:
    """Sending and people have rooms; beside them stands one file for each other subject."""
    store = SOURCE / "core" / "store"
    assert {path.parent.name for path in store.glob("*/*.py")} == {
        "migrations",
        "people",
        "rows",
        "sending",
        "tables",
    }
    assert {path.stem for path in store.glob("*.py")} == {"__init__", *STORE_SUBJECTS}


# Services that open a transaction without the door, because what they decide is the same before and after a
# deadline: nobody is stopped, assigned or written to by it.
BESIDE_THE_DOOR = {
    "access/accounts": "the workspace, its key and its users' first names",
    "access/logins": "a renewed token, which is stored before it is used",
    "access/secrets": "the same secrets under another key",
    "campaigns/previewing": "a test message to an address of the user's own",
    "contacts/contact_book": "the timeline's settings",
    "contacts/contact_records": "tags",
    "effects/door": "the door itself",
    "mailboxes/alias_choice": "addresses that a mailbox also has",
    "mailboxes/mailbox_requests": "requests, before there is a mailbox",
    "mailboxes/plan_changes": "what the workspace allows from now on",
    "mailboxes/sharing": "who may choose a mailbox from now on",
    "mailboxes/signature_editing": "texts under messages",
    "mailboxes/slot_pool": "empty slots",
    "running/adopting": "a workspace that is held: nothing is settled until it is released",
    "running/clock_acceptance": "instants that a wrong clock wrote",
    "running/passes": "a pass settles when it begins, after it has checked its clock",
    "sending/claiming": "deadlines, which it settles itself; kept facts end with the next of them",
    "sending/comparing": "a workspace that is held",
    "sending/inbox_reading": "cursors and copies; mails are acted on behind the door",
    "sending/lane_holding": "lanes",
    "sending/marking": "the mark of the pass",
    "sending/recording": "that an answer waited for room",
    "sending/recovery": "messages of dead runners: what has left is a fact, whenever it is found",
    "sending/settling": "the server's answer to a message that has left",
    "sending/turn": "marks and put-backs of a message that was claimed behind the door",
    "sending/webhook_endpoints": "where events are told",
    "sending/webhook_posting": "how far events were told",
    "team/user_admin": "names and roles; locks stand behind the door",
    "views/limit_settings": "the providers' limits",
    "views/workspace_settings": "settings of later deadlines",
}


_OPENS_TO_WRITE = re.compile(r"store\.(writing|writing_alone|sending|send)\(")


def test_c11_every_service_that_decides_goes_through_the_door() -> None:
    found = {
        path.relative_to(SOURCE / "core" / "services").with_suffix("").as_posix()
        for path in (SOURCE / "core" / "services").rglob("*.py")
        if _OPENS_TO_WRITE.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(BESIDE_THE_DOOR)


def test_no_two_files_of_the_core_share_a_name() -> None:
    """A name found by searching leads to one file."""
    names = Counter(path.name for path in (SOURCE / "core").rglob("*.py") if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} == set()


def test_one_line_reads_the_wall_clock() -> None:
    """Promise 5: time is an argument; `core/values/clock.py` alone reads it."""

    def reads_clock(node: ast.AST) -> bool:
        if not isinstance(node, ast.Attribute):
            return False
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        return (owner, node.attr) in {
            ("datetime", "now"),
            ("datetime", "utcnow"),
            ("datetime", "today"),
            ("date", "today"),
            ("time", "time"),
            ("time", "time_ns"),
        }

    assert files_with(reads_clock) == {"core/values/clock.py": 1}


def test_only_app_reads_the_environment() -> None:
    """`app.py` makes one frozen Settings of environment and file; whoever needs one of them is told."""

    def reads_environment(node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            return getattr(node.value, "id", "") == "os" and node.attr in {"environ", "environb", "getenv"}
        return (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and any(name.name in {"environ", "environb", "getenv"} for name in node.names)
        )

    assert set(files_with(reads_environment)) <= {"app.py"}


def test_only_output_prints() -> None:
    """Results and JSON share one door, so that nothing strays onto standard output."""

    def prints(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
        return (owner, name) in {("", "print"), ("rich", "print"), ("typer", "echo"), ("typer", "secho")}

    assert set(files_with(prints)) <= {"cli/output.py"}


def test_only_the_renderer_of_hints_knows_the_shell() -> None:
    """Everywhere else a command is its words, a value of `core/values/hint.py`."""

    def imports_shlex(node: ast.AST) -> bool:
        return (isinstance(node, ast.Import) and any(name.name == "shlex" for name in node.names)) or (
            isinstance(node, ast.ImportFrom) and node.module == "shlex"
        )

    assert set(files_with(imports_shlex)) == {"cli/hints.py"}


def test_no_command_line_is_a_text_outside_the_cli() -> None:
    from typer.main import get_command

    from mailrotate.cli.main import root

    tree: Any = get_command(root)
    # A command, or an option with its value, of which a command line would be glued together.
    line = re.compile(rf"\bmailrotate (?:{'|'.join(tree.list_commands(None))})\b|^ ?--[a-z-]+ \S*$")
    found = set()
    for path in sources():
        nodes = list(ast.walk(ast.parse(path.read_bytes(), str(path))))
        prose = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        texts = (node for node in nodes if isinstance(node, ast.Constant) and id(node) not in prose)
        if any(isinstance(text.value, str) and line.search(text.value) for text in texts):
            found.add(inside(path))
    assert {name for name in found if not name.startswith(("cli/", "sandbox/"))} == set()


def test_only_the_store_speaks_sql() -> None:
    """SQL and tables stay in one room: elsewhere a name from the store says what is wanted."""

    def speaks_sql(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            words = {"select", "insert", "update", "delete", "text", "func"}
            from_sql = (node.module or "").split(".")[0] in {"sqlalchemy", "sqlmodel"}
            tables = (node.module or "").startswith("mailrotate.core.store.tables") or (
                node.module == "mailrotate.core.store" and any(name.name == "tables" for name in node.names)
            )
            return tables or (from_sql and any(name.name in words for name in node.names))
        if isinstance(node, ast.Import):
            return any(name.name.startswith("mailrotate.core.store.tables") for name in node.names)
        if not isinstance(node, ast.Call):
            return False
        called = node.func
        if isinstance(called, ast.Name):
            return called.id in {"select", "insert", "update", "delete"}
        return isinstance(called, ast.Attribute) and called.attr == "exec_driver_sql"

    outside = {name for name in files_with(speaks_sql) if not name.startswith("core/store/")}
    assert outside == set()


def names_state(node: ast.AST) -> bool:
    """A state by itself, or a set of them."""
    if isinstance(node, ast.Constant):
        return node.value in STATES
    if isinstance(node, ast.Attribute):
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        return owner.endswith("State")
    return isinstance(node, ast.Name) and node.id in {"OPEN_RECIPIENTS", "COUNTED_MESSAGES"}


def test_only_transitions_say_from_which_state_to_which() -> None:
    """`core/rules/transitions.py` has every change of state, and `core/store/moves.py` alone writes them.

    So what changes rows names no state, and no service hands the store one to write.
    """

    def calls(node: ast.AST) -> list[tuple[str, ast.Call]]:
        return [
            (getattr(call.func, "attr", None) or getattr(call.func, "id", ""), call)
            for call in ast.walk(node)
            if isinstance(call, ast.Call)
        ]

    def spelled(node: ast.AST, in_store: bool) -> bool:
        called = calls(node)
        if any(name == "Transition" for name, _ in called):
            return True
        if in_store and {"update", "insert", "moving", "move_many"} & {name for name, _ in called}:
            return any(map(names_state, ast.walk(node)))
        handed = [
            keyword.value
            for name, call in called
            for keyword in call.keywords
            # A read model, made by its class, may say in which state something is.
            if keyword.arg == "state" and name.islower()
        ]
        return any(names_state(each) for value in handed for each in ast.walk(value))

    found = [
        f"{inside(path)}:{node.lineno}"
        for path in sources()
        if inside(path).startswith(("core/services/", "core/store/"))
        # Tables declare which states there are, and a migration is never edited.
        and not inside(path).startswith(("core/store/rows/", "core/store/migrations/"))
        and inside(path) != "core/store/moves.py"
        for node in ast.parse(path.read_bytes(), str(path)).body
        if spelled(node, inside(path).startswith("core/store/"))
    ]
    assert found == []


def test_only_one_page_asks_which_database_it_is() -> None:
    """`core/store/dialects.py` knows what differs; others may ask whether there is a file."""

    def asks(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "dialect"

    assert set(files_with(asks)) == {"core/store/dialects.py"}


def test_no_file_outgrows_a_head() -> None:
    """About 400 lines; what is longer says why here, and leaves the list when it shrinks."""
    lengths = {inside(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    assert {name for name, count in lengths.items() if count > 400} == set(LONG_FILES)


def test_no_function_outgrows_a_screen() -> None:
    """50 lines from its `def` to its end, with its parameters and docstring."""
    long = {
        (inside(path), node.name)
        for path in sources()
        for node in ast.walk(ast.parse(path.read_bytes(), str(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= 50
        # A migration is a list that is never edited again.
        and "migrations/versions/" not in path.as_posix()
    }
    assert long == set(LONG_FUNCTIONS)


def test_every_package_of_tests_can_be_imported_by_its_path() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


# --- what a stranger may read


def test_no_file_knows_this_machine_or_a_package_index() -> None:
    """The lock's hashes say what is installed; where from is for whoever installs to say."""
    # Written so that these lines do not find themselves.
    address = re.compile(
        r"[p]ypi\.org|[p]ythonhosted|--(?:extra-)?[i]ndex-url|--[f]ind-links|"
        r"[/](?:home|Users|work|root|opt)/\w|[/]tmp/\w+/venv"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if address.search(line)
    ]
    assert found == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in tracked_files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]
    assert broken == []


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """With a program and a user that this machine has in the place of ours."""
    verifier = shutil.which("systemd-analyze")
    if verifier is None:
        pytest.skip("systemd-analyze is not here; on Debian: apt-get install systemd")
    units = []
    for unit in sorted((ROOT / "examples" / "systemd").iterdir()):
        text = unit.read_text(encoding="utf-8")
        text = text.replace("/usr/local/bin/mailrotate", "/bin/true").replace(
            "User=mailrotate", "User=daemon"
        )
        units.append(tmp_path / unit.name)
        units[-1].write_text(text, encoding="utf-8")
    checked = subprocess.run([verifier, "verify", "--man=no", *units], capture_output=True, text=True)
    complaints = [
        line for line in checked.stderr.splitlines() if str(tmp_path) in line or "mailrotate" in line
    ]
    assert units
    assert complaints == []


def test_glossary_explains_every_table() -> None:
    from mailrotate.core.store.rows import METADATA

    words = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    explained = {
        word for row in re.findall(r"^\| ([^|]+) \|", words, re.MULTILINE) for word in row.split("`")
    }
    assert set(METADATA.tables) - explained == set()


def test_version_stands_in_two_places_and_is_one() -> None:
    import mailrotate

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == mailrotate.__version__


# --- the lock


def wanted(lock: str) -> dict[str, Requirement]:
    """What pyproject.toml asks for directly, by name: the project with its extras; a group's own lock."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = list(project["dependency-groups"].get(lock.removesuffix(".txt"), ()))
    if lock != "mutate.txt":
        asked += [*project["project"]["dependencies"], *project["build-system"]["requires"]]
        for extra in project["project"]["optional-dependencies"].values():
            asked += extra
    return {canonicalize_name(parsed.name): parsed for parsed in map(Requirement, asked)}


def pins(lock: str) -> Iterator[tuple[Requirement, str]]:
    """Each pin of a lock with the indented lines below it: hashes, and who wants it."""
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    for block in re.findall(r"^\S[^\n]*==.*(?:\n .*)*", text, re.MULTILINE):
        first, _, below = block.partition("\n")
        yield Requirement(first.removesuffix("\\").strip()), below


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_each_dependency_within_its_range(lock: str) -> None:
    locked = {canonicalize_name(pin.name): pin for pin, _ in pins(lock)}
    for name, requirement in wanted(lock).items():
        assert name in locked, f"{name} is not in requirements/{lock}: make lock"
        (version,) = (specifier.version for specifier in locked[name].specifier)
        assert requirement.specifier.contains(version), f"{name} {version}: make lock"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_nothing_that_pyproject_no_longer_asks_for(lock: str) -> None:
    asked_for = re.compile(r"mailrotate \(pyproject\.toml[^)]*\)|requirements/build\.in")
    direct = {canonicalize_name(pin.name) for pin, below in pins(lock) if asked_for.search(below)}
    # `editables`: what the build backend asks for to install in place.
    assert direct - {"editables"} == set(wanted(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_trusts_hashes_alone(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text(encoding="utf-8")
    unhashed = [str(pin) for pin, below in pins(lock) if "--hash=sha256:" not in below]
    assert unhashed == []
    # No address and no option that would name one.
    assert "://" not in text
    assert re.findall(r"^-.*", text, re.MULTILINE) == []


def test_what_runs_is_locked_alike_for_those_who_use_and_those_who_work_on_it() -> None:
    assert {str(pin) for pin, _ in pins("run.txt")} <= {str(pin) for pin, _ in pins("dev.txt")}


def test_what_mutates_fits_into_the_environment_of_the_tests() -> None:
    tests = {pin.name: pin.specifier for pin, _ in pins("dev.txt")}
    other = {str(pin) for pin, _ in pins("mutate.txt") if tests.get(pin.name, pin.specifier) != pin.specifier}
    assert other == set()
