"""Whether a runner works that sends, and since when none does: for `status` and `why` (F5)."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from mailrotate.core.rules.headline_words import past
from mailrotate.core.rules.world import Code, Machine, Trouble
from mailrotate.core.values.hint import Command, Hint

# Cron passes by every minute; without a pass for longer than this, no runner runs.
PASS_IS_RECENT = timedelta(minutes=2)


def stops_all(machine: Machine, now: datetime) -> Trouble | None:
    """What keeps every message back although its own gates are open."""
    order = list(Code)
    trouble = min(machine.troubles, key=lambda each: order.index(each.code), default=None)
    if trouble is not None or (missing := missing_runner(machine, now)) is None:
        return trouble
    if machine.other_work is not None:
        return missing
    return replace(
        missing, says=f"{missing.says}; run it or install the cron line", command=Command("run", "--once")
    )


def missing_runner(machine: Machine, now: datetime) -> Trouble | None:
    """Since when no runner sends. Only cron's passes have gaps: a loop that is over is missed at once."""
    last = machine.last_pass_at
    is_expected = last is not None and not machine.loop_is_over and now - last <= PASS_IS_RECENT
    if machine.runner_works or is_expected:
        return None
    if machine.other_work is not None:
        does = _OTHER_WORK.get(machine.other_work, machine.other_work)
        way = Hint("end it, then run without --only:", Command("run"))
        return Trouble(Code.NO_RUNNER, f"the only runner does nothing but {does}", way)
    if last is None:
        return Trouble(Code.NO_RUNNER, "no runner has run yet", Command("run"))
    # A loop that has nothing to do ends long after its last pass.
    since = max(last, machine.ended_at or last)
    return Trouble(Code.NO_RUNNER, f"no runner since {past(since)}", Command("run"))


# What a runner with `--only` does.
_OTHER_WORK: Mapping[str, str] = {
    "sync": "read inboxes",
    "test": "test connections",
    "deadlines": "settle deadlines",
    "notify": "send notices",
}
