"""Turns selectors and aggregates into matchers, series and features, each once however many rules use it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rules import model as m
from rules.habits import Habit
from rules.plan import ColumnLayout, Feature, FeatureSet, Matcher, Series
from rules.plan_parts import split_parts
from rules.walk import walk

AGGREGATES = m.Aggregate | m.Latest | m.Age | m.Novel | m.Sequence | m.Streak | Habit

HASHED = ("values", "unusual_value")
"""Kinds of series that read the hash of their field, not its scalar."""

_PERIOD_MAX_MS = {"day": 2 * 86_400_000, "week": 8 * 86_400_000, "month": 32 * 86_400_000}
_CALENDAR_MS = 253_402_300_800_000
"""From 1970 to the end of the year 9999: a window that long holds all events, and kernels keep times in 48 bits."""
_SERIES_KIND = {
    "count": "times",
    "sum": "sums",
    "mean": "sums",
    "std": "sums",
    "min": "minima",
    "max": "maxima",
    "distinct": "values",
}


class FeaturePlanner:
    """Collects what is read of the events. A column, matcher or feature keeps its number once it has one."""

    def __init__(
        self, aggregates: Iterable[m.Expr], *, share_squares: bool = False, beside: FeaturePlanner | None = None
    ) -> None:
        """``beside``: for other rows of the same customers; it has the columns, matchers and entities of this one."""
        self.columns: dict[str, dict[str, int]] = {stream: {} for stream in m.STREAMS}
        self.matchers: list[Matcher] = []
        self.customer = FeatureSet()
        self.entities: dict[str, FeatureSet] = {}
        self.streaks: list[tuple[m.Expr, list[m.Expr]]] = []
        """Conditions of streaks, with the aggregates in them in the order of the series' parts."""
        self._slots: dict[bool, dict[str, dict[int, int]]] = {
            hashed: {stream: {} for stream in m.STREAMS} for hashed in (False, True)
        }
        self._matcher_numbers: dict[m.Selector, int] = {}
        self._numbers: dict[m.Expr, int] = {}
        self._entity_numbers: dict[m.Aggregate, tuple[str, int]] = {}
        if beside is not None:
            self.columns, self.matchers, self.entities = beside.columns, beside.matchers, beside.entities
            self._slots, self._matcher_numbers = beside._slots, beside._matcher_numbers
            self._entity_numbers = beside._entity_numbers
        self._shared_squares: set[tuple[str | None, m.Selector, str | None]] = set()
        self._retention_ms: dict[tuple[str | None, str, m.Selector, str | None], int] = {}
        names = set()
        for node in aggregates:
            self._note_retention(node)
            if isinstance(node, m.Aggregate) and node.per and node.per not in self.entities:
                names.add(node.per)
            if share_squares and isinstance(node, m.Aggregate) and node.op == "std" and node.window.kind == "ever":
                self._shared_squares.add((node.per, node.selector, node.field))
        for name in sorted(names):
            by_stream = {code: self.column(stream, name) for code, stream in enumerate(m.STREAMS)}
            self.entities[name] = FeatureSet(entity_columns=by_stream)

    @property
    def selectors(self) -> tuple[m.Selector, ...]:
        """The selectors of the matchers."""
        return tuple(self._matcher_numbers)

    # --- columns and matchers --------------------------------------------------------------------

    def column(self, stream: str, name: str) -> int:
        """The column of a stream's field."""
        columns = self.columns[stream]
        return columns.setdefault(name, len(columns))

    def _slot(self, stream: str, name: str, hashed: bool) -> int:
        slots = self._slots[hashed][stream]
        return slots.setdefault(self.column(stream, name), len(slots))

    def word_slot(self, stream: str, name: str) -> int:
        """The slot in which a field's scalar travels."""
        return self._slot(stream, name, False)

    def hash_slot(self, stream: str, name: str) -> int:
        """The slot in which the hash of a field travels."""
        return self._slot(stream, name, True)

    def layout(self) -> ColumnLayout:
        """Which columns travel in which slots."""
        words, hashes = (
            {stream: tuple(slots) for stream, slots in self._slots[hashed].items()} for hashed in (False, True)
        )
        return ColumnLayout(words, hashes)

    def matcher(self, selector: m.Selector) -> int:
        """The number of a selector's matcher."""
        known = self._matcher_numbers.get(selector)
        if known is not None:
            return known
        index = self._matcher_numbers[selector] = len(self.matchers)
        parts = split_parts(selector, lambda name: self.column(selector.stream, name))
        self.matchers.append(Matcher(m.STREAMS.index(selector.stream), parts))
        return index

    def mask(self, selectors: Sequence[m.Selector]) -> int:
        """The bits of some selectors' matchers."""
        return sum(1 << index for index in {self.matcher(selector) for selector in selectors})

    # --- features --------------------------------------------------------------------------------

    def _note_retention(self, node: m.Expr) -> None:
        """A shared series keeps what its longest window needs."""
        match node:
            case m.Aggregate(op, selector, name, window, per) if window.kind != "ever":
                key = (per, _SERIES_KIND[op], selector, name)
                size_ms = _PERIOD_MAX_MS[window.period] if window.kind == "this" else window.size_ms
            case m.Novel(selector, name, size_ms):
                key = (None, "values", selector, name)
            case _:
                return
        self._retention_ms[key] = max(_held_ms(size_ms), self._retention_ms.get(key, 0))

    def feature(self, node: m.Expr) -> int:
        """The number of a customer's feature."""
        known = self._numbers.get(node)
        if known is None:
            known = self._numbers[node] = len(self.customer.features)
            self.customer.features.append(self._build(node, self.customer))
            self.customer.aggregates.append(node)
        return known

    def entity_feature(self, node: m.Aggregate) -> tuple[str, int]:
        """The ``per=`` field and the number of an entity's feature."""
        known = self._entity_numbers.get(node)
        if known is None:
            assert node.per is not None
            feature_set = self.entities[node.per]
            known = self._entity_numbers[node] = (node.per, len(feature_set.features))
            feature_set.features.append(self._build(node, feature_set))
            feature_set.aggregates.append(node)
        return known

    def _build(self, node: m.Expr, into: FeatureSet) -> Feature:
        match node:
            case m.Aggregate(op, selector, name, window, per):
                if window.kind == "ever":  # squares have totals of their own: others need not begin anew when a rule
                    squares = op == "std" or (per, selector, name) in self._shared_squares  # asks for a deviation
                    ops = ("std",) if squares else ()
                    series = self._series(into, "totals", [selector], [name], ops=ops)
                    return Feature(series, op)
                kind = _SERIES_KIND[op]
                retention_ms = self._retention_ms[(per, kind, selector, name)]
                series = self._series(into, kind, [selector], [name], retention_ms=retention_ms)
                return Feature(series, op, window.kind, _held_ms(window.size_ms), window.period, window.timezone)
            case m.Latest(op, selector, name):
                return Feature(self._series(into, "latest", [selector], [name]), op)
            case m.Age(selector):
                return Feature(self._series(into, "latest", [selector], [None]), "age")
            case m.Novel(selector, name, within_ms):
                retention_ms = self._retention_ms[(None, "values", selector, name)]
                series = self._series(into, "values", [selector], [name], retention_ms=retention_ms)
                return Feature(series, "novel", "prior", _held_ms(within_ms))
            case m.Sequence(selectors, within_ms):
                series = self._series(into, "sequence", selectors, [None] * len(selectors))
                return Feature(series, "seq", "last", within_ms)
            case Habit(op, selector, name, timezone):
                period = "hour" if timezone else ""
                series = self._series(into, op, [selector], [name], period=period, timezone=timezone)
                return Feature(series, "habit")
            case m.Streak():
                return Feature(self._streak(node, into), "streak")
        raise AssertionError(node)

    def _series(self, into: FeatureSet, kind: str, selectors: Sequence[m.Selector], names: Sequence[str | None],
                retention_ms: int = 0, period: str = "", timezone: str = "", ops: tuple[str, ...] = (),
                program: int = -1) -> int:  # fmt: skip
        columns = tuple(
            None if name is None else self.column(selector.stream, name)
            for selector, name in zip(selectors, names, strict=True)
        )
        matchers = tuple(self.matcher(selector) for selector in selectors)
        series = Series(kind, matchers, columns, retention_ms, period, timezone, ops, program)
        for selector, name in zip(selectors, names, strict=True):
            if name is not None:
                self._slot(selector.stream, name, kind in HASHED)
        if series in into.series:
            return into.series.index(series)
        into.series.append(series)
        return len(into.series) - 1

    def _streak(self, node: m.Streak, into: FeatureSet) -> int:
        if node.selector is not None:
            return self._series(into, "run", [node.selector], [None], period=node.period, timezone=node.timezone)
        assert node.condition is not None
        parts = list(dict.fromkeys(part for part in walk(node.condition) if isinstance(part, m.Aggregate)))
        streak = (node.condition, list[m.Expr](parts))
        if streak not in self.streaks:
            self.streaks.append(streak)
        return self._series(
            into, "condition_run", [p.selector for p in parts], [p.field for p in parts],
            period=node.period, timezone=node.timezone, ops=tuple(p.op for p in parts),
            program=self.streaks.index(streak),
        )  # fmt: skip


def _held_ms(size_ms: int) -> int:
    """A window's length as it matters."""
    return min(size_ms, _CALENDAR_MS)
