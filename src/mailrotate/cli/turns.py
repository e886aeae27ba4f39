"""When a message leaves, as people read it: an instant, or the pass of a runner that looks for it next."""

from datetime import datetime

from mailrotate.cli.call import Call
from mailrotate.cli.output import instant, zoned


def next_turn(runner_works: bool) -> str:
    """What sends that which nothing holds back: a runner that works, or one that is to be run."""
    return "next pass" if runner_works else "next run"


def cell_of(at: datetime | None, call: Call, works: bool) -> str:
    """For a column whose head names the zone; `works`: whether a runner does."""
    return next_turn(works) if _is_due(at, call) else instant(at, call.zone)


def words_of(at: datetime, call: Call) -> str:
    """For a sentence: `at` an instant, or `from` it while no runner works that would keep it."""
    works = runner_works(call)
    if _is_due(at, call):
        return f"with the {next_turn(works)}"
    return f"{'at' if works else 'from'} {zoned(at, call.zone, ahead=True)}"


def _is_due(at: datetime | None, call: Call) -> bool:
    # Not `call.now`: a command that waited for a lock decided later.
    return at is not None and at <= call.app.clock()


def runner_works(call: Call) -> bool:
    """Whether a runner that sends works now; a list asks this once."""
    from mailrotate.core.services.sending import runners

    return runners.any_sends(call.context)
