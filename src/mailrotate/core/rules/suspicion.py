"""Whether this database is the one that sent last, or an older or copied one (F3).

The database and a file outside it both know the mark before the latest final dot;
`docs/decisions/send-mark.md` gives the reasons.
"""

from dataclasses import dataclass
from enum import StrEnum

from mailrotate.core.values.lineage import NO_PASS, DatabaseMark, OutsideMark


class Strangeness(StrEnum):
    """Why a database must not send: the part of an error code after `workspace.`"""

    ELSEWHERE = "elsewhere"
    BEHIND = "behind"


@dataclass(frozen=True)
class Suspicion:
    """`missing` counts the marks that this machine knows and the database does not."""

    strangeness: Strangeness
    reason: str
    missing: int = 0


_ELSEWHERE = "this database last sent from another machine, or the mark of its sending is gone from this one"
_MOVED = "this database last sent on another PostgreSQL server, or under another name"
_OTHER_PASS = "this database is older than what was sent from it, or a copy of it has sent since"


def judge(database: DatabaseMark, outside: OutsideMark | None, server: str | None) -> Suspicion | None:
    """Compare both marks; None if the database may send. `server` is the home on PostgreSQL."""
    missing = max(0, (0 if outside is None else outside.number) - database.number)
    home = server or (None if outside is None else outside.instance)
    if database.home is not None and database.home != home:
        return Suspicion(Strangeness.ELSEWHERE, _ELSEWHERE if server is None else _MOVED, missing)
    if missing:
        behind = f"this database is older than what was sent from it: it misses {missing} of its marks"
        return Suspicion(Strangeness.BEHIND, behind, missing)
    if server is None and outside is not None and (database.pass_id or NO_PASS) not in outside.passes:
        return Suspicion(Strangeness.BEHIND, _OTHER_PASS)
    return None
