"""Business time against a computation that goes minute by minute, over changes of the clocks."""

import datetime as dt
import itertools
import pickle
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.business_time import BusinessTime
from state.calendar import MAX_LOCAL_MS

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
SHIFTS = [(540, 720), (810, 1080)]
CHINA_WEEK = [SHIFTS] * 5 + [[], []]
# the clocks change by day, over midnight, by half an hour; a whole day that never was
PLACES = [
    ("Asia/Shanghai", dt.date(2026, 2, 10)),
    ("America/New_York", dt.date(2026, 3, 3)),
    ("America/New_York", dt.date(2026, 10, 27)),
    ("America/Havana", dt.date(2026, 3, 3)),
    ("America/Havana", dt.date(2026, 10, 27)),
    ("America/St_Johns", dt.date(2010, 11, 3)),
    ("Australia/Lord_Howe", dt.date(2026, 4, 1)),
    ("Pacific/Apia", dt.date(2011, 12, 25)),
]
SPAN_DAYS = 11
many = settings(max_examples=200, deadline=None)


def ms(text, zone="Asia/Shanghai"):
    local = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return round(local.timestamp() * 1000)


@st.composite
def hours(draw):
    marks = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
    return [(15 * a, 15 * b) for a, b in zip(marks[::2], marks[1::2], strict=False)]


@st.composite
def calendars(draw):
    zone, first = draw(st.sampled_from(PLACES))
    week = [draw(hours()) for _ in range(7)]
    dates = st.integers(0, SPAN_DAYS - 1).map(lambda n: first + dt.timedelta(days=n))
    days = draw(st.dictionaries(dates, hours(), max_size=4))
    return zone, first, week, days


def utc_minute(zone, date, minute):
    date += dt.timedelta(days=minute // 1440)
    local = dt.datetime.combine(date, dt.time(minute % 1440 // 60, minute % 60), ZoneInfo(zone))
    return int((local - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()) // 60


def open_minutes(zone, date, week, days):
    """The UTC minutes in which the date is open."""
    listed = days.get(date, week[date.weekday()])
    whole = range(utc_minute(zone, date, 0), utc_minute(zone, date, 1440))
    return {m for a, b in listed for m in range(utc_minute(zone, date, a), utc_minute(zone, date, b)) if m in whole}


@many
@given(st.data(), calendars())
def test_against_counting_minutes(data, calendar):
    zone, first, week, days = calendar
    time = BusinessTime(zone, week, days)
    dates = [first + dt.timedelta(days=n) for n in range(SPAN_DAYS)]
    minutes = {date: open_minutes(zone, date, week, days) for date in dates}
    is_open = set().union(*minutes.values())
    # whole days at both ends, so that nothing open lies outside what was counted
    begin_ms, end_ms = (utc_minute(zone, date, 0) * MINUTE_MS for date in (dates[2], dates[-2]))
    start_ms = data.draw(st.integers(begin_ms, end_ms))
    to_ms = data.draw(st.integers(start_ms, end_ms))

    def overlap(minute, upto_ms):
        return max(0, min((minute + 1) * MINUTE_MS, upto_ms) - max(minute * MINUTE_MS, start_ms))

    span = range(start_ms // MINUTE_MS, end_ms // MINUTE_MS + 1)
    assert time.between_ms(start_ms, to_ms) == sum(overlap(m, to_ms) for m in span if m in is_open)
    available = sum(overlap(m, end_ms) for m in span if m in is_open)
    wanted = data.draw(st.integers(0, available))
    left, answer = wanted, start_ms
    for minute in span:
        if left and minute in is_open:
            here = overlap(minute, end_ms)
            if here >= left:
                answer = max(minute * MINUTE_MS, start_ms) + left
            left -= min(left, here)
    assert time.add_ms(start_ms, wanted) == answer

    today = dt.datetime.fromtimestamp(start_ms // 1000, ZoneInfo(zone)).date()
    closes = [max(minutes[date]) + 1 for date in dates if date > today and minutes[date]]
    for number, minute in enumerate(closes, start=1):
        assert time.workday_close_ms(start_ms, number) == minute * MINUTE_MS
    own = minutes.get(today)
    assert time.workday_close_ms(start_ms, 0) == ((max(own) + 1) * MINUTE_MS if own else None)
    for number in range((dates[-1] - today).days):
        assert time.day_end_ms(start_ms, number) == utc_minute(zone, today, 1440 * (number + 1)) * MINUTE_MS


@cache
def new_york():
    return BusinessTime("America/New_York", [[(90, 150), (540, 1020)]] * 5 + [[(0, 1440)], []], {})


@many
@given(st.integers(ms("2025-01-01"), ms("2030-01-01")), st.integers(0, 400 * HOUR_MS), st.integers(0, 60 * DAY_MS))
def test_identities(start_ms, open_ms, later_ms):
    time = new_york()
    end_ms = time.add_ms(start_ms, open_ms)
    assert end_ms is not None
    assert time.between_ms(start_ms, end_ms) == open_ms
    assert open_ms == 0 or time.between_ms(start_ms, end_ms - 1) == open_ms - 1
    middle_ms = min(end_ms, start_ms + later_ms)
    assert time.between_ms(start_ms, middle_ms) + time.between_ms(middle_ms, end_ms) == open_ms
    assert time.add_ms(middle_ms, time.between_ms(middle_ms, end_ms)) == end_ms or middle_ms == end_ms


def test_a_deadline_is_at_the_closing_and_not_at_the_next_opening():
    time = BusinessTime("Asia/Shanghai", CHINA_WEEK, {dt.date(2026, 3, 4): []})
    start_ms = ms("2026-03-02 17:00")
    assert time.add_ms(start_ms, HOUR_MS) == ms("2026-03-02 18:00")
    assert time.add_ms(start_ms, HOUR_MS + 1) == ms("2026-03-03 09:00") + 1
    assert time.add_ms(ms("2026-03-02 11:30"), HOUR_MS // 2) == ms("2026-03-02 12:00")
    assert time.add_ms(ms("2026-03-03 18:00"), 1) == ms("2026-03-05 09:00") + 1
    assert time.add_ms(ms("2026-03-02 20:00"), 0) == ms("2026-03-02 20:00")


def test_days_over_changes_of_the_clocks():
    time = new_york()
    # Saturday, open all day, and the Monday after a Sunday of 23 hours
    assert time.day_end_ms(ms("2026-03-07 12:00", "America/New_York"), 1) == ms("2026-03-09", "America/New_York")
    assert ms("2026-03-09", "America/New_York") - ms("2026-03-08", "America/New_York") == 23 * HOUR_MS
    always = BusinessTime("America/New_York", [[(0, 1440)]] * 7, {})
    assert always.between_ms(ms("2026-03-08", "America/New_York"), ms("2026-03-09", "America/New_York")) == 23 * HOUR_MS
    assert always.add_ms(ms("2026-10-31 12:00", "America/New_York"), 37 * HOUR_MS) == ms(
        "2026-11-02 00:00", "America/New_York"
    )


def test_hours_that_the_clocks_push_into_one_another():
    # 02:00 to 03:00 is skipped: half past two is half past three, when the second interval has begun
    time = BusinessTime("America/New_York", [[]] * 7, {dt.date(2026, 3, 8): [(120, 150), (180, 240)]})
    day = [ms("2026-03-08", "America/New_York"), ms("2026-03-09", "America/New_York")]
    assert time.between_ms(*day) == HOUR_MS
    assert time.add_ms(day[0], HOUR_MS) == ms("2026-03-08 04:00", "America/New_York")
    # the 30th of December was left out
    apia = BusinessTime("Pacific/Apia", [[]] * 7, {dt.date(2011, 12, 30): [(540, 1080)]})
    assert apia.between_ms(ms("2011-12-01", "Pacific/Apia"), ms("2012-02-01", "Pacific/Apia")) == 0
    assert apia.workday_close_ms(ms("2011-12-28", "Pacific/Apia"), 1) is None


def test_clocks_set_back_over_midnight():
    # at 00:01 on the 7th it is 23:01 on the 6th again
    time = BusinessTime("America/St_Johns", [[]] * 7, {dt.date(2010, 11, 7): [(0, 60)]})
    midnight_ms = ms("2010-11-07", "America/St_Johns")
    assert time.between_ms(midnight_ms, midnight_ms + 30 * MINUTE_MS) == 30 * MINUTE_MS
    assert time.between_ms(midnight_ms - DAY_MS, midnight_ms + DAY_MS) == 2 * HOUR_MS
    assert time.add_ms(midnight_ms + 30 * MINUTE_MS, HOUR_MS) == midnight_ms + 90 * MINUTE_MS
    assert time.workday_close_ms(midnight_ms + 30 * MINUTE_MS, 1) == midnight_ms + 2 * HOUR_MS


def test_never_open():
    never = BusinessTime("Asia/Shanghai", [[]] * 7, {dt.date(2026, 3, 4): [(540, 600)]})
    assert never.add_ms(ms("2026-03-02"), HOUR_MS) == ms("2026-03-04 10:00")
    assert never.add_ms(ms("2026-03-02"), HOUR_MS + 1) is None
    assert never.add_ms(ms("2026-03-05"), 1) is None
    assert never.workday_close_ms(ms("2026-03-02"), 1) == ms("2026-03-04 10:00")
    assert never.workday_close_ms(ms("2026-03-02"), 2) is None
    assert never.workday_close_ms(ms("2026-03-02"), 0) is None
    assert never.between_ms(ms("2020-01-01"), ms("2030-01-01")) == HOUR_MS
    assert BusinessTime("UTC", [[]] * 7, {}).add_ms(0, 1) is None


def test_too_far_ahead():
    rare = BusinessTime("UTC", [[(0, 1)], [], [], [], [], [], []], {})
    assert rare.add_ms(0, 1_000 * MINUTE_MS) is not None
    assert rare.add_ms(0, 2_000 * MINUTE_MS) is None
    assert rare.workday_close_ms(0, 2_000) is None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York", "Pacific/Kiritimati"])
def test_the_end_of_the_calendar(zone):
    time = BusinessTime(zone, [[(0, 1440)]] * 7, {})
    for start_ms in (MAX_LOCAL_MS - 5 * DAY_MS, MAX_LOCAL_MS, MAX_LOCAL_MS + DAY_MS):
        assert time.add_ms(start_ms, 30 * DAY_MS) is None
        assert time.workday_close_ms(start_ms, 30) is None
        assert time.between_ms(start_ms, start_ms + DAY_MS) <= DAY_MS
        ends = [time.day_end_ms(start_ms, days) for days in range(40)]
        assert start_ms < ends[0] <= start_ms + DAY_MS
        assert {b - a for a, b in itertools.pairwise(ends)} == {DAY_MS}
    assert time.day_end_ms(MAX_LOCAL_MS, 1_000_000) > MAX_LOCAL_MS + 999_999 * DAY_MS


def test_wrong_hours():
    for hours_of_a_day in ([(10, 10)], [(600, 540)], [(0, 1441)], [(-1, 5)], [(0, 60), (50, 70)], [(60, 70), (0, 10)]):
        with pytest.raises(ValueError, match="opening hours"):
            BusinessTime("UTC", [hours_of_a_day] + [[]] * 6, {})
        with pytest.raises(ValueError, match="opening hours"):
            BusinessTime("UTC", [[]] * 7, {dt.date(2026, 1, 1): hours_of_a_day})
    with pytest.raises(ValueError, match="7 days"):
        BusinessTime("UTC", [[]] * 6, {})


def test_what_is_remembered_does_not_matter():
    fresh = BusinessTime("Asia/Shanghai", CHINA_WEEK, {})
    worn = pickle.loads(pickle.dumps(fresh))
    for start_ms in range(0, 40_000 * DAY_MS, 5 * DAY_MS):
        worn.add_ms(start_ms, 4 * HOUR_MS)
    assert len(worn._intervals) <= 4_096
    for start_ms in range(ms("2026-01-01"), ms("2026-01-20"), 7 * HOUR_MS):
        assert worn.add_ms(start_ms, 11 * HOUR_MS) == fresh.add_ms(start_ms, 11 * HOUR_MS)
