"""Local periods and wall times, across changes of the clocks and at the end of the calendar."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.calendar import MAX_LOCAL_MS, Periods, first_at_or_after, local_ms, next_day, wall_time

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
ZONES = ["Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"]
END_MS = 253_402_300_799_999
instants = st.one_of(
    st.integers(1_600_000_000_000, 1_900_000_000_000), st.integers(0, END_MS), st.integers(END_MS - 50 * DAY_MS, END_MS)
)
many = settings(max_examples=300, deadline=None)


def date_of(ts_ms, zone):
    """The local date; at the end of the calendar by what is true 400 years before."""
    moved = dt.timedelta(days=146_097) if ts_ms > END_MS - 50 * DAY_MS else dt.timedelta()
    date = dt.datetime.fromtimestamp(ts_ms // 1000, dt.UTC) - moved
    return date.astimezone(zone).date(), moved.days


def plain_number(ts_ms, period, zone):
    date, moved = date_of(ts_ms, zone)
    if period == "month":
        return date.year * 12 + date.month - 1 + (4800 if moved else 0)
    days = date.toordinal() - 1 + moved
    return days if period == "day" else days // 7


@many
@given(instants, st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES))
def test_number_and_start(ts_ms, period, zone):
    periods = Periods(period, zone)
    number, start = periods.number(ts_ms), periods.start_ms(ts_ms)
    assert number == plain_number(ts_ms, period, ZoneInfo(zone))
    assert start <= ts_ms
    if start > 0:
        assert Periods(period, zone).number(start) == number
        assert Periods(period, zone).number(start - 1) == number - 1


@many
@given(st.lists(instants, max_size=8), st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES))
def test_what_it_remembers_does_not_matter(stamps, period, zone):
    periods = Periods(period, zone)
    for ts_ms in stamps:
        assert periods.number(ts_ms) == Periods(period, zone).number(ts_ms)
        assert periods.start_ms(ts_ms) == Periods(period, zone).start_ms(ts_ms)


@pytest.mark.parametrize(
    ("day", "hours"), [((2025, 3, 30), 23), ((2025, 10, 26), 25), ((2025, 7, 1), 24)], ids=["spring", "autumn", "plain"]
)
def test_days_have_the_length_that_clocks_give_them(day, hours):
    berlin = ZoneInfo("Europe/Berlin")
    date = dt.date(*day)
    start = local_ms(date, 0, 0, berlin)
    periods = Periods("day", "Europe/Berlin")
    assert periods.start_ms(start + hours * HOUR_MS - 1) == start
    assert periods.start_ms(start + hours * HOUR_MS) == start + hours * HOUR_MS


def test_skipped_and_repeated_times_are_taken_with_fold_0():
    berlin = ZoneInfo("Europe/Berlin")
    for date in (dt.date(2025, 3, 30), dt.date(2025, 10, 26)):
        wall = dt.datetime(date.year, date.month, date.day, 2, 30, tzinfo=berlin, fold=0)
        assert local_ms(date, 2, 30, berlin) == wall.timestamp() * 1000


def test_weeks_begin_on_monday():
    monday = dt.date(2025, 10, 6)
    zone = ZoneInfo("Asia/Shanghai")
    periods = Periods("week", "Asia/Shanghai")
    for day in range(7):
        assert periods.start_ms(local_ms(monday + dt.timedelta(day), 12, 0, zone)) == local_ms(monday, 0, 0, zone)


@many
@given(
    st.integers(0, MAX_LOCAL_MS - 3 * DAY_MS), st.integers(0, 23), st.sampled_from([0, 1, 30, 59]),
    st.sampled_from(ZONES),
)  # fmt: skip
def test_first_at_or_after(ts_ms, hour, minute, zone):
    zone = ZoneInfo(zone)
    date, at_ms = first_at_or_after(ts_ms, hour, minute, zone)
    assert at_ms >= ts_ms
    assert at_ms == local_ms(date, hour, minute, zone)
    assert local_ms(date - dt.timedelta(1), hour, minute, zone) < ts_ms
    following, next_ms = next_day(date, hour, minute, zone)
    assert following - date == dt.timedelta(1)
    assert next_ms == local_ms(following, hour, minute, zone)


def test_the_calendar_ends():
    utc = ZoneInfo("UTC")
    assert next_day(dt.date(9999, 12, 30), 0, 0, utc) == (dt.date.max, local_ms(dt.date.max, 0, 0, utc))
    assert next_day(dt.date.max, 0, 0, utc) is None
    assert first_at_or_after(END_MS, 9, 0, utc) is None
    assert wall_time(END_MS, ZoneInfo("Asia/Shanghai")).date() == dt.date(9600, 1, 1)
