"""Operations of the programs that conditions become."""

from __future__ import annotations

(END, PUSH_NUMBER, PUSH_NULL, PUSH_BOOLEAN, PUSH_UNKNOWN, FEATURE, ENTITY, ANCHOR, PROFILE, MATCH, PROFILE_MATCH, TIME,
 CLOCK, ADD, SUBTRACT, MULTIPLY, DIVIDE, MODULO, NEGATE, ABSOLUTE, LOWER, HIGHER, LESS, LESS_EQUAL, EQUAL, NOT, AND,
 AND_JUMP, OR, OR_JUMP, TRUTH, COALESCE_JUMP, IS_NULL, PART, PROFILE_DAYS, HOLDING, HOLDING_DAYS, RISE,
 RISE_SET) = range(39)  # fmt: skip
"""Operations, numbered as in ``state.operations`` (which cannot be imported here; a test compares the two)."""
