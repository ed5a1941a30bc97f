"""The folder of a run's state: who may go on from it, and the runtime's own part of it."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.recovery import RecoveryConfig, init_db_dir

from flows.rule_history import keep_rules, kept_rules, rules_id
from flows.runtime_database import Remembered, forget_undone, read_remembered
from operators.delivery import ENTITY_SHARDS, SHARDS
from operators.plan_changes import PlanChange
from rules.model import RuleSet
from rules.planner import make_plan
from rules.policy import Policy
from state.disk import RESTORE, StateError
from state.hashing import Key
from state.state_folder import StateFolder

RUNTIME, _UNFINISHED = "runtime", "runtime.tmp"


ERASING = "erasing"
"""Noted in ``format.json`` as long as a customer is being erased."""


@dataclass(frozen=True, slots=True)
class OpenState:
    """A folder that is held for a run.

    ``key``: of the hashes in it. ``resumed``: there is a run to go on from. ``by_entity``: its stages are those of
    rules with ``per=``; ``ordered_in``: the last versions of deciding shards when they became so. ``positions``: see
    ``Remembered``. ``change``: from the rules of the run before to other ones; ``other_policy``: the contact policy is
    another; ``other_text_model``: the model of the sentiment of feedback is.
    """

    key: Key
    resumed: bool
    by_entity: bool
    ordered_in: Mapping[str, int]
    positions: Mapping[str, int]
    change: PlanChange | None = None
    other_policy: bool = False
    other_text_model: bool = False


@contextmanager
def open_state(
    path: Path, rules: RuleSet, policy: str, about: Mapping[str, str], text_model: str = ""
) -> Iterator[OpenState]:
    """Hold a folder for one run.

    ``about``: what the run before must have in common with this one, a text for each, by the option's name; ``policy``:
    a text that stands for the contact policy; ``text_model``: one for the model of the sentiment (``text_model_id``).

    Raises
    ------
    StateError
        Another process holds it, it cannot be used, or what is in it cannot be gone on from.
    """
    plan = make_plan(rules)
    key: list[Any] = [secrets.randbits(64), secrets.randbits(64)]
    shards = {"shards": SHARDS, "entity_shards": ENTITY_SHARDS}
    own = {"rules": rules_id(rules), "policy": policy, "text_model": text_model}
    contents: dict[str, Any] = {"key": key, "run": dict(about), **shards, **own, "by_entity": plan.is_answered}
    with StateFolder.open(path, contents) as folder:
        found: dict[str, Any] = dict(folder.about)
        if ERASING in found:
            raise StateError(
                path, "an erasure was stopped half way: some of its files still know the customer",
                "run `cem state forget` for the same customer again, then this",
            )  # fmt: skip
        for name, count in shards.items():
            if found[name] != count:
                raise StateError(
                    path, f"it is of {found[name]} {name}, and this version has {count}",
                    "go on with the version that wrote it, or start anew with another --state and --out",
                )  # fmt: skip
        _complete(path, found, rules, policy, plan.is_answered)
        changed = [name for name, text in about.items() if found["run"].get(name, "") != text]
        if changed:
            raise StateError(
                path, f"the run in it had other {', '.join(changed)}",
                "give what it had, or start anew with another --state and --out",
            )  # fmt: skip
        resumed = (path / RUNTIME).exists()
        if not resumed and folder.shards():  # the runtime's part is there before the first shard
            raise StateError(path / RUNTIME, "the runtime's database is missing", RESTORE)
        remembered = read_remembered(path) if resumed else Remembered()  # or it says what is wrong with it
        if resumed:
            forget_undone(path)
        change = None
        if resumed and found["rules"] != own["rules"]:
            change = PlanChange(make_plan(kept_rules(path, found["rules"])), plan)
        if plan.is_answered and not found["by_entity"]:
            found["by_entity"] = True
            found["ordered_in"] = {name: version for name, (version, _) in remembered.shards.items()}
        other_policy = resumed and found["policy"] != policy
        other_text_model = resumed and found.get("text_model", "") != text_model
        keep_rules(path, rules)
        folder.amend(found | own)
        if not resumed:
            _make_runtime_part(path)
        first, second = found["key"]
        yield OpenState(
            (first, second),
            resumed,
            found["by_entity"],
            found.get("ordered_in", {}),
            remembered.positions,
            change,
            other_policy,
            other_text_model,
        )


def _complete(path: Path, found: dict[str, Any], rules: RuleSet, policy: str, by_entity: bool) -> None:
    """Add what a folder of format 1 does not say: it can be gone on from with the rules that it had only."""
    if "rules" in found:
        return
    given = {"--rules": digest(rules), "--policy": policy}
    other = [name for name, text in given.items() if found["run"].pop(name) != text]
    if other:
        raise StateError(
            path, f"the run in it had other {', '.join(other)}, and its format did not keep them",
            "go on once with those it had, then with the new ones; or start anew with another --state and --out",
        )  # fmt: skip
    own_id = rules_id(rules)
    found |= {"rules": own_id, "unnamed_rules": own_id, "policy": policy, "by_entity": by_entity}


def digest(value: object) -> str:
    """A short text that stands for a value."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def policy_digest(policy: Policy) -> str:
    """A short text that stands for a contact policy.

    Where it says nothing of tickets and of surveys' metrics, it is the text that earlier versions gave it.
    """
    metrics = tuple(cap.metric for cap in policy.caps)
    later = policy.tickets, metrics if any(metrics) else None
    return digest(policy if later == (None, None) else (policy, *later))


def text_model_id(path: Path | None) -> str:
    """A short text that stands for a model of the sentiment; empty for the one that is shipped."""
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _make_runtime_part(path: Path) -> None:
    """Make the runtime's database: all of it or, if we are killed, none."""
    unfinished = path / _UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    init_db_dir(unfinished, 1)  # type: ignore[no-untyped-call]
    unfinished.rename(path / RUNTIME)


def recovery_config(path: Path) -> RecoveryConfig:
    """What the runtime needs to know of the folder."""
    return RecoveryConfig(str(path / RUNTIME), timedelta(0))  # type: ignore[no-untyped-call]
