"""Compiles conditions to programs for the kernels: what surely does not hold need not go to Python.

A program may say ``UNKNOWN``, never the wrong thing. Tests of texts become matchers, which are evaluated where events
are read; what compares numbers is computed; anything else is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rules import model as m
from rules.evaluate import compile_expr
from rules.fields import FIELDS, HOLDING_FIELDS
from rules.plan import Programs
from rules.plan_features import AGGREGATES, FeaturePlanner
from rules.walk import children, walk

(END, PUSH_NUMBER, PUSH_NULL, PUSH_BOOLEAN, PUSH_UNKNOWN, FEATURE, ENTITY, ANCHOR, PROFILE, MATCH, PROFILE_MATCH, TIME,
 CLOCK, ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO, NEGATE, ABSOLUTE, LOWER, HIGHER, LESS, LESS_EQUAL, EQUAL, NOT, AND,
 AND_JUMP, OR, OR_JUMP, TRUTH, COALESCE_JUMP, IS_NULL, PART, PROFILE_DAYS, HOLDING, HOLDING_DAYS, RISE,
 RISE_SET) = range(39)  # fmt: skip
"""Operations, numbered as in ``state.machine`` (which cannot be imported here; a test compares the two)."""

MAX_STACK = 60
MAX_INSTRUCTIONS = 4_000
"""Lets that use lets that use lets … can make a condition of any size: what is longer goes to Python."""

MAX_RISES = 30
"""What the calls of one rule remember fits into one word."""

_EXACT = 2**53
_ARITHMETIC = {"+": ADD, "-": SUBTRACT, "*": MULTIPLY, "/": DIVIDE, "%": MODULO}
_COMPARISONS = {"==": (EQUAL, False, False), "!=": (EQUAL, False, True), "<": (LESS, False, False),
                "<=": (LESS_EQUAL, False, False), ">": (LESS, True, False), ">=": (LESS_EQUAL, True,
                                                                                   False)}  # fmt: skip
"""Operation, whether the operands change places, whether the result is negated."""

_NUMERIC_CALLS = ("abs", "min", "max")


class _NotCompiledError(Exception):
    """A part of a condition has no instructions."""


class Compiler:
    """Compiles the conditions of one plan, each into one program."""

    def __init__(self, features: FeaturePlanner, entities: Mapping[tuple[str, int], int]) -> None:
        self.programs = Programs()
        self._features = features
        self._entities = entities
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
                raise _NotCompiledError
            self._begin()
            for _, node in sorted(rises.items()):  # all of them remember, whatever the condition looks at
                self._compile(node.condition)
                self._emit(RISE_SET, self.programs.rises + node.slot << 8 | node.slot, pushes=-1)
            self._compile(expr)
        except _NotCompiledError:
            return self._store([(PUSH_UNKNOWN, 0)]), False
        self.programs.rises += len(rises)
        return self._store(self._code), True

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
        jumps = (AND_JUMP, OR_JUMP, COALESCE_JUMP)
        self.programs.code += [(op, argument + base if op in jumps else argument) for op, argument in code]
        self.programs.code.append((END, 0))
        return len(self.programs.starts) - 1

    # --- instructions ----------------------------------------------------------------------------

    def _emit(self, operation: int, argument: int = 0, pushes: int = 0) -> int:
        self._depth += pushes
        if self._depth > MAX_STACK or len(self._code) > MAX_INSTRUCTIONS:
            raise _NotCompiledError
        self._code.append((operation, argument))
        return len(self._code) - 1

    def _land(self, jump: int) -> None:
        self._code[jump] = (self._code[jump][0], len(self._code))

    def _number(self, value: float) -> None:
        if abs(value) > _EXACT:
            self._emit(PUSH_UNKNOWN, pushes=1)
            return
        self.programs.constants.append(float(value))
        self._emit(PUSH_NUMBER, len(self.programs.constants) - 1, pushes=1)

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
                self._emit(NOT)
            case m.Unary() | m.Arithmetic() if self._is_textual(expr):
                self._emit(PUSH_UNKNOWN, pushes=1)
            case m.Unary(_, operand):
                self._compile(operand)
                self._emit(NEGATE)
            case m.Arithmetic(op, left, right):
                self._compile(left)
                self._compile(right)
                self._emit(_ARITHMETIC[op], pushes=-1)
            case m.Compare() | m.Call():
                if self._is_textual(expr):
                    self._test(expr)
                elif isinstance(expr, m.Compare):
                    self._compare(expr)
                else:
                    self._call(expr)
            case _:
                self._leaf(expr)

    def _literal(self, value: object) -> None:
        if value is None:
            self._emit(PUSH_NULL, pushes=1)
        elif isinstance(value, bool):
            self._emit(PUSH_BOOLEAN, int(value), pushes=1)
        elif isinstance(value, int | float):
            self._number(value)
        else:
            self._emit(PUSH_UNKNOWN, pushes=1)

    def _logic(self, op: str, operands: Sequence[m.Expr]) -> None:
        jump, combine = (AND_JUMP, AND) if op == "and" else (OR_JUMP, OR)
        jumps = []
        self._compile(operands[0])
        self._emit(TRUTH)
        for operand in operands[1:]:
            jumps.append(self._emit(jump))
            self._compile(operand)
            self._emit(TRUTH)
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
                self._emit(PUSH_UNKNOWN, pushes=1)
                return
            self._logic("or", [m.Compare(("==",), (a, item)) for item in b.items])
            if op == "not in":
                self._emit(NOT)
            return
        operation, swapped, negated = _COMPARISONS[op]
        for operand in (b, a) if swapped else (a, b):
            self._compile(operand)
        self._emit(operation, pushes=-1)
        if negated:
            self._emit(NOT)

    def _call(self, expr: m.Call) -> None:
        name, args = expr.function, expr.args
        if name == "abs":
            self._compile(args[0])
            self._emit(ABSOLUTE)
        elif name == "is_null":
            self._compile(args[0])
            self._emit(IS_NULL)
        elif name in ("min", "max"):
            self._compile(args[0])
            for arg in args[1:]:
                self._compile(arg)
                self._emit(LOWER if name == "min" else HIGHER, pushes=-1)
        elif name == "coalesce":
            jumps = []
            for arg in args[:-1]:
                self._compile(arg)
                jumps.append(self._emit(COALESCE_JUMP, pushes=-1))
            self._compile(args[-1])
            for place in jumps:
                self._land(place)
        elif name in ("hour", "weekday") and args == (m.EvalTime(),):
            self._emit(CLOCK, self._clock(name, expr.timezone), pushes=1)
        elif name.startswith("days_until"):
            self._days_until(args[0], self._clock("day", expr.timezone) << 32 | name.endswith("_yearly"))
        else:
            self._emit(PUSH_UNKNOWN, pushes=1)

    def _clock(self, name: str, timezone: str) -> int:
        clocks = self.programs.clocks
        if (name, timezone) not in clocks:
            clocks.append((name, timezone))
        return clocks.index((name, timezone))

    def _days_until(self, date: m.Expr, argument: int) -> None:
        match date:
            case m.ProfileField(name):
                self._emit(PROFILE_DAYS, argument | self._profile_slot(name) << 1, pushes=1)
            case m.HoldingField(name):
                self._emit(HOLDING_DAYS, argument | self._holding_column(name, "date") << 1, pushes=1)

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
            self._emit(PART, self._parts.index(expr), pushes=1)
            return
        match expr:
            case m.Aggregate() if expr.per:
                self._emit(ENTITY, self._entities[self._features.entity_feature(expr)], pushes=1)
            case _ if isinstance(expr, AGGREGATES):
                self._emit(FEATURE, self._features.feature(expr), pushes=1)
            case m.AnchorField(stream, name):
                slot = self._features.word_slot(stream, name)
                self._emit(ANCHOR, m.STREAMS.index(stream) << 16 | slot, pushes=1)
            case m.ProfileField(name):
                self._emit(PROFILE, self._profile_slot(name), pushes=1)
            case m.HoldingField(name):
                self._emit(HOLDING, self._holding_column(name, "number"), pushes=1)
            case m.Rises(_, slot):
                self._emit(RISE, slot, pushes=1)
            case m.EvalTime():
                self._emit(TIME, pushes=1)
            case m.Score():
                self._emit(PUSH_NULL, pushes=1)  # no models are configured yet
            case _:
                self._emit(PUSH_UNKNOWN, pushes=1)

    # --- tests of texts --------------------------------------------------------------------------

    def _is_textual(self, expr: m.Expr) -> bool:
        """Whether it looks at texts (or lists), which programs know nothing of."""
        match expr:
            case m.LetRef(name):
                return self._is_textual(self._lets[name])
            case m.Literal(value):
                return isinstance(value, str)
            case m.AnchorField(stream, name):
                return FIELDS[stream].get(name) in ("string", "list")
            case m.ProfileField(name):
                return FIELDS["profile"].get(name) in ("string", "list")
            case m.HoldingField(name):
                return HOLDING_FIELDS.get(name) == "string"
            case m.Call(function, (m.ProfileField() | m.HoldingField(),)) if function.startswith("days_until"):
                return False
            case m.Call(function) if function not in (*_NUMERIC_CALLS, "is_null", "coalesce", "hour", "weekday"):
                return True
            case _:
                return any(self._is_textual(child) for child in children(expr))

    def _test(self, expr: m.Expr) -> None:
        """A test of one event's fields becomes a matcher of its own."""
        streams: set[str] = set()
        try:
            predicate = self._as_predicate(expr, streams)
        except _NotCompiledError:
            streams.clear()
        if len(streams) != 1:
            self._emit(PUSH_UNKNOWN, pushes=1)
            return
        stream = streams.pop()
        otherwise = bool(compile_expr(predicate, lambda _: lambda _: None)(None))
        if stream == "profile of the customer":
            matcher = self._features.matcher(m.Selector("profile", predicate))
            known = self.programs.profile_matchers
            if matcher not in known:
                known.append(matcher)
            self._emit(PROFILE_MATCH, known.index(matcher) << 1 | otherwise, pushes=1)
            return
        matcher = self._features.matcher(m.Selector(stream, predicate))
        match = (m.STREAMS.index(stream), *divmod(matcher, 64), int(otherwise))
        if match not in self.programs.matches:
            self.programs.matches.append(match)
        self._emit(MATCH, self.programs.matches.index(match), pushes=1)

    def _as_predicate(self, expr: m.Expr, streams: set[str]) -> m.Expr:
        """The expression as it would stand in a selector's brackets."""
        match expr:
            case m.LetRef(name):
                return self._as_predicate(self._lets[name], streams)
            case m.AnchorField(stream, name):
                streams.add(stream)
                return m.Field(name)
            case m.ProfileField(name):
                streams.add("profile of the customer")
                return m.Field(name)
            case m.Literal():
                return expr
            case m.ListExpr(items):
                return m.ListExpr(tuple(self._as_predicate(item, streams) for item in items))
            case m.Unary(op, operand):
                return m.Unary(op, self._as_predicate(operand, streams))
            case m.Arithmetic(op, left, right):
                return m.Arithmetic(op, self._as_predicate(left, streams), self._as_predicate(right, streams))
            case m.Logic(op, operands):
                return m.Logic(op, tuple(self._as_predicate(operand, streams) for operand in operands))
            case m.Compare(ops, operands):
                return m.Compare(ops, tuple(self._as_predicate(operand, streams) for operand in operands))
            case m.Call(function, args, timezone) if not function.startswith("days_until"):
                return m.Call(function, tuple(self._as_predicate(arg, streams) for arg in args), timezone)
        raise _NotCompiledError
