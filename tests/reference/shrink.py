"""Making a failing case small, so that a person can see why it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.reference.generate import Case, without_year_9999

RULE = "\n  - id: "


def shrink(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Drop rules, the policy, and lines for as long as `differs(case)` still holds."""
    before = None
    while before != (before := size(case)):
        if case.policy and differs(less := replace(case, policy=None)):
            case = less
        for number, text in enumerate(case.rules):
            head, *rules = text.split(RULE)

            def with_rules(kept: list[str], case: Case = case, number: int = number, head: str = head) -> Case:
                return replace(case, rules=[*case.rules[:number], join(head, kept), *case.rules[number + 1 :]])

            case = with_rules(fewer(rules, lambda kept, put=with_rules: differs(put(kept)), least=1))
        for number, lines in enumerate(case.partitions):

            def with_lines(kept: list[bytes], case: Case = case, number: int = number) -> Case:
                return replace(case, partitions=[*case.partitions[:number], kept, *case.partitions[number + 1 :]])

            def fails(kept: list[bytes], put: Callable[[list[bytes]], Case] = with_lines) -> bool:
                less = put(kept)
                # Without a line that it jumps ahead of, one of year 9999 would be accepted.
                return without_year_9999(kept, less.options) is kept and differs(less)

            case = with_lines(fewer(lines, fails, least=0))
    return case


def size(case: Case) -> tuple[int, int]:
    return (sum(map(len, case.rules)) + len(case.policy or ""), sum(map(len, case.partitions)))


def join(head: str, rules: list[str]) -> str:
    return head + "".join(RULE + rule for rule in rules).rstrip("\n") + "\n"


def fewer(items: list[Any], fails: Callable[[list[Any]], bool], least: int) -> list[Any]:
    """The list without all parts that it fails without too: halves first, single entries last."""
    step = max(1, len(items) // 2)
    while True:
        at = 0
        while at < len(items) and len(items) > least:
            kept = items[:at] + items[at + step :]
            if len(kept) >= least and fails(kept):
                items = kept
            else:
                at += step
        if step == 1:
            return items
        step //= 2
