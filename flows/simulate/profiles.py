"""Profile events: everyone's at the start, then again each week, because balances have moved."""

import numpy as np

from flows.simulate import vocabulary as words
from flows.simulate.clock import HOUR_MS, MINUTE_MS, Day
from flows.simulate.columns import Array, Columns, Counters, Names
from flows.simulate.population import FROZEN, HOLDINGS, MANAGER_CUSTOMERS, Population

_DAYS = np.datetime64("1970-01-01", "D")


def iso_dates(days: Array) -> list[str]:
    """`YYYY-MM-DD` of days since 1970."""
    dates: list[str] = np.datetime_as_string(_DAYS + days.astype(np.int64)).tolist()
    return dates


def due(rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day, counters: Counters) -> Columns:
    """Profiles sent that day: all in the first ten minutes of the run, later a seventh of them before dawn."""
    c = np.arange(lo, hi)
    if day.index == 0:
        ts = day.start_ms + rng.integers(0, 10 * MINUTE_MS, len(c))
    else:
        c = c[(c % 7 == day.index % 7) & ((pop.calm[lo:hi] & FROZEN) == 0)]
        pop.wealth[c] = (pop.wealth[c] * (1 + 0.004 * rng.standard_normal(len(c)))).astype(np.int64)
        ts = day.start_ms + rng.integers(2 * HOUR_MS, 4 * HOUR_MS, len(c))
    # The amounts are those of the moment the event was made, not of the moment it is written.
    return {"c": c, "ts": ts, "n": counters.take("profile", len(c)), "demand": pop.demand[c], "wealth": pop.wealth[c]}


def _holdings(pop: Population, c: Array) -> list[str]:
    """The `holdings` list of each customer, as JSON."""
    kinds = [f'"kind":"{kind}"' for kind in words.HOLDING_KINDS]
    parts = []
    for slot in range(HOLDINGS):
        kind, amount = pop.holding_kind[c, slot], pop.holding_amount[c, slot] / 100
        matures = iso_dates(pop.holding_matures[c, slot])
        parts.append([
            f'{{"holding_id":"H{customer:07d}-{slot + 1}",{kinds[k]},"amount":{a},"matures_on":"{on}"}}'
            if k >= 0
            else ""
            for customer, k, a, on in zip(c.tolist(), kind.tolist(), amount.tolist(), matures, strict=True)
        ])  # fmt: skip
    return [f"[{','.join(filter(None, row))}]" for row in zip(*parts, strict=True)]


def format_profiles(table: Columns, names: Names, pop: Population) -> list[str]:
    """One line per row."""
    c = table["c"]
    money = (table["demand"] + table["wealth"]) / 100
    rows = zip(
        names.hex16("profile", table["n"]), c.tolist(), table["ts"].tolist(), pop.tier[c].tolist(),
        pop.segment[c].tolist(), pop.branch[c].tolist(), pop.risk[c].tolist(), money.tolist(),
        (table["demand"] / 100).tolist(), iso_dates(pop.birthday[c]), pop.opt_out[c].tolist(), pop.city[c].tolist(),
        _holdings(pop, c), strict=True,
    )  # fmt: skip
    return [
        f'{{"stream":"profile","event_id":"{e}","customer_id":"C{k:07d}","ts":{ts},"tier":"{words.TIERS[tier]}",'
        f'"segment":"{words.SEGMENTS[segment]}","manager_id":"M{k // MANAGER_CUSTOMERS:05d}","branch":"B{branch:03d}",'
        f'"risk_level":"{words.RISK_LEVELS[risk]}","aum":{aum},"demand_balance":{demand},"birthday":"{birthday}",'
        f'"opt_out":{words.OPT_OUTS[opt]},"home_city":"{words.CITIES[city]}","holdings":{holdings}}}\n'
        for e, k, ts, tier, segment, branch, risk, aum, demand, birthday, opt, city, holdings in rows
    ]
