"""Executes a plan's series and features over rows: one row per customer (or per entity).

The plan is plain data, made elsewhere; the protocols below say what is read of it. A row is a dict from series
index to series object, filled as events come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from state.calendar import Periods
from state.event import Event, value_key
from state.patterns import ConditionRun, LatestEvent, PeriodRun, SequenceProgress
from state.series import Extremes, Sums, Times, Totals, ValueTimes

Row = dict[int, Any]
Adder = Callable[[Row, Event], None]
FeatureReader = Callable[[Row, int, Event | None], Any]
"""Takes a row, the time of the evaluation in ms and the anchor (none at a tick); gives the feature's value."""

_REMEMBERED_MASKS = 8_192
"""Combinations of selectors that events match are few; rules that make them many cost a look at every series."""

_TRIM_EVERY = 127  # a series looks for stale entries whenever its length has these bits all zero


class SeriesSpec(Protocol):
    """A series that some features share. ``columns`` are indices into ``Event.values``, one per matcher.

    ``kind``: ``times sums minima maxima values totals latest sequence run condition_run``.
    ``retention_ms`` is the longest window that reads it. ``ops`` and ``condition`` belong to ``condition_run``.
    """

    @property
    def kind(self) -> str: ...
    @property
    def matchers(self) -> tuple[int, ...]: ...
    @property
    def columns(self) -> tuple[int | None, ...]: ...
    @property
    def retention_ms(self) -> int: ...
    @property
    def period(self) -> str: ...
    @property
    def timezone(self) -> str: ...
    @property
    def ops(self) -> tuple[str, ...]: ...
    @property
    def condition(self) -> Callable[[Sequence[Any]], bool] | None: ...


class FeatureSpec(Protocol):
    """A value read from a series: ``op`` over a window.

    ``window``: ``last``, ``prior``, ``this`` or empty.
    """

    @property
    def series(self) -> int: ...
    @property
    def op(self) -> str: ...
    @property
    def window(self) -> str: ...
    @property
    def size_ms(self) -> int: ...
    @property
    def period(self) -> str: ...
    @property
    def timezone(self) -> str: ...


class SeriesBook:
    """The adders and readers of a plan."""

    def __init__(self, series: Sequence[SeriesSpec], features: Sequence[FeatureSpec]) -> None:
        self._periods: dict[tuple[str, str], Periods] = {}
        self._adders = [self._adder(i, spec) for i, spec in enumerate(series)]
        self._bits = [sum(1 << matcher for matcher in set(self._fed_by(spec))) for spec in series]
        self.adders = lru_cache(_REMEMBERED_MASKS)(self._adders_of)
        """What to call, with the row and the event, for an event that matched a mask."""
        self.readers = [self._reader(feature, series[feature.series]) for feature in features]

    def _adders_of(self, mask: int) -> tuple[Adder, ...]:
        return tuple(add for add, bits in zip(self._adders, self._bits, strict=True) if bits & mask)

    @staticmethod
    def _fed_by(spec: SeriesSpec) -> tuple[int, ...]:
        return spec.matchers[:-1] if spec.kind == "sequence" else spec.matchers

    def _period(self, period: str, timezone: str) -> Periods:
        return self._periods.setdefault((period, timezone), Periods(period, timezone))

    # --- adders ----------------------------------------------------------------------------------

    def _adder(self, index: int, spec: SeriesSpec) -> Adder:
        column = spec.columns[0]
        if spec.kind in ("times", "sums", "minima", "maxima", "values"):
            return _windowed_adder(index, spec)
        if spec.kind == "totals":

            def add_total(row: Row, event: Event) -> None:
                totals = row.get(index)
                if totals is None:
                    totals = row[index] = Totals()
                totals.add(None if column is None else event.values[column])

            return add_total
        if spec.kind == "latest":

            def set_latest(row: Row, event: Event) -> None:
                latest = row.get(index)
                if latest is None:
                    latest = row[index] = LatestEvent()
                latest.set(event.effective_ms, None if column is None else event.values[column])

            return set_latest
        if spec.kind == "sequence":
            steps = spec.matchers[:-1]

            def add_step(row: Row, event: Event) -> None:
                progress = row.get(index)
                if progress is None:
                    progress = row[index] = SequenceProgress(len(spec.matchers))
                progress.add(event.ts_ms, [bool(event.mask >> matcher & 1) for matcher in steps])

            return add_step
        periods = self._period(spec.period, spec.timezone)
        if spec.kind == "run":

            def add_period(row: Row, event: Event) -> None:
                run = row.get(index)
                if run is None:
                    run = row[index] = PeriodRun()
                run.add(periods.number(event.effective_ms))

            return add_period
        return self._condition_adder(index, spec, periods)

    @staticmethod
    def _condition_adder(index: int, spec: SeriesSpec, periods: Periods) -> Adder:
        holds = spec.condition
        assert holds is not None
        parts = tuple(zip(spec.matchers, spec.columns, strict=True))

        def add(row: Row, event: Event) -> None:
            run = row.get(index)
            if run is None:
                run = row[index] = ConditionRun(len(parts))
            run.advance(periods.number(event.effective_ms), spec.ops, holds)
            for totals, (matcher, column) in zip(run.totals, parts, strict=True):
                if event.mask >> matcher & 1:
                    totals.add(None if column is None else event.values[column])

        return add

    # --- readers ---------------------------------------------------------------------------------

    def _after(self, feature: FeatureSpec) -> Callable[[int], int]:
        """The exclusive lower bound of the feature's window, from the time of the evaluation."""
        if feature.window == "this":
            periods = self._period(feature.period, feature.timezone)
            return lambda t: periods.start_ms(t) - 1
        size_ms = feature.size_ms
        return lambda t: t - size_ms

    def _reader(self, feature: FeatureSpec, spec: SeriesSpec) -> FeatureReader:
        index, op = feature.series, feature.op
        if spec.kind in ("times", "sums", "minima", "maxima"):
            return self._windowed_reader(feature, spec)
        if spec.kind == "values":
            return self._values_reader(feature, spec)
        if spec.kind == "totals":
            return lambda row, t, event: (
                row[index].read(op) if index in row else (0 if op in ("count", "sum") else None)
            )
        if spec.kind == "latest":
            if op == "age":
                return lambda row, t, event: (t - row[index].effective_ms) / 1000 if index in row else None
            return lambda row, t, event: row[index].value if index in row else None
        if spec.kind == "sequence":
            last_bit, after = 1 << spec.matchers[-1], self._after(feature)
            return lambda row, t, event: (
                event is not None
                and bool(event.mask & last_bit)
                and index in row
                and row[index].complete(event.ts_ms, after(t))
            )
        periods = self._period(spec.period, spec.timezone)
        if spec.kind == "run":
            return lambda row, t, event: row[index].read(periods.number(t)) if index in row else 0
        holds, ops = spec.condition, spec.ops
        assert holds is not None

        def read_run(row: Row, t: int, event: Event | None) -> int:
            run = row.get(index)
            if run is None:
                return 0
            run.advance(periods.number(t), ops, holds)
            return int(run.read(ops, holds))

        return read_run

    def _windowed_reader(self, feature: FeatureSpec, spec: SeriesSpec) -> FeatureReader:
        index, op, after = feature.series, feature.op, self._after(feature)
        if spec.kind == "times":
            return lambda row, t, event: row[index].count(after(t)) if index in row else 0
        if spec.kind == "sums":
            empty = 0 if op == "sum" else None
            return lambda row, t, event: row[index].read(op, after(t)) if index in row else empty
        return lambda row, t, event: row[index].read(after(t)) if index in row else None

    def _values_reader(self, feature: FeatureSpec, spec: SeriesSpec) -> FeatureReader:
        index, after = feature.series, self._after(feature)
        if feature.op == "distinct":
            return lambda row, t, event: row[index].distinct(after(t)) if index in row else 0
        bit, column = 1 << spec.matchers[0], spec.columns[0]
        assert column is not None

        def novel(row: Row, t: int, event: Event | None) -> bool:
            if event is None or not event.mask & bit or event.values[column] is None:
                return False
            return index not in row or not row[index].seen(value_key(event.values[column]), after(t))

        return novel


def _windowed_adder(index: int, spec: SeriesSpec) -> Adder:
    """An adder to a series of own times, which drops stale entries now and then."""
    column, retention_ms = spec.columns[0], spec.retention_ms
    if spec.kind == "times":

        def add_time(row: Row, event: Event) -> None:
            times = row.get(index)
            if times is None:
                times = row[index] = Times()
            times.add(event.ts_ms)
            if not len(times.times) & _TRIM_EVERY:
                times.trim(event.effective_ms - retention_ms)

        return add_time
    assert column is not None
    numeric = spec.kind != "values"
    create: Callable[[], Any] = {
        "sums": Sums,
        "minima": lambda: Extremes(1),
        "maxima": lambda: Extremes(-1),
        "values": ValueTimes,
    }[spec.kind]

    def add_value(row: Row, event: Event) -> None:
        x = event.values[column]
        if numeric:
            if type(x) is not int and type(x) is not float:
                return
        elif x is None:
            return
        series = row.get(index)
        if series is None:
            series = row[index] = create()
        series.add(event.ts_ms, x if numeric else value_key(x))
        if not len(series.times) & _TRIM_EVERY:
            series.trim(event.effective_ms - retention_ms)

    return add_value
