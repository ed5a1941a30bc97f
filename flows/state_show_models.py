"""Tells in words what models keep of one customer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from flows.model_stages import MEASURE, SCORE
from flows.state_files import KeptShard
from flows.state_inspect import time_text
from flows.state_rules import FolderRules
from operators.feature_values import feature_values
from operators.model_survey import kept_model, waiting_of
from operators.survey import SCORED, end_of, find_row, read_rows, rules_id, watermark_of
from rules.habits import Habit
from rules.unparse import aggregate_text


def models_in_words(
    shards: Mapping[str, KeptShard], customer_id: str, customer_hash: int, known: FolderRules
) -> Iterator[str]:
    """Lines about a customer; ``shards``: of the models' stages, by name: the customer's, and all models'.

    ``customer_hash``: the keyed hash of the id.
    """
    for name, shard in shards.items():
        if shard.stage == MEASURE:
            yield from _row(shard, customer_id, known, runs=known.is_running(name))
    for name, shard in shards.items():
        if shard.stage == SCORE:
            times = waiting_of(shard.sections, customer_hash)
            if times:
                text = f"{len(times):,} events wait for labels, the oldest of {time_text(min(times))}"
                yield f"{kept_model(shard.sections[-1]).name}: {text}{'' if known.is_running(name) else _LEFT}"


_LEFT = " (left of a model that no longer runs)"


def _row(shard: KeptShard, customer_id: str, known: FolderRules, *, runs: bool) -> Iterator[str]:
    frames = shard.sections
    found = find_row(frames, SCORED, customer_id)
    if found is None:
        return
    number, row = found
    tables = known.known_tables(rules_id(frames[number]))
    frame = read_rows(frames[number], SCORED)
    if tables is None or tables.scored is None or frame.fixed.shape[1] != tables.scored.layout.row_words:
        yield "a row for their features; what is in it is not known"
        return
    t_ms = min(watermark_of(frames[-1]), end_of(frames[-1]))
    aggregates = tables.plan.scored.customer.aggregates
    for expr, value in zip(aggregates, feature_values(tables, frame, row, t_ms, scored=True), strict=True):
        # how unusual an event is, is nothing without one
        text = "a habit" if isinstance(expr, Habit) else json.dumps(value, ensure_ascii=False)
        yield f"{aggregate_text(expr)} = {text}{'' if runs else _LEFT}"
    if not tables.plan.scored.customer.features:
        yield "a row, though no feature is an aggregate over the customer's events"
