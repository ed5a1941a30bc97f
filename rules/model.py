"""The rule set as data: what the loader makes of a YAML file and the planner reads.

Expression nodes are frozen and compare by value, so that equal aggregates of different rules are one
feature. Null is Python's ``None``. Durations are integer milliseconds, times integer milliseconds
since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rules.models import ModelSpec
    from rules.rule_tests import RuleTest

STREAMS = ("profile", "ticket", "label", "click", "txn", "feedback")
"""The six streams, in the order in which events of one effective time are processed."""

CLASSES = ("service", "marketing", "survey", "risk")
KINDS = ("ticket", "survey", "alert", "tag", "notify", "escalate")
STATUSES = ("live", "shadow", "paused")


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a rule file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Expr:
    """Base of every expression node."""


@dataclass(frozen=True, slots=True)
class Literal(Expr):
    """A number, string, boolean or null.

    ``type_name`` keeps ``1``, ``1.0`` and ``True`` apart, which compare equal in Python.
    """

    value: Any
    type_name: str

    @classmethod
    def of(cls, value: Any) -> Literal:
        return cls(value, type(value).__name__)


@dataclass(frozen=True, slots=True)
class ListExpr(Expr):
    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Field(Expr):
    """A field of the candidate event, inside a selector's brackets."""

    name: str


@dataclass(frozen=True, slots=True)
class AnchorField(Expr):
    """``click.page``: a field of the anchor event, null if the anchor is of another stream."""

    stream: str
    name: str


@dataclass(frozen=True, slots=True)
class ProfileField(Expr):
    name: str


@dataclass(frozen=True, slots=True)
class HoldingField(Expr):
    name: str


@dataclass(frozen=True, slots=True)
class EvalTime(Expr):
    """``ts`` outside selectors: the time of the evaluation."""


@dataclass(frozen=True, slots=True)
class LetRef(Expr):
    name: str


@dataclass(frozen=True, slots=True)
class Unary(Expr):
    """``op`` is ``-`` or ``not``."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Arithmetic(Expr):
    """``op`` is one of ``+ - * / %``."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Logic(Expr):
    """``op`` is ``and`` or ``or``; two or more operands; the value is a boolean."""

    op: str
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Compare(Expr):
    """A chain ``operands[0] ops[0] operands[1] ops[1] …``; ops are ``== != < <= > >= in`` and ``not in``."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Call(Expr):
    """A scalar function.

    ``function`` is its name in the language, except that ``days_until(x, yearly=True)`` is
    ``days_until_yearly``; ``seconds("24h")`` is folded into a Literal (86400, or a float where it is no
    whole number) by the parser. ``timezone`` is set for ``hour``, ``weekday`` and ``days_until*`` and
    empty for the others. ``matches`` takes a Literal string as its second argument.
    """

    function: str
    args: tuple[Expr, ...]
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Selector:
    """``stream`` or ``stream[predicate]``."""

    stream: str
    predicate: Expr | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """``kind``: ``last``, ``prior`` (``size_ms`` set), ``this`` (``period`` and ``timezone`` set) or ``ever``."""

    kind: str
    size_ms: int = 0
    period: str = ""
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class Aggregate(Expr):
    """``op``: ``count sum mean min max std distinct``; ``field`` is null for ``count`` only."""

    op: str
    selector: Selector
    field: str | None
    window: Window
    per: str | None = None


@dataclass(frozen=True, slots=True)
class Latest(Expr):
    """``op``: ``last`` or ``prev``."""

    op: str
    selector: Selector
    field: str


@dataclass(frozen=True, slots=True)
class Age(Expr):
    selector: Selector


@dataclass(frozen=True, slots=True)
class Novel(Expr):
    selector: Selector
    field: str
    within_ms: int


@dataclass(frozen=True, slots=True)
class Sequence(Expr):
    selectors: tuple[Selector, ...]
    within_ms: int


@dataclass(frozen=True, slots=True)
class Streak(Expr):
    """Consecutive periods with a match of ``selector``, or where ``condition`` holds (one of the two is set).

    In ``condition`` every Aggregate is windowless (``Window("ever")``) and means the period's own events.
    """

    selector: Selector | None
    condition: Expr | None
    period: str
    timezone: str


@dataclass(frozen=True, slots=True)
class Rises(Expr):
    """``slot`` numbers the rule's ``rises`` calls from 0, in the order of the text; inner before outer."""

    condition: Expr
    slot: int


@dataclass(frozen=True, slots=True)
class Score(Expr):
    model: str


@dataclass(frozen=True, slots=True)
class Slot:
    """``{expression:format}`` in a template; ``format`` is empty where there is none."""

    expr: Expr
    format: str


@dataclass(frozen=True, slots=True)
class Template:
    """A payload string with at least one slot: literal text and slots in order."""

    parts: tuple[str | Slot, ...]


@dataclass(frozen=True, slots=True)
class Daily:
    """A date rule's trigger: a local time of day."""

    hour: int
    minute: int


@dataclass(frozen=True, slots=True)
class Unless:
    """``restart``: ``first`` or ``latest``."""

    selectors: tuple[Selector, ...]
    within_ms: int
    restart: str


@dataclass(frozen=True, slots=True)
class Action:
    """``payload`` is nested dicts and lists whose leaves are scalars, plain strings (braces unescaped) or Templates."""

    kind: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as written; exactly one of ``triggers`` and ``daily`` is set."""

    id: str
    version: int
    title: str
    status: str
    rule_class: str
    priority: int
    triggers: tuple[Selector, ...]
    daily: Daily | None
    each_holding: bool
    lets: tuple[tuple[str, Expr], ...]
    when: Expr | None
    unless: Unless | None
    cooldown_ms: int
    actions: tuple[Action, ...]
    timezone: str
    position: Position
    reason: str = field(default="", repr=False, compare=False)
    owner: str = field(default="", repr=False, compare=False)
    script: str = field(default="", repr=False, compare=False)
    tests: tuple[RuleTest, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules of all files in the order of the text, and the models they read; with the files' names and contents."""

    rules: tuple[Rule, ...]
    sources: tuple[tuple[str, bytes], ...] = field(default=(), repr=False, compare=False)
    models: tuple[ModelSpec, ...] = field(default=(), repr=False)  # folders of format 1 know the rules by their text
    model_sources: tuple[tuple[str, bytes], ...] = field(default=(), repr=False, compare=False)
