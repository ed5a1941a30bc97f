"""`cem rules test`: run the tests that stand in rule files, and with `--mutate` test the tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flows.rule_verdicts import Failure
    from rules.model import Rule, RuleSet
    from rules.mutants import Mutant

WRONG_INPUT = 1  # as in ``flows.cli``

_Models = Annotated[
    list[Path] | None,
    typer.Option(readable=False, help="A models file, for `score(…)`; by default the one that is shipped."),
]


def add_test_command(rules_app: typer.Typer) -> None:
    """Register the command under ``cem rules``."""
    rules_app.command(name="test")(rules_test)


def rules_test(
    files: Annotated[list[Path], typer.Argument(readable=False, help="Rule files; together they are one set.")],
    mutate: Annotated[
        bool, typer.Option("--mutate", help="Nudge every number and duration, one at a time: does a test notice?")
    ] = False,
    models: _Models = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Run the tests of the rules through the engine; exit code 1 if one failed."""
    from flows.loading import load, load_model_files

    loaded = load(files, models=models)
    if loaded.rules is None:
        print("\n".join(map(str, loaded.problems)), file=sys.stderr)
        raise typer.Exit(WRONG_INPUT)
    started = perf_counter()
    results = run_tests(loaded.rules)
    survivors: list[Mutant] | None = None
    changed = 0
    if mutate:
        model_set, _ = load_model_files(models)
        changed, survivors = run_mutants(loaded.rules, files, () if model_set is None else model_set.names)
    if as_json:
        print(json.dumps(_as_data(results, changed, survivors), ensure_ascii=False, indent=2))
    else:
        _print(results, changed, survivors, perf_counter() - started)
    if survivors or any(result.failures for result in results):
        raise typer.Exit(WRONG_INPUT)


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What came of one rule's tests."""

    rule: Rule
    failures: tuple[Failure, ...]


def run_tests(rules: RuleSet) -> list[RuleResult]:
    """Run all tests of all rules."""
    from flows.rule_testing import Case, run_cases
    from flows.rule_verdicts import verdict

    cases = [Case(rule, test) for rule in rules.rules for test in rule.tests]
    found: dict[str, list[Failure]] = {}
    for case, outcome in zip(cases, run_cases(cases), strict=True):
        failure = verdict(case, outcome)
        if failure is not None:
            found.setdefault(case.rule.id, []).append(failure)
    return [RuleResult(rule, tuple(found.get(rule.id, ()))) for rule in rules.rules]


def run_mutants(rules: RuleSet, paths: Sequence[Path], models: Collection[str]) -> tuple[int, list[Mutant]]:
    """How many thresholds were changed, and the changes that no test noticed."""
    from flows.rule_testing import Case, run_cases
    from flows.rule_verdicts import verdict
    from rules.mutants import mutants

    originals = {rule.id: rule for rule in rules.rules}
    zones = {rule.id: rule.timezone for rule in rules.rules}
    found = list(mutants(paths, models, zones))
    cases = [(mutant, Case(mutant.rule, test)) for mutant in found for test in originals[mutant.rule.id].tests]
    noticed = set()
    outcomes = run_cases([case for _, case in cases])
    for (mutant, case), outcome in zip(cases, outcomes, strict=True):
        if verdict(case, outcome) is not None:
            noticed.add(id(mutant))
    return len(found), [mutant for mutant in found if id(mutant) not in noticed]


def _as_data(results: Sequence[RuleResult], changed: int, survivors: Sequence[Mutant] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "rules": [
            {
                "rule": result.rule.id,
                "tests": len(result.rule.tests),
                "failed": len(result.failures),
                "failures": [
                    {"test": failure.test, "place": str(place), "message": message}
                    for failure in result.failures
                    for place, message in failure.faults
                ],
            }
            for result in results
        ]
    }
    if survivors is not None:
        data["mutations"] = {
            "changed": changed,
            "unnoticed": [
                {"rule": mutant.rule.id, "place": str(mutant.position), "was": mutant.was, "now": mutant.now}
                for mutant in survivors
            ],
        }
    return data


def _print(results: Sequence[RuleResult], changed: int, survivors: Sequence[Mutant] | None, seconds: float) -> None:
    width = max([4, *(len(result.rule.id) for result in results)])
    print(f"{'rule':{width}}  tests  failed")
    for result in results:
        how_many = f"{len(result.rule.tests):5}" if result.rule.tests else " none"
        print(f"{result.rule.id:{width}}  {how_many}  {len(result.failures) or '-':>6}")
    for result in results:
        for failure in result.failures:
            for place, message in failure.faults:
                print(f"{place.file}:{place.line}: {failure.rule_id}, {failure.test}: {message}")
    for mutant in survivors or ():
        print(f"{mutant.position}: {mutant.rule.id}: no test notices {mutant.now} for {mutant.was}")
    tests = sum(len(result.rule.tests) for result in results)
    failed = sum(len(result.failures) for result in results)
    untested = sum(not result.rule.tests for result in results)
    said = [f"{_counted(len(results), 'rule')}, {_counted(tests, 'test')}, {failed} failed"]
    said += [f"{untested} without tests"] if untested else []
    said += [f"{changed} thresholds changed, {len(survivors)} unnoticed"] if survivors is not None else []
    print(f"{', '.join(said)} ({seconds:.1f} s)", file=sys.stderr)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
