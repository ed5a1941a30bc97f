"""Models files -> one checked ``ModelSet``, with every problem of every file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rules.check_types import LIST, STRING, TypeChecker
from rules.diagnostics import Diagnostic, Problems, shown
from rules.load_rule import RuleLoader
from rules.mapping_reader import MappingReader
from rules.model import Expr, Position, Rises, RuleSet, Score, Selector
from rules.models import KINDS, MODES, ModelSet, ModelSpec, Parameter
from rules.planner import features_not_computed, make_plan
from rules.scope import Scope
from rules.walk import walk, words
from rules.yaml_source import Map, Node, Scalar, Seq, describe, read_yaml

_KEYS = (
    "name", "version", "title", "kind", "mode", "scores", "labels", "features", "warm_up", "ranked_among", "keep",
    "skip_above", "parameters",
)  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_DAY_MS = 86_400_000
MOST_FEATURES = 64
"""Of one model: each costs time at every event that it scores."""


def load_models(paths: Sequence[Path]) -> tuple[ModelSet | None, list[Diagnostic]]:
    """The models of all files as one set, and all problems; no set exactly if one of them is an error.

    Problems come by file, line and column. Never raises for bad input.
    """
    problems = Problems()
    models: list[ModelSpec] = []
    names: dict[str, Position] = {}
    contents: list[bytes] = []
    for path in map(Path, paths):
        problems.rule_id = None
        root = read_yaml(path, problems, contents)
        if root is not None:
            models += _file_models(root, problems, names)
    problems.rule_id = None
    found = problems.in_order(str(path) for path in paths)
    if problems.errors:
        return None, found
    sources = zip((Path(path).name for path in paths), contents, strict=True)
    return ModelSet(tuple(models), tuple(sources)), found


def _file_models(root: Node, problems: Problems, names: dict[str, Position]) -> list[ModelSpec]:
    if not isinstance(root, Map):
        problems.add("E101", root.position, f"a models file must be a mapping, not {describe(root)}")
        return []
    if "rules" in root.entries and "models" not in root.entries:
        message = "a models file needs the key `models`; this looks like a rule file"
        problems.add("E103", root.position, message, "rule files go with --rules")
        return []
    reader = MappingReader(root, "a models file", problems)
    reader.known_keys(("version", "timezone", "models"))
    reader.file_version()
    timezone = reader.timezone()
    node = reader.require("models")
    if node is None:
        return []
    if not isinstance(node, Seq):
        reader.wrong_type(node, "models", "a list", "begin each model with `- name:`")
        return []
    found = []
    for item in node.items:
        problems.rule_id = None
        if not isinstance(item, Map):
            problems.add("E101", item.position, f"a model must be a mapping, not {describe(item)}")
            continue
        before = problems.errors
        model = _ModelLoader(MappingReader(item, "a model", problems), Scope(problems, timezone, in_model=True)).load(
            names
        )
        if problems.errors == before:
            found.append(model)
    return found


class _ModelLoader:
    """Reads one model, key by key."""

    def __init__(self, reader: MappingReader, scope: Scope) -> None:
        self._reader, self._scope, self._problems = reader, scope, scope.problems
        self._expressions = RuleLoader(reader, scope)

    def load(self, names: dict[str, Position]) -> ModelSpec:
        """The model; if it has errors they are among the problems, and the result has no meaning."""
        reader, before = self._reader, self._problems.errors
        name = self._name(names)
        self._problems.rule_id = name or None
        reader.known_keys(_KEYS)
        self._expressions.name_lets("features")
        scored = self._selectors("scores", required=True)
        self._scope.trigger_streams = tuple(dict.fromkeys(selector.stream for selector in scored))
        features = self._features()
        kind = reader.choice("kind", KINDS, "")
        if "kind" not in reader.node.entries:
            reader.require("kind")
        model = ModelSpec(
            name=name,
            version=reader.integer("version", 1, None, 1),
            title=reader.text_or_number("title", ""),
            kind=kind,
            mode=reader.choice("mode", MODES, "live"),
            scored=scored,
            labels=self._labels(kind),
            features=features,
            warm_up=reader.integer("warm_up", 1, None, 1_000),
            ranked_among=reader.integer("ranked_among", 100, 10_000_000, 50_000),
            keep_ms=reader.duration_ms("keep", 30 * _DAY_MS),
            skip_above=self._share("skip_above"),
            parameters=self._parameters(),
            timezone=self._scope.timezone,
            position=reader.node.position,
        )
        if self._problems.errors == before:
            self._check_features(model)
        return model

    def _name(self, names: dict[str, Position]) -> str:
        name = self._reader.string(self._reader.require("name"), "name")
        if name is None:
            return ""
        place = self._reader.node.entries["name"][1].position
        if not _NAME.fullmatch(name):
            self._problems.add("E601", place, f"{shown(name)} is no model's name", "use a-z, 0-9 and _, a letter first")
        elif name in names:
            self._problems.add("E602", place, f"a second model with the name {shown(name)}", f"first at {names[name]}")
        names.setdefault(name, place)
        return name

    def _selectors(self, key: str, *, required: bool = False) -> tuple[Selector, ...]:
        node = self._reader.require(key) if required else self._reader.get(key)
        return () if node is None else self._expressions.selectors(node, key)

    def _labels(self, kind: str) -> tuple[Selector, ...]:
        labels = self._selectors("labels")
        entry = self._reader.node.entries.get("labels")
        if entry is not None and kind not in ("classifier", ""):
            message = f"a model of the kind {kind} learns without labels"
            self._problems.add("E605", entry[0].position, message, "remove `labels`, or use `kind: classifier`")
        if any(selector.stream != "label" for selector in labels) and entry is not None:
            message = "labels are events of the stream label"
            self._problems.add("E605", entry[1].position, message, "label, or label[source == …]")
        return labels or ((Selector("label", None),) if kind == "classifier" else ())

    def _features(self) -> tuple[tuple[str, Expr], ...]:
        if self._reader.require("features") is None:
            return ()
        features = self._expressions.lets("features")
        place = self._reader.node.entries["features"][0].position
        if not features:
            self._problems.add("E116", place, "`features` is empty", "name: expression")
        if len(features) > MOST_FEATURES:
            message = f"a model has at most {MOST_FEATURES} features, not {len(features)}"
            self._problems.add("E109", place, message)
        checker = TypeChecker(self._problems, self._scope.places)
        for name, expr in features:
            for node in walk(expr):
                if isinstance(node, Rises | Score):
                    where = self._scope.places.of(node)
                    what = "`rises(…)`" if isinstance(node, Rises) else words(node)
                    self._problems.add("E603", where, f"{what} cannot be part of a model's feature")
            checker.check_let(name, expr)
            if checker.lets[name] in (STRING, LIST):
                message = f"the feature {shown(name)} is a {'text' if checker.lets[name] == STRING else 'list'}"
                hint = "a feature is a number or a test: compare it, or use unusual_value(…)"
                self._problems.add("E603", self._scope.places.of(expr), message, hint)
        return features

    def _check_features(self, model: ModelSpec) -> None:
        for name in features_not_computed(make_plan(RuleSet((), models=(model,)))):
            place = self._scope.places.of(dict(model.features)[name])
            message = f"the feature {shown(name)} is not made of numbers and tests only"
            hint = "numbers, comparisons, aggregates, `hour(ts)`, `weekday(ts)`, abs, min, max, coalesce"
            self._problems.add("E603", place, message, hint)

    def _share(self, key: str) -> float:
        node = self._reader.get(key)
        if node is None:
            return 0.999
        value = node.value if isinstance(node, Scalar) else None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            message = f"`{key}` must be a number above 0 and at most 1, not {describe(node)}"
            self._problems.add("E109", node.position, message)
            return 1.0
        return float(value)

    def _parameters(self) -> tuple[Parameter, ...]:
        node = self._reader.optional("parameters")
        if node is None:
            return ()
        if not isinstance(node, Map):
            self._reader.wrong_type(node, "parameters", "a mapping of names to numbers")
            return ()
        found = []
        for name, (_, value) in node.entries.items():
            number = value.value if isinstance(value, Scalar) else None
            if not isinstance(number, int | float) or isinstance(number, bool):
                message = f"the parameter {shown(name)} must be a number, not {describe(value)}"
                self._problems.add("E101", value.position, message)
            else:
                found.append(Parameter(name, number, value.position))
        return tuple(found)
