"""Public holidays from the `holidays` package, which comes with an extra."""

from collections.abc import Iterable
from datetime import date
from functools import cache

from mailrotate.core.values.errors import BadInput


class HolidayCalendar:
    """The port `HolidayDates`: "DE" is a country, "DE-BY" a part of it (ISO 3166-2)."""

    def dates(self, code: str, years: Iterable[int]) -> frozenset[date]:
        """Raises BadInput: `holidays.missing_extra`, `holidays.unknown`."""
        return frozenset().union(*(_dates(code, year) for year in years))


def holiday_problem(code: str) -> str | None:
    """Why the holidays of `code` cannot be known, with what to do; None when they can."""
    try:
        _dates(code, None)
    except BadInput as trouble:
        return trouble.sentence
    return None


@cache
def _dates(code: str, year: int | None) -> frozenset[date]:
    """Without a year there are none, but the code is looked up."""
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
            f"'{code}' is no country or region whose holidays are known; write it like DE or DE-BY",
        ) from None
