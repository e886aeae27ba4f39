"""`python -m benchmarks [NAME…]`, or `make bench`: all of them, a table of ratios at the end.

With QUICK=1 all of them take five minutes on two idle cores.
"""
# ruff: noqa: T201  it is a script, printing is how it speaks

import importlib
import sys

from benchmarks.table import Line, Skipped, render

NAMES = (
    "startup", "dispatch", "runners", "send_mark", "settlement", "slow_lane", "tick", "import_rows", "growth",
)  # fmt: skip


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    lines: list[Line | Skipped] = []
    for name in wanted or NAMES:
        print(f"{name} …", file=sys.stderr, flush=True)
        lines += importlib.import_module(f"benchmarks.{name}").measure()
    print(render(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
