"""Random cases in which nearly everything is a survey of some metric, under caps on metrics and on all surveys."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.reference.generate import Case, random_case
from tests.reference.generate_rules import DURATIONS

METRICS = ["nps", "csat", "ces"]
_ACTION = '      - {"'


def survey_case(rng: Random, n_events: int) -> Case:
    """A random case whose rules ask and whose policy has a cap of each metric, most of them of all classes."""
    case = random_case(rng, n_events)
    case.rules = ["\n".join(_asking(rng, line) for line in text.split("\n")) for text in case.rules]
    case.policy = f"version: 1\ncaps: {json.dumps(_caps(rng))}\n"
    return case


def _asking(rng: Random, line: str) -> str:
    if not line.startswith(_ACTION):
        return line
    ((kind, payload),) = json.loads(line.removeprefix("      - ")).items()
    kind = rng.choice(["survey"] * 8 + [kind])
    payload["metric"] = rng.choice([*METRICS, *METRICS, "{feedback.metric}", 3, None])
    return "      - " + json.dumps({kind: payload}, ensure_ascii=False)


def _caps(rng: Random) -> list[dict[str, Any]]:
    caps: list[dict[str, Any]] = []
    for metric in METRICS:
        cap = {"metric": metric, "max": rng.choice([0, 1, 1, 2, 5]), "per": rng.choice(DURATIONS[3:])}
        klass = rng.choice(["*", "*", "*", "service", "survey", "risk", None])
        caps.append(cap if klass is None else cap | {"class": klass})
    if rng.random() < 0.8:
        klass, most = rng.choice(["*", "*", "service", "survey"]), rng.choice([1, 2, 5])
        caps.append({"class": klass, "max": most, "per": rng.choice(DURATIONS[5:])})
    return rng.sample(caps, len(caps))
