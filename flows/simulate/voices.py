"""Background feedback and service tickets."""

import numpy as np

from flows.simulate import texts
from flows.simulate import vocabulary as words
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS, Day, own_hours
from flows.simulate.columns import Array, Columns, Counters, concat, take
from flows.simulate.population import CALM_FEEDBACK, CALM_TICKETS, Population
from flows.simulate.sessions import Sessions
from flows.simulate.texts import NEGATIVE, NEUTRAL, POSITIVE, TOPIC_NO, Texts

NPS, CSAT, CES, COMPLAINT, COMMENT = range(5)
METRICS = ("nps", "csat", "ces", "complaint", "comment")
TOUCHPOINTS = ("login", "app", "transfer", "wealth", "loan", "call", "branch", "ticket")
_TOUCHPOINT_OF_TOPIC = np.array([TOUCHPOINTS.index(name) for name in (
    "transfer", "login", "app", "app", "wealth", "loan", "loan", "call", "branch")])  # fmt: skip
_SCRIPT_TOPIC = np.array([TOPIC_NO[script.topic] for script in words.SCRIPTS])
_OTHER_TOPICS = np.array([TOPIC_NO[name] for name in ("费用", "客服", "网点")])
STAGES = ("accepted", "analysing", "resolved", "followed_up", "reopened", "closed")
SESSION_FEEDBACK_RATE = 0.022
OTHER_FEEDBACK_RATE = 0.0025
OTHER_TICKET_RATE = 0.0006
NO_SCORE = -1
# Hours to each stage from the one before it (log-normal: log of the median, spread). The last three rows are for the
# one in sixteen that is reopened.
_PATH = (0, 1, 2, 3, 5, 4, 1, 2, 5)
_DELAY_LOG = np.log(np.array([0.2, 2.0, 20.0, 12.0, 6.0, 18.0, 2.0, 12.0, 10.0]))
_DELAY_SPREAD = np.array([0.6, 0.8, 0.7, 0.6, 0.6, 0.5, 0.8, 0.6, 0.6])
REOPENED_RATE = 1 / 16


class VoiceMaker:
    """Makes a block's feedback and tickets of one day; remembers who met an error lately.

    ``tame``: whoever is discontent gives a score or complains; no comment is bad.
    """

    def __init__(self, customers: int, texts_: Texts, rate: float, tame: bool = False) -> None:
        self._tame = tame
        self._texts = texts_
        self._rate = rate
        self._error_day = np.full(customers, -9, dtype=np.int32)

    def make(
        self, rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day, counters: Counters,
        sessions: Sessions,
    ) -> tuple[Columns, Columns]:  # fmt: skip
        """Feedback (after sessions, calls and visits) and the tickets that complaints and calls open."""
        self._error_day[sessions.c[sessions.errors > 0]] = day.index
        said = np.flatnonzero(rng.random(len(sessions.c)) < SESSION_FEEDBACK_RATE * self._rate)
        n = len(said)
        after = sessions.end[said] + rng.integers(10_000, 300_000, n)
        other = np.repeat(np.arange(lo, hi), rng.poisson(OTHER_FEEDBACK_RATE * self._rate, hi - lo))
        elsewhere = day.start_ms + rng.integers(9 * HOUR_MS, 18 * HOUR_MS, len(other))
        c = np.concatenate((sessions.c[said], other))
        table = {
            "c": c,
            "ts": np.concatenate((after, elsewhere)),
            "topic": np.concatenate((_SCRIPT_TOPIC[sessions.script[said]], rng.choice(_OTHER_TOPICS, len(other)))),
            "errors": np.concatenate((sessions.errors[said], np.zeros(len(other), np.int64))),
        }
        muted = (table["ts"] >= pop.mute_from[c]) & (table["ts"] < pop.mute_to[c])
        table = take(table, ((pop.calm[c] & CALM_FEEDBACK) == 0) & ~muted)
        self._score(rng, pop, table, day)
        feedback = table | {"n": counters.take("feedback", len(table["c"])), "case": np.full(len(table["c"]), -1)}
        del feedback["errors"]
        tickets = self._tickets(rng, pop, feedback, lo, hi, day, counters)
        return concat([feedback, self._surveys(rng, tickets, counters)]), tickets

    def _score(self, rng: np.random.Generator, pop: Population, table: Columns, day: Day) -> None:
        """Mood decides the score and the text: both always point the same way."""
        c = table["c"]
        n = len(c)
        feeling = 0.7 * pop.mood[c] + 0.7 * rng.standard_normal(n) - 1.2 * (table["errors"] > 0)
        mood = np.where(feeling < -0.75, NEGATIVE, np.where(feeling < 0.05, NEUTRAL, POSITIVE))
        # A very low score soon after errors is a story; the background is never that harsh then.
        mild = self._error_day[c] >= day.index - 1
        metric = np.searchsorted((0.4, 0.7, 0.85), rng.random(n)).astype(np.int8)
        metric = np.where(metric == 3, COMMENT, metric)
        metric = np.where((mood == NEGATIVE) & ~mild & (rng.random(n) < 0.3), COMPLAINT, metric)
        if self._tame:
            metric = np.where((metric == COMMENT) & (mood == NEGATIVE), CSAT, metric)
        nps_low = np.where(mild, rng.integers(4, 7, n), rng.integers(0, 7, n))
        nps = np.choose(mood, (nps_low, rng.integers(7, 9, n), rng.integers(9, 11, n)))
        csat = np.choose(mood, (rng.integers(1, 3, n), np.full(n, 3), rng.integers(4, 6, n)))
        ces = np.choose(mood, (rng.integers(1, 4, n), np.full(n, 4), rng.integers(5, 8, n)))
        none = np.full(n, NO_SCORE)
        table["metric"] = metric
        table["score"] = np.choose(metric, (nps, csat, ces, none, none))
        wrote = (metric >= COMPLAINT) | (rng.random(n) < 0.45)
        table["text"] = np.where(wrote, self._texts.choose(rng, table["topic"], mood), 0)
        table["touch"] = _TOUCHPOINT_OF_TOPIC[table["topic"]]

    def _tickets(
        self, rng: np.random.Generator, pop: Population, feedback: Columns, lo: int, hi: int, day: Day,
        counters: Counters,
    ) -> Columns:  # fmt: skip
        complained = (feedback["metric"] == COMPLAINT) & (rng.random(len(feedback["c"])) < 0.7)
        called = np.repeat(np.arange(lo, hi), rng.poisson(OTHER_TICKET_RATE * self._rate, hi - lo))
        called = called[(pop.calm[called] & CALM_TICKETS) == 0]
        hours = own_hours(rng, np.full(len(called), 11.0), np.full(len(called), 2.0), day.weekend)
        c = np.concatenate((feedback["c"][complained], called))
        opened = np.concatenate((feedback["ts"][complained], day.start_ms + (hours * HOUR_MS).astype(np.int64)))
        n, width = len(c), len(_PATH)
        delay_h = np.exp(_DELAY_LOG + _DELAY_SPREAD * rng.standard_normal((n, width)))
        ts = opened[:, None] + (np.cumsum(delay_h, axis=1) * HOUR_MS).astype(np.int64)
        kept = np.ones((n, width), dtype=bool)
        kept[:, 5:] = (rng.random(n) < REOPENED_RATE)[:, None]
        case = counters.take("case", n)
        satisfied = rng.integers(1, 6, n)
        stage = np.broadcast_to(np.array(_PATH, dtype=np.int8), (n, width))
        wide = {"c": c[:, None], "case": case[:, None], "satisfaction": satisfied[:, None]}
        table = {name: np.broadcast_to(column, (n, width))[kept] for name, column in wide.items()}
        return table | {"ts": ts[kept], "stage": stage[kept], "n": counters.take("ticket", int(kept.sum()))}

    def _surveys(self, rng: np.random.Generator, tickets: Columns, counters: Counters) -> Columns:
        """Half of those whose ticket was followed up also answer a survey that fits their satisfaction."""
        asked = (tickets["stage"] == STAGES.index("followed_up")) & (rng.random(len(tickets["c"])) < 0.5)
        c, score = tickets["c"][asked], tickets["satisfaction"][asked]
        n = len(c)
        mood: Array = np.where(score <= 2, NEGATIVE, np.where(score == 3, NEUTRAL, POSITIVE))
        topic = np.full(n, texts.TOPIC_NO["客服"])
        return {
            "c": c, "ts": tickets["ts"][asked] + rng.integers(5 * MINUTE_MS, DAY_MS // 2, n), "topic": topic,
            "metric": np.full(n, CSAT), "score": score, "text": self._texts.choose(rng, topic, mood),
            "touch": np.full(n, TOUCHPOINTS.index("ticket")), "n": counters.take("feedback", n),
            "case": tickets["case"][asked],
        }  # fmt: skip
