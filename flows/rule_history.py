"""The rules under which a folder's state was written: kept there, so that other rules can go on from it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rules.load import load_rules
from rules.load_models import load_models
from rules.model import RuleSet
from rules.models import with_models
from rules.plan import Plan
from rules.planner import make_plan
from state.disk import DISK, RESTORE, TEMPORARY, StateError, explained, replace_file
from state.state_folder import StateFolder

RULES_FOLDER = "rules"
_MODELS = "models-"
"""Before the names of models files; those of rule files begin with a number."""

_ID_HEX = 16


def rules_id(rules: RuleSet) -> str:
    """A name for what the rule files say."""
    sources = (rules.sources or ((repr(rules), b""),)) + rules.model_sources
    text = b"".join(len(part).to_bytes(8, "big") + part for name, data in sources for part in (name.encode(), data))
    return hashlib.sha256(text).hexdigest()[:_ID_HEX]


def keep_rules(state: Path, rules: RuleSet) -> str:
    """Put the rules' texts into a state folder; the id by which ``kept_rules`` finds them.

    Raises
    ------
    StateError
        The folder cannot be written.
    """
    own_id = rules_id(rules)
    folder = state / RULES_FOLDER / own_id
    for path in (folder.parent, folder):
        with explained(path, "make the folder"):
            DISK.make_folder(path)
            DISK.fsync_folder(path.parent)
    for prefix, sources in (("", rules.sources), (_MODELS, rules.model_sources)):
        for number, (name, data) in enumerate(sources):
            replace_file(DISK, folder / f"{prefix}{number:02d}-{name}", [memoryview(data)])
    return own_id


def kept_rules(state: Path, own_id: str) -> RuleSet:
    """Rules of an earlier run.

    Raises
    ------
    StateError
        They are missing, damaged, or this version of the program no longer takes them.
    """
    folder = state / RULES_FOLDER / own_id
    with explained(folder, "read the rules of an earlier run"):
        found = DISK.list_folder(folder)
    # of a name and the same with .tmp, that one was left behind by a crash; a rule file's own name may end so too
    names = sorted((name for name in found if name.removesuffix(TEMPORARY) not in {*found} - {name}), key=_number)
    own = [folder / name for name in names if not name.startswith(_MODELS)]
    rules, problems = load_rules(own)
    models, model_problems = load_models([folder / name for name in names if name.startswith(_MODELS)])
    if rules is None or models is None:
        problem = next(problem for problem in [*problems, *model_problems] if problem.is_error)
        raise StateError(folder, f"the rules of an earlier run cannot be read: {problem}", RESTORE)
    original = replace(
        rules, sources=tuple((name.partition("-")[2], data) for name, data in rules.sources),
        model_sources=tuple((name.removeprefix(_MODELS).partition("-")[2], data) for name, data in models.sources),
    )  # fmt: skip
    if rules_id(original) != own_id:
        raise StateError(folder, "the rules of an earlier run are damaged: their contents have another id", RESTORE)
    return with_models(rules, models)


def _number(name: str) -> tuple[int, str]:
    """The place of a rule or models file among those of its run; one that is none of them comes last."""
    name = name.removeprefix(_MODELS)
    number = name.split("-", 1)[0]
    return (int(number) if number.isdecimal() and "-" in name else sys.maxsize), name


def earlier_plans(state: Path) -> Callable[[str], Plan]:
    """Gives the plans of the rules that are kept in a state folder, by their ids; ``""`` for what names none.

    Files of format 1 do not name their rules; the folder says which they were.
    """
    about: dict[str, Any] = StateFolder.inspect(state).about

    def plan(own_id: str) -> Plan:
        return make_plan(kept_rules(state, own_id or about["unnamed_rules"]), share_squares=not own_id)

    return plan
