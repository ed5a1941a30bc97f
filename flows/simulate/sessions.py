"""Background clicks: sessions that follow a script, with dwell times, errors, retries and giving up."""

from dataclasses import dataclass

import numpy as np

from flows.simulate import vocabulary as words
from flows.simulate.clock import HOUR_MS, Day, own_hours
from flows.simulate.columns import Array, Columns, Counters
from flows.simulate.population import (
    CALM_ERRORS,
    CALM_QUESTIONS,
    CALM_SEARCH,
    CALM_WEALTH,
    CALM_WEALTH_PAGES,
    DEVICES_PER_CUSTOMER,
    WEB_DEVICE,
    Population,
)

ERROR_RATE = 0.006
RETRY_ERROR_RATE = 0.15
GIVE_UP_RATE = 0.25
WEEKEND_FACTOR = 0.85
MAX_DWELL_MS = 120_000
TAME_DAYS = 8


@dataclass(slots=True)
class Sessions:
    """One row per session: what follows from it (a transfer, a purchase, feedback) needs no look at its clicks."""

    c: Array
    script: Array
    end: Array  # ts of the last click
    finished: Array
    clicks: Array  # steps of the script that were taken
    errors: Array
    device: Array
    city: Array


class SessionMaker:
    """Makes a block's sessions of one day.

    ``tame``: nobody looks at loans or prepayment more often than every eighth day, and searches are in the app.
    """

    def __init__(self, per_customer_day: float, tame: bool = False) -> None:
        self._tame = tame
        self.table = words.script_table()
        self._rate = per_customer_day
        self._weight_cdf = np.cumsum(self.table.weight)

    def clicks_per_session(self) -> float:
        """Expected clicks of a session, for turning a rate of events into a rate of sessions."""
        steps, weight = self.table.steps, self.table.weight
        return float((weight * (steps * (1 - GIVE_UP_RATE) + (steps + 1) / 2 * GIVE_UP_RATE)).sum())

    def make(
        self, rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day, counters: Counters, city: Array
    ) -> tuple[Columns, Sessions]:
        """Clicks and sessions of customers lo..hi-1; `city` is where each of them is that day."""
        factor = WEEKEND_FACTOR if day.weekend else 1.0
        c = np.repeat(np.arange(lo, hi), rng.poisson(pop.activity[lo:hi] * (self._rate * factor)))
        hours = own_hours(rng, pop.centre_h[c], pop.spread_h[c], day.weekend)
        start = day.start_ms + (hours * HOUR_MS).astype(np.int64)
        heard = (start < pop.mute_from[c]) | (start >= pop.mute_to[c])
        c, start = c[heard], start[heard]
        n = len(c)
        script = np.minimum(np.searchsorted(self._weight_cdf, rng.random(n), side="right"), len(words.SCRIPTS) - 1)
        calm = pop.calm[c]
        quiet = ((calm & CALM_SEARCH) > 0) & np.isin(script, words.QUIET_SCRIPTS)
        quiet |= ((calm & CALM_WEALTH) > 0) & (script == words.SCRIPT_NO["wealth_buy"])
        quiet |= ((calm & CALM_WEALTH_PAGES) > 0) & (script == words.SCRIPT_NO["wealth_look"])
        quiet |= ((calm & CALM_QUESTIONS) > 0) & (script == words.SCRIPT_NO["search"])
        if self._tame:
            quiet |= ((c + day.index) % TAME_DAYS != 0) & np.isin(script, words.QUIET_SCRIPTS)
        script = np.where(quiet, 0, script)
        full = self.table.steps[script]
        length = np.where(rng.random(n) < GIVE_UP_RATE, 1 + (rng.random(n) * full).astype(np.int64), full)
        channel = np.searchsorted((0.80, 0.90), rng.random(n)).astype(np.int8)  # app, wechat, web
        if self._tame:
            channel = np.where(np.isin(script, words.SEARCH_SCRIPTS), 0, channel)
        phone = pop.device_owner[c] * DEVICES_PER_CUSTOMER + pop.device_no[c]
        device = np.where(channel == 2, c * DEVICES_PER_CUSTOMER + WEB_DEVICE, phone)
        sessions = Sessions(c, script, start, length == full, length, np.zeros(n, np.int64), device, city[c - lo])
        clicks = self._expand(rng, sessions, length, calm)
        row = clicks.pop("row")
        clicks |= {
            "c": c[row], "ch": channel[row], "device": device[row], "city": sessions.city[row],
            "session": counters.take("session", n)[row], "n": counters.take("click", len(row)),
        }  # fmt: skip
        return clicks, sessions

    def _expand(self, rng: np.random.Generator, sessions: Sessions, length: Array, calm: Array) -> Columns:
        """One row per click; sets the sessions' `end` and `errors`."""
        n, table = len(length), self.table
        row = np.repeat(np.arange(n), length)
        position = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length)
        step = table.first_step[sessions.script[row]] + position
        can_fail = (table.error_count[step] > 0) & ((calm[row] & CALM_ERRORS) == 0)
        failed = can_fail & (rng.random(len(row)) < ERROR_RATE)
        errors = failed.astype(np.int64) + (failed & (rng.random(len(row)) < RETRY_ERROR_RATE))
        sessions.errors = np.bincount(row, weights=errors, minlength=n).astype(np.int64)
        # A failed step shows up as error clicks before the one that goes through.
        repeats = errors + 1
        row, step = np.repeat(row, repeats), np.repeat(step, repeats)
        last = np.zeros(len(row), dtype=bool)
        last[np.cumsum(repeats) - 1] = True
        pick = rng.random(len(row))
        ok = table.ok_base[step] + (pick * table.ok_count[step]).astype(np.int64)
        error = table.error_base[step] + (pick * table.error_count[step]).astype(np.int64)
        dwell = np.minimum(np.exp(8.6 + 0.9 * rng.standard_normal(len(row))), MAX_DWELL_MS).astype(np.int64) + 200
        elapsed = np.cumsum(dwell) - dwell
        per_session = np.bincount(row, minlength=n)
        first = np.cumsum(per_session) - per_session
        ts = sessions.end[row] + elapsed - elapsed[first[row]] if n else elapsed
        sessions.end = ts[first + per_session - 1] if n else ts
        return {"row": row, "ts": ts, "frag": np.where(last, ok, error).astype(np.int16), "dwell": dwell}
