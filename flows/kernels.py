"""Has every kernel compiled before the first event is read, once for each state of the sources."""

from __future__ import annotations

import fcntl
import hashlib
import json
import pickle
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from llvmlite import binding
from numba.core import config

from flows.progress import say
from rules.model import RuleSet
from state.kernel_cache import kernel_folder

_PATIENCE_SECONDS = 1.5
"""Loading kernels takes less, so only who waits for the compiler is told."""

_CUSTOMERS = 100  # tables must grow: that is kernels too
_MANY_SIGNATURES = 1_000
_FIRST_MS, _HOUR_MS = 1_760_000_000_000, 3_600_000

_RULES = """\
version: 1
timezone: Asia/Shanghai
rules:
  - id: payments
    trigger: txn[direction == "out" and amount >= 10 and startswith(city, "上") and kind in ["transfer", "wage"]]
    let:
      n: count(txn, last="1h")
      total: sum(txn.amount, last="1h")
      mean: mean(txn.amount, prior="1h")
      spread: std(txn.amount, this="day")
      least: min(txn.amount, last="1h")
      most: max(txn.amount, last="1h")
      cities: distinct(txn.city, last="1h")
      fresh: novel(txn.city, prior="1h")
      latest: last(click.page)
      previous: prev(txn.amount)
      waited: age(click[not is_null(error_code) or lower(page) == "a"])
      odd: count(txn[lower(city) == "a" and is_null(balance) and city != device_id], last="1h")
      path: seq(click, txn, last="1h")
      days: streak(txn, by="day")
      good: streak(sum(txn.amount) > 10, by="day")
    when: n >= 1 and total > 0 and odd == 0 and (fresh or latest == "a" or not is_null(previous) or hour(txn.ts) > 3)
    unless: {event: click, within: 1h}
    then: [{tag: {name: payments}}]
  - id: maturing
    trigger: {daily: "09:00"}
    each: holdings
    when: days_until(holding.matures_on) == 7 and holding.amount > 1
    then: [{tag: {name: maturing}}]
"""
_ENTITY_RULE = """\
  - id: devices
    trigger: txn
    when: count(txn, last="1h", per="device_id") >= 2
    then: [{tag: {name: devices}}]
"""
_SCORE_RULE = """\
  - id: odd
    trigger: txn
    when: score("trees") > 0.99 or score("odd") > 0.99 or score("labelled") > 0.99
    then: [{tag: {name: odd}}]
"""
_MODELS = """\
version: 1
models:
  - name: trees
    kind: half_space_trees
    scores: txn
    warm_up: 1
    features: {amount: txn.amount, often: 'count(txn, last="1h")', hour: hour(ts)}
    parameters: {window: 64}
  - name: odd
    kind: surprise
    scores: txn
    warm_up: 1
    features: {a: unusual_amount(txn.amount), h: unusual_hour(txn), v: unusual_value(txn.city), p: unusual_pace(txn)}
    parameters: {first: 64}
  - name: labelled
    kind: classifier
    scores: txn
    warm_up: 1
    features: {amount: txn.amount, often: 'count(txn, last="1h")', hour: hour(ts)}
    parameters: {first_rows: 16, first_positives: 1}
"""


def warm_up(tell: Callable[[str], None] = say) -> None:
    """Compile all kernels unless they lie in the cache; another process that does so already is waited for.

    ``tell`` is called with a sentence if that takes longer than a moment.
    """
    ready = kernel_folder() / f"ready-{_target()}"
    if ready.exists():
        return
    waiting = threading.Timer(_PATIENCE_SECONDS, tell, ["Compiling the kernels (once, about a minute) …"])
    waiting.daemon = True
    waiting.start()
    try:
        with _locked(kernel_folder() / "lock"):
            if not ready.exists():
                _run_all()
                ready.touch()
    finally:
        waiting.cancel()


def _target() -> str:
    """What there is in the cache depends on besides the kernels' sources: the processor and this module."""
    settings = vars(config)
    name = settings["CPU_NAME"] or binding.get_host_cpu_name()
    features = settings["CPU_FEATURES"] or binding.get_host_cpu_features().flatten()
    return hashlib.sha256(f"{name} {features}".encode() + Path(__file__).read_bytes()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run_all() -> None:
    """Replay a few events with rules of all kinds, with and without entities and models, on this thread."""
    from flows.loading import load
    from flows.replay import ReplayJob, run_alone

    with tempfile.TemporaryDirectory(prefix="cem-warm-up-") as name:
        folder = Path(name)
        events = [folder / "events-1.ndjson", folder / "events-2.ndjson"]
        for partition, path in enumerate(events):
            path.write_text("".join(_lines(partition)), encoding="utf-8")
        models = folder / "models.yaml"
        models.write_text(_MODELS, encoding="utf-8")
        for number, text in enumerate((_RULES, _RULES + _ENTITY_RULE + _SCORE_RULE)):
            rule_file = folder / f"rules-{number}.yaml"
            rule_file.write_text(text, encoding="utf-8")
            loaded = load([rule_file], models=[models])
            rules = loaded.rules
            assert rules is not None, "\n".join(map(str, loaded.problems))
            run_alone(ReplayJob(rules, tuple(events), folder, compact_after_ms=0))
            if number == 0:
                _run_rare(rules)


def _run_rare(rules: RuleSet) -> None:
    """What a short replay does not come to: tables that grow late, rows and objects that are forgotten, sending."""
    from operators.annotate import default_annotator
    from operators.tables import PlanTables
    from operators.text_learner import train_tiny
    from rules.planner import make_plan
    from state.half_space_trees import grow, score_and_learn
    from state.hashing import text_hashes
    from state.online_classifier import OnlineClassifier
    from state.row_snapshots import RowFrame, put_rows
    from state.texts import Texts

    default_annotator()("提前还款很方便")
    train_tiny()
    learner = OnlineClassifier(1)
    learner.restore([learner.sections(everything=True)])
    score_and_learn(grow(1, 2, 1, seed=0), 4, np.zeros((1, 1)), np.empty(1))
    tables = PlanTables(make_plan(rules), 0)
    store, signatures = tables.customer.store(), tables.customer.signatures
    ids = Texts.from_lines([b"nobody", b"else"])
    pickle.dumps(ids)
    store.rows(text_hashes(ids, (0, 0)), ids)
    store.mark_objects(np.zeros(1, np.bool_))
    store.renumber_objects(np.zeros(1, np.int64))
    store.compact_when_due(_FIRST_MS)
    store.note_changes()
    rows, removed = store.take_changes(everything=True)
    put_rows(tables.customer.store(), RowFrame.of(store, rows, removed, _FIRST_MS), np.arange(len(rows)))
    masks = np.zeros((_MANY_SIGNATURES, max(1, -(-len(tables.plan.matchers) // 64))), np.uint64)
    masks[:, 0] = np.arange(_MANY_SIGNATURES)
    signatures.signatures(masks)


def _lines(partition: int) -> Iterator[str]:
    """Messages of all kinds: plain and odd, early and late, once and twice, ending after the daily tick."""
    for day in range(3):
        for i in range(_CUSTOMERS):
            ts = _FIRST_MS + 24 * _HOUR_MS * day + i
            base = {"customer_id": f"c-{i * 2 + partition}", "ts": ts}
            name = f"{partition}-{day}-{i}"
            payment = {"amount": i * 1.25, "direction": "out", "kind": "transfer", "city": f"上海{i % 7}"}
            payment["device_id"] = f"d{i % 5}"
            holding = {"holding_id": "h", "kind": "fund", "amount": 5, "matures_on": "2025-10-17"}
            messages = [
                base | {"stream": "profile", "event_id": f"p{name}", "opt_out": [], "holdings": [holding]},
                base | {"stream": "click", "event_id": f"c{name}", "page": "a\n" if i % 9 == 0 else f"页{i % 3}"},
                base | {"stream": "txn", "event_id": f"t{name}"} | payment,
                base | {"stream": "txn", "event_id": f"t{name}"} | payment,
                base | payment | {"stream": "txn", "event_id": f"u{name}", "ts": ts - 20_000, "amount": i / 7},
                base
                | {
                    "stream": "label",
                    "event_id": f"l{name}",
                    "ts": ts + 1,
                    "subject_event_id": f"t{name}",
                    "label": i % 2 == 0,
                },
            ]
            for message in messages:
                yield json.dumps(message, ensure_ascii=i % 2 == 0) + "\n"
