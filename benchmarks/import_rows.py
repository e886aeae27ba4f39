"""A million rows into a campaign, against SQLite's own import of the same file."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

from benchmarks import fleet
from benchmarks.peak import launch
from benchmarks.place import Place, place, smtp_sink
from benchmarks.quick import full_or_quick
from benchmarks.table import Line

_ROWS = full_or_quick(1_000_000, 30_000)
_SMALL = 1_000
_KINDS = ("bad address", "missing field", "suppressed", "twice in the file", "already in the campaign")


def measure() -> list[Line]:
    with place() as here, smtp_sink() as port, fleet.start_sandbox() as sandbox:
        addresses = fleet.connect(here, sandbox.info, [port])
        small, large = _write(here.folder / "small.csv", _SMALL), _write(here.folder / "large.csv", _ROWS)
        _make_campaign(here, "small", addresses[0], _SMALL)
        _make_campaign(here, "large", addresses[0], _ROWS)
        _, small_peak, _ = _import(here, "small", small)
        waits = _OtherWriter(here.database)
        with waits:
            took, peak, report = _import(here, "large", large)
        _assert_counts(report)
        plain = _sqlite_import(here.folder / "plain.db", large)
    return [
        Line(
            f"import of {_ROWS:,} rows, against sqlite3 .import",
            f"{took:.1f} s",
            f"{plain:.1f} s",
            took / plain,
            "<= 12",
        ),
        Line(
            f"peak memory of that import, against {_SMALL:,} rows",
            f"{peak / 1024:.0f} MiB",
            f"{small_peak / 1024:.0f} MiB",
            peak / small_peak,
            "<= 1.5",
        ),
        Line(
            "longest wait of another writer meanwhile, in seconds",
            f"{waits.longest:.1f} s",
            "1 s",
            waits.longest,
            "<= 8",
        ),
    ]


def _write(path: Path, count: int) -> Path:
    """Of each hundred rows, one of each kind of refusal; the rest are good."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("email,first_name,company,city\n")
        for n in range(count):
            kind = n % 100
            email = {
                0: f"person{n}.firm.example.com",
                2: f"person{n}@suppressed.example.net",
                9: f"person{n - 4}@firm.example.com",
                4: f"known{n}@firm.example.com",
            }.get(kind, f"person{n}@firm.example.com")
            company = "" if kind == 1 else f"Firm {n} & Sons"
            file.write(f"{email},Pia{n},{company},Z\u00fcrich\n")
    return path


def _make_campaign(here: Place, name: str, address: str, count: int) -> None:
    (here.folder / "body.md").write_text(fleet.STEP_BODY, encoding="utf-8")
    plan = here.folder / f"{name}.toml"
    plan.write_text(f'name = "{name}"\n[[steps]]\nsubject = "For {{{{ company }}}}"\nbody = "body.md"\n')
    here.run("campaign", "create", str(plan), "--from", address)
    here.run("suppression", "add", "suppressed.example.net")
    known = here.folder / f"{name}-known.csv"
    with known.open("w", encoding="utf-8") as file:
        file.write("email,first_name,company,city\n")
        file.writelines(f"known{n}@firm.example.com,Pia,Firm,City\n" for n in range(4, count, 100))
    here.run("recipient", "import", name, str(known))


def _import(here: Place, campaign: str, file: Path) -> tuple[float, int, dict[str, object]]:
    """Seconds, peak memory in KiB, and the report."""
    report = here.folder / f"{campaign}.json"
    command = [sys.executable, "-m", "mailrotate", "recipient", "import", campaign, str(file), "--json"]
    seconds, peak, status = launch(command, report, here.environment)
    if status != 8:
        raise RuntimeError(f"the import ended with {status}, not with 8 (done in part)")
    return seconds, peak, json.loads(report.read_text(encoding="utf-8"))


def _assert_counts(report: dict[str, object]) -> None:
    each = _ROWS // 100
    expected = {
        "imported": _ROWS - len(_KINDS) * each,
        "duplicate": 2 * each,
        "suppressed": each,
        "invalid": 2 * each,
    }
    found = {name: report[name] for name in expected}
    if found != expected:
        raise RuntimeError(f"the import says {found}, not {expected}")


def _sqlite_import(database: Path, file: Path) -> float:
    began = time.perf_counter()
    subprocess.run(["sqlite3", str(database), f".import --csv {file} people"], check=True)
    return time.perf_counter() - began


class _OtherWriter:
    """Writes a row ten times a second and keeps the longest time that this took."""

    def __init__(self, database: Path) -> None:
        self.longest = 0.0
        self._database = database
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write)

    def __enter__(self) -> "_OtherWriter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _write(self) -> None:
        rows = sqlite3.connect(self._database, timeout=120, isolation_level=None)
        while not self._ended.wait(0.1):
            began = time.perf_counter()
            rows.execute("BEGIN IMMEDIATE")
            rows.execute("UPDATE workspace SET name = name")
            rows.execute("COMMIT")
            self.longest = max(self.longest, time.perf_counter() - began)
        rows.close()
