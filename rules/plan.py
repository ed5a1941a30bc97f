"""The plan of a rule set: what the rest of the engine executes, made by ``rules.planner``.

It holds the fields to read of each stream, matchers, series and features (plain data), and per rule the compiled
conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rules.evaluate import Reader
from rules.model import Expr, Rule, Selector
from rules.models import ModelSpec

RULE_OPENS_TICKETS = 2
"""A flag of rules, as in ``state.tables`` (MAY_HAVE_TICKETS)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the conditions of a selector that must all hold.

    ``test`` takes the event's values, ``columns`` are the indices of those that it looks at; ``texts``: all of them are
    texts or null in every event, so that results can be remembered by them. Where the condition can be said as data it
    is: ``choices`` are the texts of which the (text) column must have one, ``compare`` the operator and the number with
    which the (number) column is compared, ``present`` whether the column must be other than null, or null, ``piece``
    what the (text) column must hold (``in``), begin with (``startswith``) or end with (``endswith``). ``clock``: the
    column is a time, and only its hour and weekday matter. The number and every integer up to 2**53 are exact as
    doubles.
    """

    test: Callable[[tuple[Any, ...]], Any]
    columns: tuple[int, ...]
    texts: bool = False
    choices: tuple[str, ...] | None = None
    compare: tuple[str, float] | None = None
    present: bool | None = None
    piece: tuple[str, str] | None = None
    clock: bool = False


@dataclass(frozen=True, slots=True)
class Matcher:
    """A selector: it matches the events of a stream (its code) of which all ``parts`` hold."""

    stream: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """What a customer remembers of the events of some matchers; the fields are those of ``state.specs.SeriesSpec``."""

    kind: str
    matchers: tuple[int, ...]
    columns: tuple[int | None, ...]
    retention_ms: int = 0
    period: str = ""
    timezone: str = ""
    ops: tuple[str, ...] = ()
    program: int = -1


@dataclass(frozen=True, slots=True)
class Feature:
    """A value read from a series; the fields are those of ``state.specs.FeatureSpec``."""

    series: int
    op: str
    window: str = ""
    size_ms: int = 0
    period: str = ""
    timezone: str = ""


@dataclass(slots=True)
class FeatureSet:
    """Series and features of one kind of row: the customer's, or those of an entity.

    ``aggregates`` are the expressions whose values the features are. ``entity_columns`` gives, for an entity, the
    column of its field by stream.
    """

    series: list[Series] = field(default_factory=list)
    features: list[Feature] = field(default_factory=list)
    aggregates: list[Expr] = field(default_factory=list)
    entity_columns: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class RulePlan:
    """A rule with its conditions compiled. Masks are bit sets over the plan's matchers.

    ``features`` are the customer's features that it reads, in the order in which an ``Evaluation`` has them;
    ``entity_features`` those of entities, by (``per=`` field, number). ``program`` is the number of its condition in
    ``Plan.programs``. The readers take an ``Evaluation``. Those of ``lets`` remember the value in it, those of
    ``computes`` do not; the ``payloads`` need the values of all lets there. ``kept_rises``: what its ``rises`` remember
    is kept with the customer's row. ``models``: those whose scores it reads.
    """

    rule: Rule
    trigger_mask: int
    unless_mask: int
    features: tuple[int, ...]
    entity_features: tuple[tuple[str, int], ...]
    program: int
    rises: int
    kept_rises: bool
    lets: tuple[tuple[str, Reader], ...]
    computes: tuple[tuple[str, Reader], ...]
    when: Reader | None
    payloads: tuple[Reader, ...]
    models: tuple[ModelSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnLayout:
    """Which fields of a stream travel as words and as hashes: by stream, columns of ``Plan.fields`` in slot order."""

    words: dict[str, tuple[int, ...]] = field(default_factory=dict)
    hashes: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class Programs:
    """The conditions as instructions: those of the rules, then those of streaks; ``state.specs.ProgramSpec``."""

    code: list[tuple[int, int]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    matches: list[tuple[int, int, int, int]] = field(default_factory=list)
    captures: list[tuple[int, ...]] = field(default_factory=list)
    rule_flags: list[int] = field(default_factory=list)
    armed_bits: list[int] = field(default_factory=list)
    profile_matchers: list[int] = field(default_factory=list)
    profile_slots: list[int] = field(default_factory=list)
    clocks: list[tuple[str, str]] = field(default_factory=list)
    holding_columns: list[tuple[str, str]] = field(default_factory=list)
    rises: int = 0
    rise_counts: list[int] = field(default_factory=list)
    keeps_profiles: bool = False
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """A model with its features compiled. Masks are bit sets over the plan's matchers.

    ``programs`` are the numbers of its features' programs in ``ModelRows.programs``, consecutive; ``entity_features``
    are those of entities that they read.
    """

    spec: ModelSpec
    scored_mask: int
    label_mask: int
    programs: range
    entity_features: tuple[tuple[str, int], ...]


@dataclass(slots=True)
class ModelRows:
    """What is remembered of customers for the models' features, apart from what the rules remember."""

    models: tuple[ModelPlan, ...] = ()
    customer: FeatureSet = field(default_factory=FeatureSet)
    programs: Programs = field(default_factory=Programs)
    streaks: tuple[Expr, ...] = ()


@dataclass(slots=True)
class Plan:
    """Everything the engine needs of a rule set.

    ``fields`` gives, by stream, the names of the fields that are read. ``entities`` gives, by the name of a ``per=``
    field, its feature set. ``rules`` are in the order in which they are decided; the rules' programs have their
    numbers. ``selectors`` are those of the matchers, ``streaks`` the conditions of the series that have one. ``layout``
    says which fields reach the kernels. ``cooldowns_ms``: by rule id, also of rules that are paused, as they may go on.
    ``scored``: the models, and what is remembered for them.
    """

    fields: dict[str, tuple[str, ...]]
    matchers: list[Matcher]
    customer: FeatureSet
    entities: dict[str, FeatureSet]
    rules: list[RulePlan]
    programs: Programs
    selectors: tuple[Selector, ...]
    streaks: tuple[Expr, ...]
    layout: ColumnLayout = field(default_factory=ColumnLayout)
    cooldowns_ms: dict[str, int] = field(default_factory=dict)
    scored: ModelRows = field(default_factory=ModelRows)

    @property
    def is_answered(self) -> bool:
        """Whether rules or models read what other stages than the customer's have to say."""
        return bool(self.entities or self.scored.models)

    @property
    def entity_readers(self) -> list[tuple[int, tuple[tuple[str, int], ...]]]:
        """Whose anchors read entities' features: the masks of rules and models, and the features."""
        rules = [(rule.trigger_mask, rule.entity_features) for rule in self.rules]
        return rules + [(model.scored_mask, model.entity_features) for model in self.scored.models]

    def profile_column(self, name: str) -> int | None:
        """The column of a profile attribute, none if the plan does not read it."""
        names = self.fields["profile"]
        return names.index(name) if name in names else None
