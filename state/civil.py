"""Dates of the proleptic Gregorian calendar in kernels."""

from __future__ import annotations

from state.compiled import compiled


@compiled
def civil(ordinal: int) -> tuple[int, int, int]:
    """Year, month and day of a date by its ordinal (1 is the first day of the year 1); proleptic Gregorian.

    Source: Hinnant, "chrono-compatible low-level date algorithms".
    """
    days = ordinal + 305  # since 1 March of the year 0
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (1 if month <= 2 else 0), month, day


@compiled
def ordinal_of(year: int, month: int, day: int) -> int:
    """The ordinal of a date."""
    year -= 1 if month <= 2 else 0
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 305


@compiled
def days_to_recurrence(date: int, today: int) -> int:
    """Days to the next yearly recurrence of a date; 29 February recurs on 28 February in other years."""
    _, month, day = civil(date)
    year = civil(today)[0]
    for of in range(year, year + 2):
        leap = of % 4 == 0 and (of % 100 != 0 or of % 400 == 0)
        recurrence = ordinal_of(of, month, 28 if month == 2 and day == 29 and not leap else day)
        if recurrence >= today:
            return recurrence - today
    return 0
