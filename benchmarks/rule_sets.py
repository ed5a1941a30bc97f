"""The benchmark's rules: ten and thirty by hand, more of them made from families with a seed.

Smaller sets are contained in larger ones. From the command line: ``python -m benchmarks.rule_sets 100 --out FILE``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.rule_families import FAMILIES

RULES_FOLDER = Path(__file__).parent / "rules"
BANK = RULES_FOLDER / "bank30.yaml"
POLICY = RULES_FOLDER / "policy.yaml"
SCORES = RULES_FOLDER / "scores.yaml"
"""Rules that read two models."""
SEED = 20_260_302
_HEADER = "version: 1\ntimezone: Asia/Shanghai\nrules:\n"
_ENTRY = "\n  - id: "


def rules_text(count: int, seed: int = SEED) -> str:
    """A rule file with so many rules: the first of the bank's thirty, beyond those rules from the families."""
    text = BANK.read_text(encoding="utf-8")
    entries = text[text.index(_ENTRY) :].split(_ENTRY)[1:]
    chosen = [_ENTRY + _without_comment_at_end(entry) for entry in entries[:count]]
    made = [_yaml(rule) for rule in variations(count - len(chosen), seed)] if count > len(chosen) else []
    return _HEADER + "".join(chosen) + "".join(made)


def variations(count: int, seed: int = SEED) -> list[dict[str, Any]]:
    """So many different rules, family by family; each depends on the seed and its place alone."""
    seen: set[str] = set()
    rules: list[dict[str, Any]] = []
    for place in range(count):
        family = FAMILIES[place % len(FAMILIES)]
        attempt = 0
        while True:
            rule = family(Random(f"{seed}/{place}/{attempt}"))
            essence = json.dumps([rule.get(key) for key in ("trigger", "let", "when")], ensure_ascii=False)
            if essence not in seen:
                break
            attempt += 1
        seen.add(essence)
        rules.append({"id": f"{rule.pop('kind')}-{place + 1:03d}"} | rule)
    return rules


def write_rules(path: Path, count: int, seed: int = SEED) -> Path:
    """Write such a rule file and give its path back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rules_text(count, seed), encoding="utf-8")
    return path


def _without_comment_at_end(entry: str) -> str:
    """An entry is followed by the comment of the next one."""
    lines = entry.rstrip().split("\n")
    while lines[-1].lstrip().startswith("#") or not lines[-1].strip():
        lines.pop()
    return "\n".join(lines) + "\n"


def _yaml(rule: dict[str, Any]) -> str:
    """One entry of the list: JSON is YAML, so values need no rules of their own."""
    lines = [f"    {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in rule.items()]
    return "\n  -" + lines[0][3:] + "\n" + "\n".join(lines[1:]) + "\n"


def main() -> None:
    """Write a rule file from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rule_sets", description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, help="how many rules; the first 30 are those of bank30.yaml")
    parser.add_argument("--out", type=Path, help="file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    if options.out is None:
        sys.stdout.write(rules_text(options.count, options.seed))
    else:
        write_rules(options.out, options.count, options.seed)


if __name__ == "__main__":
    main()
