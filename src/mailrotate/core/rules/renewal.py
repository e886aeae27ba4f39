"""When a purchased slot renews (A2)."""

import calendar
from datetime import date


def month_later(day: date, anchor: int) -> date:
    """The same day of the next month; `anchor` is the day of the month on which it was bought.

    The 31st becomes the last day of a shorter month, and is the 31st again after it.
    """
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return date(year, month, min(anchor, calendar.monthrange(year, month)[1]))
