"""Public holidays from the `holidays` package, an extra."""

from collections.abc import Iterable
from datetime import date
from functools import cache

from mailrotate.core.values.errors import BadInput


class HolidayCalendar:
    """The port `HolidayDates`: "DE" is a country, "DE-BY" a part of it (ISO 3166-2)."""

    def dates(self, code: str, years: Iterable[int]) -> frozenset[date]:
        """Return the holidays. Raises BadInput: `holidays.missing_extra`, `holidays.unknown`."""
        return frozenset().union(*(_dates(code, year) for year in years))


def holiday_problem(code: str) -> str | None:
    """Say why the holidays of `code` are unknown and what to do; None if they are known."""
    try:
        _dates(code, None)
    except BadInput as trouble:
        return trouble.sentence
    return None


@cache
def _dates(code: str, year: int | None) -> frozenset[date]:
    """Look up the holidays; without a year only the code is checked."""
    try:
        import holidays
    except ImportError:
        raise BadInput(
            "holidays.missing_extra",
            f"the holidays of '{code}' need a package that comes with an extra",
            "pip install 'mailrotate[holidays]'",
        ) from None
    country, _, part = code.partition("-")
    try:
        return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))
    except NotImplementedError:
        raise BadInput(
            "holidays.unknown",
            f"'{code}' is not a country or region with known holidays; write it like DE or DE-BY",
        ) from None
