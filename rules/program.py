"""Compiles conditions to programs for the kernels: what surely does not hold need not go to Python.

A program may say ``UNKNOWN``, never the wrong thing. Tests of texts become matchers, which are evaluated where events
are read; what compares numbers is computed; anything else is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules import model as m
from rules import opcodes as o
from rules.evaluate import compile_expr
from rules.plan import Programs
from rules.plan_features import AGGREGATES, FeaturePlanner
from rules.score_keys import score_key
from rules.text_tests import THE_CUSTOMERS_PROFILE, NotCompiledError, as_predicate, is_textual
from rules.walk import walk

MAX_STACK = 60
MAX_INSTRUCTIONS = 4_000
"""Lets that use lets that use lets … can make a condition of any size: what is longer goes to Python."""

MAX_RISES = 30
"""What the calls of one rule remember fits into one word."""

_EXACT = 2**53
_ARITHMETIC = {"+": o.ADD, "-": o.SUBTRACT, "*": o.MULTIPLY, "/": o.DIVIDE, "%": o.MODULO}
_COMPARISONS = {"==": (o.EQUAL, False, False), "!=": (o.EQUAL, False, True), "<": (o.LESS, False, False),
                "<=": (o.LESS_EQUAL, False, False), ">": (o.LESS, True, False), ">=": (o.LESS_EQUAL, True,
                                                                                   False)}  # fmt: skip
"""Operation, whether the operands change places, whether the result is negated."""


class Compiler:
    """Compiles the conditions of one plan, each into one program."""

    def __init__(self, features: FeaturePlanner, entities: Mapping[tuple[str, int], int]) -> None:
        self.programs = Programs()
        self._features = features
        self.entities = entities
        self._lets: Mapping[str, m.Expr] = {}
        self._parts: Sequence[m.Expr] | None = None
        self._code: list[tuple[int, int]] = []
        self._depth = 0

    def condition(
        self, expr: m.Expr | None, lets: Mapping[str, m.Expr], *, each_holding: bool = False
    ) -> tuple[int, bool]:
        """The number of the program of a rule's condition, and whether it keeps what its ``rises`` remember."""
        self._lets, self._parts = lets, None
        if expr is None:
            expr = m.Literal.of(True)
        rises = {node.slot: node for let in (expr, *lets.values()) for node in walk(let) if isinstance(node, m.Rises)}
        try:
            if len(rises) > MAX_RISES or (rises and each_holding):
                raise NotCompiledError
            self._begin()
            for _, node in sorted(rises.items()):  # all of them remember, whatever the condition looks at
                self._compile(node.condition)
                self._emit(o.RISE_SET, self.programs.rises + node.slot << 8 | node.slot, pushes=-1)
            self._compile(expr)
        except NotCompiledError:
            return self._store([(o.PUSH_UNKNOWN, 0)]), False
        self.programs.rises += len(rises)
        return self._store(self._code), True

    def number(self, expr: m.Expr, lets: Mapping[str, m.Expr]) -> int | None:
        """The number of a program that leaves an expression's value; none where only Python can tell it."""
        self._lets, self._parts = lets, None
        self._begin()
        try:
            self._compile(expr)
        except NotCompiledError:
            return None
        return None if any(op == o.PUSH_UNKNOWN for op, _ in self._code) else self._store(self._code)

    def nothing(self) -> int:
        """The number of a program whose value is always unknown."""
        return self._store([(o.PUSH_UNKNOWN, 0)])

    def streak(self, expr: m.Expr, parts: Sequence[m.Expr]) -> int:
        """The number of the program of a streak's condition over totals."""
        self._lets, self._parts = {}, parts
        self._begin()
        self._compile(expr)
        return self._store(self._code)

    def _begin(self) -> None:
        self._code, self._depth = [], 0

    def _store(self, code: list[tuple[int, int]]) -> int:
        base = len(self.programs.code)
        self.programs.starts.append(base)
        jumps = (o.AND_JUMP, o.OR_JUMP, o.COALESCE_JUMP)
        self.programs.code += [(op, argument + base if op in jumps else argument) for op, argument in code]
        self.programs.code.append((o.END, 0))
        return len(self.programs.starts) - 1

    # --- instructions ----------------------------------------------------------------------------

    def _emit(self, operation: int, argument: int = 0, pushes: int = 0) -> int:
        self._depth += pushes
        if self._depth > MAX_STACK or len(self._code) > MAX_INSTRUCTIONS:
            raise NotCompiledError
        self._code.append((operation, argument))
        return len(self._code) - 1

    def _land(self, jump: int) -> None:
        self._code[jump] = (self._code[jump][0], len(self._code))

    def _number(self, value: float) -> None:
        if abs(value) > _EXACT:
            self._emit(o.PUSH_UNKNOWN, pushes=1)
            return
        self.programs.constants.append(float(value))
        self._emit(o.PUSH_NUMBER, len(self.programs.constants) - 1, pushes=1)

    # --- expressions -----------------------------------------------------------------------------

    def _compile(self, expr: m.Expr) -> None:
        match expr:
            case m.LetRef(name):
                self._compile(self._lets[name])
            case m.Literal(value):
                self._literal(value)
            case m.Logic(op, operands):
                self._logic(op, operands)
            case m.Unary("not", operand):
                self._compile(operand)
                self._emit(o.NOT)
            case m.Unary() | m.Arithmetic() if is_textual(expr, self._lets):
                self._emit(o.PUSH_UNKNOWN, pushes=1)
            case m.Unary(_, operand):
                self._compile(operand)
                self._emit(o.NEGATE)
            case m.Arithmetic(op, left, right):
                self._compile(left)
                self._compile(right)
                self._emit(_ARITHMETIC[op], pushes=-1)
            case m.Compare() | m.Call():
                if is_textual(expr, self._lets):
                    self._test(expr)
                elif isinstance(expr, m.Compare):
                    self._compare(expr)
                else:
                    self._call(expr)
            case _:
                self._leaf(expr)

    def _literal(self, value: object) -> None:
        if value is None:
            self._emit(o.PUSH_NULL, pushes=1)
        elif isinstance(value, bool):
            self._emit(o.PUSH_BOOLEAN, int(value), pushes=1)
        elif isinstance(value, int | float):
            self._number(value)
        else:
            self._emit(o.PUSH_UNKNOWN, pushes=1)

    def _logic(self, op: str, operands: Sequence[m.Expr]) -> None:
        jump, combine = (o.AND_JUMP, o.AND) if op == "and" else (o.OR_JUMP, o.OR)
        jumps = []
        self._compile(operands[0])
        self._emit(o.TRUTH)
        for operand in operands[1:]:
            jumps.append(self._emit(jump))
            self._compile(operand)
            self._emit(o.TRUTH)
            self._emit(combine, pushes=-1)
        for place in jumps:
            self._land(place)

    def _compare(self, expr: m.Compare) -> None:
        pairs = list(zip(expr.ops, expr.operands, expr.operands[1:], strict=False))
        if len(pairs) > 1:
            self._logic("and", [m.Compare((op,), (a, b)) for op, a, b in pairs])
            return
        op, a, b = pairs[0]
        if op in ("in", "not in"):
            if not isinstance(b, m.ListExpr) or not b.items:
                self._emit(o.PUSH_UNKNOWN, pushes=1)
                return
            self._logic("or", [m.Compare(("==",), (a, item)) for item in b.items])
            if op == "not in":
                self._emit(o.NOT)
            return
        operation, swapped, negated = _COMPARISONS[op]
        for operand in (b, a) if swapped else (a, b):
            self._compile(operand)
        self._emit(operation, pushes=-1)
        if negated:
            self._emit(o.NOT)

    def _call(self, expr: m.Call) -> None:
        name, args = expr.function, expr.args
        if name == "abs":
            self._compile(args[0])
            self._emit(o.ABSOLUTE)
        elif name == "is_null":
            self._compile(args[0])
            self._emit(o.IS_NULL)
        elif name in ("min", "max"):
            self._compile(args[0])
            for arg in args[1:]:
                self._compile(arg)
                self._emit(o.LOWER if name == "min" else o.HIGHER, pushes=-1)
        elif name == "coalesce":
            jumps = []
            for arg in args[:-1]:
                self._compile(arg)
                jumps.append(self._emit(o.COALESCE_JUMP, pushes=-1))
            self._compile(args[-1])
            for place in jumps:
                self._land(place)
        elif name in ("hour", "weekday") and args == (m.EvalTime(),):
            self._emit(o.CLOCK, self._clock(name, expr.timezone), pushes=1)
        elif name.startswith("days_until"):
            self._days_until(args[0], self._clock("day", expr.timezone) << 32 | name.endswith("_yearly"))
        else:
            self._emit(o.PUSH_UNKNOWN, pushes=1)

    def _clock(self, name: str, timezone: str) -> int:
        clocks = self.programs.clocks
        if (name, timezone) not in clocks:
            clocks.append((name, timezone))
        return clocks.index((name, timezone))

    def _days_until(self, date: m.Expr, argument: int) -> None:
        match date:
            case m.ProfileField(name):
                self._emit(o.PROFILE_DAYS, argument | self._profile_slot(name) << 1, pushes=1)
            case m.HoldingField(name):
                self._emit(o.HOLDING_DAYS, argument | self._holding_column(name, "date") << 1, pushes=1)

    def _profile_slot(self, name: str) -> int:
        slot, slots = self._features.word_slot("profile", name), self.programs.profile_slots
        if slot not in slots:
            slots.append(slot)
        return slots.index(slot)

    def _holding_column(self, name: str, kind: str) -> int:
        columns = self.programs.holding_columns
        if (name, kind) not in columns:
            columns.append((name, kind))
        return columns.index((name, kind))

    def _leaf(self, expr: m.Expr) -> None:
        if self._parts is not None:
            self._emit(o.PART, self._parts.index(expr), pushes=1)
            return
        match expr:
            case m.Aggregate() if expr.per:
                self._emit(o.ENTITY, self.entities[self._features.entity_feature(expr)], pushes=1)
            case _ if isinstance(expr, AGGREGATES):
                self._emit(o.FEATURE, self._features.feature(expr), pushes=1)
            case m.AnchorField(stream, name):
                slot = self._features.word_slot(stream, name)
                self._emit(o.ANCHOR, m.STREAMS.index(stream) << 16 | slot, pushes=1)
            case m.ProfileField(name):
                self._emit(o.PROFILE, self._profile_slot(name), pushes=1)
            case m.HoldingField(name):
                self._emit(o.HOLDING, self._holding_column(name, "number"), pushes=1)
            case m.Rises(_, slot):
                self._emit(o.RISE, slot, pushes=1)
            case m.EvalTime():
                self._emit(o.TIME, pushes=1)
            case m.Score(model):
                number = self.entities.get(score_key(model))
                self._emit(*((o.PUSH_NULL, 0) if number is None else (o.ENTITY, number)), pushes=1)
            case _:
                self._emit(o.PUSH_UNKNOWN, pushes=1)

    # --- tests of texts --------------------------------------------------------------------------

    def _test(self, expr: m.Expr) -> None:
        """A test of one event's fields becomes a matcher of its own."""
        streams: set[str] = set()
        try:
            predicate = as_predicate(expr, self._lets, streams)
        except NotCompiledError:
            streams.clear()
        if len(streams) != 1:
            self._emit(o.PUSH_UNKNOWN, pushes=1)
            return
        stream = streams.pop()
        otherwise = bool(compile_expr(predicate, lambda _: lambda _: None)(None))
        if stream == THE_CUSTOMERS_PROFILE:
            matcher = self._features.matcher(m.Selector("profile", predicate))
            known = self.programs.profile_matchers
            if matcher not in known:
                known.append(matcher)
            self._emit(o.PROFILE_MATCH, known.index(matcher) << 1 | otherwise, pushes=1)
            return
        matcher = self._features.matcher(m.Selector(stream, predicate))
        match = (m.STREAMS.index(stream), *divmod(matcher, 64), int(otherwise))
        if match not in self.programs.matches:
            self.programs.matches.append(match)
        self._emit(o.MATCH, self.programs.matches.index(match), pushes=1)
