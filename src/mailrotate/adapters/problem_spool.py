"""Bad rows of an import, set aside until the report is written: on disk once they are many."""

import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from mailrotate.core.services.campaigns.enrolment import RowTrouble

_BYTES_IN_MEMORY = 1_000_000


class ProblemSpool:
    """Keeps what is added, in its order; used in a `with` block, and gone after it."""

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
