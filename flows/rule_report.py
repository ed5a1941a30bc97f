"""What it means for the kept state that the rules are others than before, in words."""

from __future__ import annotations

from collections.abc import Iterator

from operators.plan_changes import LOGGED, PlanChange, PlanParts, parts_of
from operators.scoring import definition
from rules.model import Expr, Rule
from rules.plan import Feature, Plan, RulePlan
from rules.unparse import aggregate_text, duration_text


def change_report(change: PlanChange | None, other_policy: bool, other_text_model: bool = False) -> Iterator[str]:
    """Lines for the operator, none if nothing changed."""
    if other_policy:
        yield "The contact policy is another than before. Contacts that no cap of the old one reached may be forgotten."
    if other_text_model:
        yield "The text model is another than before. Sentiments of feedback so far are the old one's in every window."
    if change is None:
        return
    yield "The rules are others than before:"
    old = {planned.rule.id: planned for planned in change.old.rules}
    new = {planned.rule.id: planned for planned in change.new.rules}
    for rule_id, planned in new.items():
        if rule_id not in old:
            yield f"  + {rule_id}: new{_warming(change, planned)}"
        elif _differs(old[rule_id].rule, planned.rule):
            longer = _longer_cooldown(old[rule_id].rule, planned.rule)
            yield f"  ~ {rule_id}: changed{_warming(change, planned)}{_dropped(change, planned)}{longer}"
        elif warming := _warming(change, planned):
            yield f"  ~ {rule_id}: the same{warming}"
    for rule_id in old:
        if rule_id not in new:
            yield f"  - {rule_id}: gone or paused; what waited is dropped, its contacts still count"
    yield from _models(change)
    kept, begun, gone = _aggregates(change)
    for word, texts in (("kept", kept), ("beginning now, or filled in part", begun), ("dropped", gone)):
        yield f"  aggregates {word}: {len(texts)}"
        if word != "kept":
            yield from (f"    {text}" for text in texts)
    attributes = sorted(
        set(change.new.fields["profile"]) - set(change.old.fields["profile"]) - set(change.new.entities)
    )
    if attributes:
        yield f"  profile attributes that count from a customer's next profile event on: {', '.join(attributes)}"


def _differs(old: Rule, new: Rule) -> bool:
    """Whether a rule says something else, wherever it stands."""
    names = [name for name in Rule.__slots__ if name != "position"]
    return any(getattr(old, name) != getattr(new, name) for name in names)


def _longer_cooldown(old: Rule, new: Rule) -> str:
    if new.cooldown_ms <= old.cooldown_ms:
        return ""
    before, now = duration_text(old.cooldown_ms), duration_text(new.cooldown_ms)
    return f"; its cooldown grows from {before} to {now}: contacts longer ago than {before} may be forgotten"


def _dropped(change: PlanChange, planned: RulePlan) -> str:
    armed, held = change.keeps_waiting(planned.rule.id)
    before = next(rule.rule for rule in change.old.rules if rule.rule.id == planned.rule.id)
    if not armed and before.unless is not None:
        return "; deadlines that waited are dropped" + ("" if held else ", held decisions too")
    return "" if held else "; decisions that were held are dropped"


def _warming(change: PlanChange, planned: RulePlan) -> str:
    """How long the rule is held back at most."""
    read = [(PlanParts(change.new), number) for number in planned.features]
    read += [
        (PlanParts(change.new, name), number) for name, number in planned.entity_features if name in change.new.entities
    ]
    longest = max(
        (_missing_ms(change, parts, parts.features.features[number]) for parts, number in read), default=0
    )  # fmt: skip
    return f", warming for {duration_text(longest)}" if longest else ""


def _missing_ms(change: PlanChange, parts: PlanParts, feature: Feature) -> int:
    """How much of a feature's window is not in the old state; 0 also where it has no window."""
    size_ms = feature.size_ms or {"day": 1, "week": 7, "month": 31}.get(feature.period, 0) * 86_400_000
    if not feature.window and not feature.size_ms:
        return 0
    series = parts.features.series[feature.series]
    old = PlanParts(change.old, parts.entity, scored=parts.scored)
    if not set(parts.kept(series)) <= old.all_kept():
        return size_ms
    if series.kind not in LOGGED:
        return 0
    stream = change.new.selectors[series.matchers[0]].stream
    return max(0, size_ms - old.retention_ms()[stream])


def _models(change: PlanChange) -> Iterator[str]:
    old, new = (
        {model.spec.name: model.spec for model in plan.scored.models} for plan in (change.old, change.new)
    )  # fmt: skip
    for name, spec in new.items():
        if name not in old:
            yield f"  + model {name}: now runs; if it did before, it goes on from what it had learned"
        elif definition(old[name]) != definition(spec):
            yield f"  ~ model {name}: another one now; it begins anew, and what it had learned is dropped"
        elif changed := [word for word, of in _SETTINGS.items() if getattr(old[name], of) != getattr(spec, of)]:
            yield f"  ~ model {name}: goes on with another {', '.join(changed)}"
    for name in old:
        if name not in new:
            yield f"  - model {name}: no longer runs, as no rule reads it; what it learned is kept"


_SETTINGS = {"mode": "mode", "warm_up": "warm_up", "keep": "keep_ms", "skip_above": "skip_above"}
"""Keys of a model that may change while it goes on."""


def _aggregates(change: PlanChange) -> tuple[list[str], list[str], list[str]]:
    """Texts of the aggregates that go on, that begin, and that are no more."""
    kept: list[str] = []
    begun: list[str] = []
    gone: list[str] = []
    for parts in _parts_of(change.new):
        known = PlanParts(change.old, parts.entity, scored=parts.scored).all_kept()
        for feature, expr in zip(parts.features.features, parts.features.aggregates, strict=True):
            whole = set(parts.kept(parts.features.series[feature.series])) <= known
            goes_on = whole and not _missing_ms(change, parts, feature)
            (kept if goes_on else begun).append(_aggregate_text(parts, expr))
    for parts in _parts_of(change.old):
        new = PlanParts(change.new, parts.entity, scored=parts.scored).features.aggregates
        gone += [_aggregate_text(parts, expr) for expr in parts.features.aggregates if expr not in new]
    return kept, begun, gone


def _parts_of(plan: Plan) -> Iterator[PlanParts]:
    yield from parts_of(plan)
    yield PlanParts(plan, scored=True)


def _aggregate_text(parts: PlanParts, expr: Expr) -> str:
    return aggregate_text(expr) + (" (of models)" if parts.scored else "")
