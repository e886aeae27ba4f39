"""Public holidays from the `holidays` package, an extra."""

import re
from collections.abc import Iterable
from datetime import date
from functools import cache

from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.remark import Remark

# Whether a region has days of its own hardly changes from year to year.
_ANY_YEAR = 2025
# As a campaign file takes them; the package knows some by longer names as well.
_REGION = re.compile(r"[A-Z0-9]{1,3}")
_MOST_NAMED = 4


class HolidayCalendar:
    """The port `HolidayDates`: "DE" is a country, "DE-BY" a part of it (ISO 3166-2)."""

    def dates(self, code: str, years: Iterable[int]) -> frozenset[date]:
        """Return the holidays. Raises BadInput: `holidays.missing_extra`, `holidays.unknown`."""
        return frozenset().union(*(_dates(code, year) for year in years))


def check_holidays(code: str) -> Remark | None:
    """Say why the holidays of `code` are unknown and what to do, or that its regions have more; else None."""
    try:
        _dates(code, None)
    except BadInput as trouble:
        return Remark(trouble.sentence, is_mistake=True)
    regions = [] if "-" in code else _regions_with_more(code)
    if not regions:
        return None
    named = ", ".join(f'"{code}-{region}"' for region in regions[:_MOST_NAMED])
    others = f" and {len(regions) - _MOST_NAMED} others" if len(regions) > _MOST_NAMED else ""
    return Remark(
        f'"{code}" has only the holidays of the whole country, and its regions have more, on which mail '
        f"leaves; to keep those of a region, name it: {named}{others}",
        is_mistake=False,
    )


@cache
def _regions_with_more(country: str) -> list[str]:
    """The regions that have holidays which the whole country has not, by their code."""
    import holidays

    known = holidays.list_supported_countries().get(country, [])
    common = _dates(country, _ANY_YEAR)
    return [
        region
        for region in known
        if _REGION.fullmatch(region) and _dates(f"{country}-{region}", _ANY_YEAR) - common
    ]


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
