"""What this package reads of a plan: series, features and programs as plain data, made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class SeriesSpec(Protocol):
    """A series that some features share. ``columns`` are fields of the events, one per matcher.

    ``kind``: ``times sums minima maxima values totals latest sequence run condition_run``.
    ``retention_ms`` is the longest window that reads it. ``ops`` and ``program`` belong to ``condition_run``.
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
    def program(self) -> int: ...


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


class ProgramSpec(Protocol):
    """The conditions as instructions for ``state.machine``: those of the rules first, then those of streaks.

    ``code``: pairs of operation and argument; ``starts``: by program, its first instruction. ``matches``: stream, word
    and bit of a matcher, and what holds for events of other streams. ``captures``: by rule, the features whose values
    are wanted where the condition may hold. ``rule_flags``: by rule, the flags of ``state.tables`` that a row gets
    where it may hold; ``armed_bits``: by rule, its bit among those that wait for their deadline. ``profile_matchers``
    and ``profile_slots``: what a row keeps of its profile event. ``clocks``: kinds of period (``hour`` and ``weekday``
    among them) with timezones that programs name by their place. ``holding_columns``: fields of holdings and whether
    they are wanted as a ``number`` or a ``date``. ``rises``: the number of ``rises`` calls of all rules;
    ``rise_counts``: by rule. ``keeps_profiles``: whether anything outside the programs looks at profiles.
    ``approximate``: whether the nearest double will do where a double does not show a number exactly.
    """

    @property
    def code(self) -> Sequence[tuple[int, int]]: ...
    @property
    def starts(self) -> Sequence[int]: ...
    @property
    def constants(self) -> Sequence[float]: ...
    @property
    def matches(self) -> Sequence[tuple[int, int, int, int]]: ...
    @property
    def captures(self) -> Sequence[Sequence[int]]: ...
    @property
    def rule_flags(self) -> Sequence[int]: ...
    @property
    def armed_bits(self) -> Sequence[int]: ...
    @property
    def profile_matchers(self) -> Sequence[int]: ...
    @property
    def profile_slots(self) -> Sequence[int]: ...
    @property
    def clocks(self) -> Sequence[tuple[str, str]]: ...
    @property
    def holding_columns(self) -> Sequence[tuple[str, str]]: ...
    @property
    def rises(self) -> int: ...
    @property
    def rise_counts(self) -> Sequence[int]: ...
    @property
    def keeps_profiles(self) -> bool: ...
    @property
    def approximate(self) -> bool: ...
