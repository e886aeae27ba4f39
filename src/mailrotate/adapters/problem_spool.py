"""The bad rows of an import, kept until the report is written: on disk once there are many."""

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from mailrotate.core.services.campaigns.row_checks import RowTrouble

_BYTES_IN_MEMORY = 1_000_000


class ProblemSpool:
    """Keeps rows in their order; use it in a `with` block, which deletes them at its end."""

    def __init__(self) -> None:
        self.count = 0
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115 -- closed by __exit__
            _BYTES_IN_MEMORY, mode="w+", encoding="utf-8", errors="surrogatepass"
        )

    def add(self, trouble: RowTrouble) -> None:
        self.count += 1
        self._file.write(json.dumps([trouble.line, trouble.email, trouble.problem]) + "\n")

    def __iter__(self) -> Iterator[RowTrouble]:
        self._file.seek(0)
        for line in self._file:
            yield RowTrouble(*json.loads(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
