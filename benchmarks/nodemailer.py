"""Nodemailer's pool of connections, which npm installs into a build folder."""

import shutil
import subprocess
from pathlib import Path

from benchmarks.fleet import MAILBOX_COUNT

_PINNED = "nodemailer@10.6.1"
_SCRIPT = Path(__file__).with_suffix(".mjs")
_FOLDER = _SCRIPT.parents[1] / "build" / _PINNED.replace("@", "-")


def why_not() -> str | None:
    """Install it where that has not been done; return what keeps it from being used, or None."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return "npm is missing: apt-get install npm"
    if not (_FOLDER / "node_modules").exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "install", "--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--prefix"]
        installed = subprocess.run([*npm, str(_FOLDER), _PINNED], capture_output=True, text=True)
        if installed.returncode != 0:
            shutil.rmtree(_FOLDER)
            return f"npm cannot install {_PINNED}"
    return None


def send(port: int, count: int) -> float:
    """Return the seconds from its first message to its last answer, without the start of node."""
    arguments = [str(_FOLDER), str(port), str(MAILBOX_COUNT), str(count)]
    done = subprocess.run(["node", str(_SCRIPT), *arguments], check=True, capture_output=True, text=True)
    return float(done.stdout)
