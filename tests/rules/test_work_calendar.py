"""Calendar files, the shipped one by the State Council's notices."""

import datetime as dt
import random
import re
from pathlib import Path

import pytest

from rules.work_calendar import ALWAYS, WorkCalendar, load_calendar, shipped_calendar

HEAD = "version: 1\ncovers: {from: 2026-01-01, to: 2026-12-31}\nsources: [{year: 2026, source: notice}]\n"
OFFICE = ((540, 720), (810, 1080))


def loaded(path: Path) -> WorkCalendar:
    got, found = load_calendar(path)
    assert got is not None, [str(problem) for problem in found]
    assert found == []
    return got


def calendar(tmp_path: Path, text: str) -> WorkCalendar:
    path = tmp_path / "bank.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    return loaded(path)


def china() -> WorkCalendar:
    path = shipped_calendar("china")
    assert path is not None
    return loaded(path)


def test_every_part(tmp_path: Path) -> None:
    got = calendar(
        tmp_path,
        """
name: 总行
timezone: America/New_York
week: {mon: ["13:30-18:00", "09:00 - 12:00"], tue: ["00:00-24:00"], wed: , sat: []}
holidays: [{from: 2026-02-16, to: "2026-02-18", name: 春节}, 2026-01-01, {from: '2026-05-01'}]
workdays:
  [2026-02-14, "2026-02-15", {date: 2026-02-28, as: tue, name: 春节}, {date: 2026-03-01, hours: ["09:00-12:00"]}]
days: {2026-02-16: ["09:00-12:00"], "2026-03-03": []}
""",
    )
    assert got == WorkCalendar(
        "总行",
        "America/New_York",
        (OFFICE, ((0, 1440),), (), (), (), (), ()),
        {
            dt.date(2026, 1, 1): (),
            dt.date(2026, 2, 14): OFFICE,
            dt.date(2026, 2, 15): OFFICE,
            dt.date(2026, 2, 16): ((540, 720),),
            dt.date(2026, 2, 17): (),
            dt.date(2026, 2, 18): (),
            dt.date(2026, 2, 28): ((0, 1440),),
            dt.date(2026, 3, 1): ((540, 720),),
            dt.date(2026, 3, 3): (),
            dt.date(2026, 5, 1): (),
        },
        dt.date(2026, 1, 1),
        dt.date(2026, 12, 31),
        ("2026: notice",),
    )
    assert hash(got) == hash(got)


def test_the_least_file(tmp_path: Path) -> None:
    got = calendar(tmp_path, 'week: {fri: ["00:00-24:00"]}\nholidays:\nworkdays: ~\ndays:\n')
    assert (got.name, got.timezone, dict(got.days)) == ("bank", "Asia/Shanghai", {})
    assert got.week == ((), (), (), (), ((0, 1440),), (), ())


def test_always() -> None:
    assert ALWAYS.week == (((0, 1440),),) * 7
    assert not ALWAYS.days


@pytest.mark.parametrize("name", ["", "japan", "../calendars/china", "china.yaml", "a/b", "\0", "China"])
def test_there_is_no_other_calendar(name: str) -> None:
    assert shipped_calendar(name) is None


def dates(*spans: tuple[str, str]) -> set[dt.date]:
    ends = [[dt.date.fromisoformat(day) for day in span] for span in spans]
    return {first + dt.timedelta(days=n) for first, last in ends for n in range((last - first).days + 1)}


def test_china_is_as_announced() -> None:
    got = china()
    assert (got.name, got.timezone) == ("china", "Asia/Shanghai")
    assert got.week == (OFFICE,) * 5 + ((), ())
    assert (got.first, got.last) == (dt.date(2025, 1, 1), dt.date(2026, 12, 31))
    assert [source[:4] for source in got.sources] == ["2025", "2026"]
    assert "国办发明电〔2024〕12号" in got.sources[0]
    assert "国办发明电〔2025〕7号" in got.sources[1]
    closed = {day for day, hours in got.days.items() if not hours}
    # the notices give the number of days of each: 1, 8, 3, 5, 3, 8 and 3, 9, 3, 5, 3, 3, 7
    assert len(closed) == 28 + 33
    assert closed == dates(
        ("2025-01-01", "2025-01-01"),
        ("2025-01-28", "2025-02-04"),
        ("2025-04-04", "2025-04-06"),
        ("2025-05-01", "2025-05-05"),
        ("2025-05-31", "2025-06-02"),
        ("2025-10-01", "2025-10-08"),
        ("2026-01-01", "2026-01-03"),
        ("2026-02-15", "2026-02-23"),
        ("2026-04-04", "2026-04-06"),
        ("2026-05-01", "2026-05-05"),
        ("2026-06-19", "2026-06-21"),
        ("2026-09-25", "2026-09-27"),
        ("2026-10-01", "2026-10-07"),
    )
    made_up = {day for day, hours in got.days.items() if hours}
    assert all(got.days[day] == OFFICE and day.weekday() >= 5 for day in made_up)
    assert sorted(f"{day:%Y-%m-%d}" for day in made_up) == [
        *("2025-01-26", "2025-02-08", "2025-04-27", "2025-09-28", "2025-10-11"),
        *("2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-09-20", "2026-10-10"),
    ]
    # 13 days off a year are law, and what is taken off beyond them is worked at a weekend
    for year in (2025, 2026):
        off = sum(day.weekday() < 5 for day in closed if day.year == year)
        assert off == 13 + sum(day.year == year for day in made_up)


def test_the_example_of_the_document(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "calendars.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"^```yaml calendar\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    path = tmp_path / "calendar.yaml"
    path.write_text(body, encoding="utf-8")
    got = loaded(path)
    assert got.days[dt.date(2026, 10, 11)] == got.days[dt.date(2026, 2, 23)] == ((540, 720),)
    assert got.week[5] == ((600, 960),)


def test_nothing_raises(tmp_path: Path) -> None:
    source = shipped_calendar("china")
    assert source is not None
    text = source.read_text(encoding="utf-8")
    seed = random.Random(7)
    path = tmp_path / "broken.yaml"
    for _ in range(60):
        at, size = seed.randrange(len(text)), seed.randrange(12)
        other = seed.choice(["", "[", "{}", ": ", "~", "2026-01-01", "0", "- ", '"'])
        path.write_text(text[:at] + other + text[at + size :], encoding="utf-8")
        got, found = load_calendar(path)
        assert (got is None) == any(problem.is_error for problem in found)
    got, found = load_calendar(tmp_path / "nowhere.yaml")
    assert got is None
    assert [problem.code for problem in found] == ["E001"]
