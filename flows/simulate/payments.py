"""Background transactions and, from them, the fraud labels of a week later."""

import numpy as np

from flows.simulate import vocabulary as words
from flows.simulate.clock import DAY_MS, HOUR_MS, Day, own_hours
from flows.simulate.columns import Array, Columns, Counters, concat, take
from flows.simulate.population import CALM_WEALTH, NO_INFLOWS, NO_SALARY, Population, own_choice
from flows.simulate.sessions import Sessions

POS, ONLINE, TRANSFER_OUT, TRANSFER_IN, SALARY, WITHDRAWAL, DEPOSIT, REPAYMENT, FEE, INVESTMENT = range(10)
KIND_NAMES = ("purchase", "purchase", "transfer", "transfer", "salary", "withdrawal", "deposit", "repayment", "fee",
              "investment")  # fmt: skip
INFLOWS = (TRANSFER_IN, SALARY, DEPOSIT)
_DRAWN = np.array([POS, ONLINE, TRANSFER_IN, WITHDRAWAL, DEPOSIT, REPAYMENT, FEE])
_DRAWN_CDF = np.cumsum([0.46, 0.36, 0.07, 0.03, 0.02, 0.02, 0.04])
# Amounts relative to the customer's own purchases (log), by kind, and the cap in yuan. Large movements
# (200,000 in, 50,000 and more out) belong to the stories, so the background stays below them.
_SHIFT = np.array([0.0, 0.1, 1.9, 2.0, 0.0, 2.2, 2.5, 2.3, -1.5, 4.0])
_CAP = np.array([20e3, 20e3, 45e3, 45e3, 60e3, 20e3, 45e3, 30e3, 200.0, 45e3])
# Where the stories of the pack are told: no payment as large as theirs, and little away from home or at night.
_TAME_CAP = np.array([4500.0, 4500.0, 4500.0, 45e3, 45e3, 4500.0, 45e3, 4500.0, 200.0, 45e3])
_TAME_ODD_CAP = 900.0
_TAME_SPREAD = 2.0
WEEKEND_PURCHASES = 1.2
CARD_FRAUD_RATE = 0.0003
LABELLED_NORMAL_RATE = 0.005
LABEL_DELAY_MS = 7 * DAY_MS


def merchants(customers: int) -> int:
    """How many merchants the bank's customers visit."""
    return 200 + customers // 4


def card_thefts(customers: int) -> int:
    """How many merchants (the first ones by number) have a terminal that copies cards."""
    return 3 + customers // 5000


class PaymentMaker:
    """Makes a block's transactions of one day.

    ``tame``: payments are neither large nor odd, and no card is stolen.
    """

    def __init__(self, per_customer_day: float, tame: bool = False) -> None:
        self._rate = per_customer_day
        self._tame = tame

    def make(
        self, rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day, counters: Counters,
        city: Array, sessions: Sessions,
    ) -> Columns:  # fmt: skip
        """Transactions of customers lo..hi-1, those that end a journey among them; updates `pop.demand`."""
        c, ts, kind = self._draw(rng, pop, lo, hi, day)
        device = pop.device_owner[c] * 64 + pop.device_no[c]
        journeys = _from_sessions(rng, sessions, pop)
        salaries = _salaries(rng, pop, lo, hi, day)
        table = concat([
            {"c": c, "ts": ts, "kind": kind, "device": device, "city": city[c - lo]},
            journeys,
            salaries | {"city": city[salaries["c"] - lo]},
        ])  # fmt: skip
        n = len(table["c"])
        table["n"] = counters.take("txn", n)
        table["party"], table["terminal"] = _parties(rng, table, pop)
        table["amount"] = _amounts(rng, table, pop, self._tame)
        if self._tame:
            _tame_amounts(table, pop, day)
        table["failed"] = (rng.random(n) < 0.01) & (table["kind"] != SALARY)
        _steal_cards(rng, table, pop.customers, 0.0 if self._tame else CARD_FRAUD_RATE)
        _settle(table, pop, lo, hi)
        return table

    def _draw(
        self, rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day
    ) -> tuple[Array, Array, Array]:
        since = (day.date.day - pop.salary_day[lo:hi]) % 31
        flush = np.where(pop.salary[lo:hi] > 0, np.choose(np.minimum(since, 3), (1.6, 1.35, 1.2, 1.0)), 1.0)
        weekend = WEEKEND_PURCHASES if day.weekend else 1.0
        count = rng.poisson(pop.activity[lo:hi] * flush * (self._rate * weekend))
        c = np.repeat(np.arange(lo, hi), count)
        hours = own_hours(rng, pop.centre_h[c], pop.spread_h[c], day.weekend)
        drawn = np.searchsorted(_DRAWN_CDF, rng.random(len(c)), side="right")
        kind = _DRAWN[np.minimum(drawn, len(_DRAWN) - 1)]
        ts = day.start_ms + (hours * HOUR_MS).astype(np.int64)
        heard = (ts < pop.mute_from[c]) | (ts >= pop.mute_to[c])
        heard &= ((pop.calm[c] & NO_INFLOWS) == 0) | ~np.isin(kind, INFLOWS)
        return c[heard], ts[heard], kind[heard]


def _from_sessions(rng: np.random.Generator, sessions: Sessions, pop: Population) -> Columns:
    """A finished transfer or purchase journey moves money a moment later, from the same device and city."""
    transfer = sessions.script == words.SCRIPT_NO["transfer"]
    wealth = sessions.script == words.SCRIPT_NO["wealth_buy"]
    done = sessions.finished & (transfer | (wealth & ((pop.calm[sessions.c] & CALM_WEALTH) == 0)))
    ts = sessions.end[done] + rng.integers(300, 1500, int(done.sum()))
    kind = np.where(transfer[done], TRANSFER_OUT, INVESTMENT)
    return {
        "c": sessions.c[done], "ts": ts, "kind": kind, "device": sessions.device[done], "city": sessions.city[done],
    }  # fmt: skip


def _salaries(rng: np.random.Generator, pop: Population, lo: int, hi: int, day: Day) -> Columns:
    paid = (pop.salary_day[lo:hi] == day.date.day) & (pop.salary[lo:hi] > 0) & ((pop.calm[lo:hi] & NO_SALARY) == 0)
    c = lo + np.flatnonzero(paid)
    ts = day.start_ms + rng.integers(9 * HOUR_MS, 16 * HOUR_MS, len(c))
    return {"c": c, "ts": ts, "kind": np.full(len(c), SALARY), "device": np.zeros(len(c), np.int64)}


def _parties(rng: np.random.Generator, table: Columns, pop: Population) -> tuple[Array, Array]:
    """The merchant, payee or employer (a customer has a few of their own) and the terminal."""
    c, kind, customers = table["c"], table["kind"], pop.customers
    pick = np.minimum((rng.random(len(c)) ** 2.5 * 12).astype(np.int64), 11)
    # On a journey people go to other shops, yet to the same ones whenever they are in that city.
    place = np.where(table["city"] == pop.city[c], 0, 12 + 24 * table["city"].astype(np.int64))
    shop = own_choice(c, pick + place, 1, merchants(customers))
    payee = own_choice(c, pick % 5, 2, 1 << 40)
    employer = own_choice(c // 40, np.zeros_like(c), 3, 1 << 40)
    party = np.where(kind <= ONLINE, shop, np.where(kind == SALARY, employer, payee))
    atm = own_choice(c, pick % 2, 4, 50 + customers // 300)
    terminal = np.where(kind == POS, shop * 4 + own_choice(c, pick, 5, 4), atm)
    return party, terminal


def _amounts(rng: np.random.Generator, table: Columns, pop: Population, tame: bool) -> Array:
    """Amounts in cents: log-normal about the customer's own level, shifted by kind and capped.

    ``tame``: never further from the customer's own level than `_TAME_SPREAD` standard deviations.
    """
    c, kind = table["c"], table["kind"]
    cap, spread = (_TAME_CAP, _TAME_SPREAD) if tame else (_CAP, np.inf)
    level = np.clip(rng.standard_normal(len(c)), -spread, spread)
    log = pop.amount_mu[c] + _SHIFT[kind] + pop.amount_sigma[c] * level
    cents = np.maximum(np.minimum(np.exp(log), cap[kind]) * 100, 1).astype(np.int64)
    hundred = np.isin(kind, (WITHDRAWAL, DEPOSIT))
    cents = np.where(hundred, np.maximum(cents // 10_000, 1) * 10_000, cents)
    cents = np.where(kind == INVESTMENT, np.maximum(cents // 100_000, 1) * 100_000, cents)
    # Pay varies by at most a percent from month to month: far from the growth that the salary story is about.
    pay = (pop.salary[c] * (1 + 0.01 * rng.random(len(c)))).astype(np.int64)
    return np.where(kind == SALARY, pay, cents)


def _tame_amounts(table: Columns, pop: Population, day: Day) -> None:
    """Less where a payment is odd in another way already."""
    hour = (table["ts"] - day.start_ms) // HOUR_MS
    odd = (table["city"] != pop.city[table["c"]]) | (hour < 7) | (hour >= 22)
    odd &= ~np.isin(table["kind"], INFLOWS)
    table["amount"] = np.where(odd, np.minimum(table["amount"], int(_TAME_ODD_CAP * 100)), table["amount"])


def _steal_cards(rng: np.random.Generator, table: Columns, customers: int, rate: float) -> None:
    """A few card payments are made by somebody else: elsewhere, much larger, at a terminal that copies cards."""
    fraud = (table["kind"] == POS) & (rng.random(len(table["c"])) < rate)
    rows = np.flatnonzero(fraud)
    n = len(rows)
    table["fraud"] = fraud
    table["party"][rows] = rng.integers(0, card_thefts(customers), n)
    table["terminal"][rows] = table["party"][rows] * 4
    table["amount"][rows] = (table["amount"][rows] * rng.uniform(6, 20, n)).astype(np.int64)
    table["city"][rows] = rng.integers(0, len(words.CITIES), n)
    table["failed"][rows] = False


def _settle(table: Columns, pop: Population, lo: int, hi: int) -> None:
    """Adds the running `balance` after each transaction and carries the day's result into `pop.demand`."""
    order = np.lexsort((table["ts"], table["c"]))
    c = table["c"][order]
    signed = np.where(np.isin(table["kind"], INFLOWS), table["amount"], -table["amount"])
    signed = np.where(table["failed"], 0, signed)[order]
    running = np.cumsum(signed)
    first = np.searchsorted(c, c)
    balance = np.empty(len(c), dtype=np.int64)
    balance[order] = np.maximum(pop.demand[c] + running - (running - signed)[first], 0)
    table["balance"] = balance
    np.add.at(pop.demand, c, signed)
    # Whoever runs dry sells some of the rest.
    short = np.minimum(pop.demand[lo:hi] - 10_000, 0)
    moved = np.minimum(-short, np.maximum(pop.wealth[lo:hi], 0))
    pop.demand[lo:hi] = np.maximum(pop.demand[lo:hi] + moved, 0)
    pop.wealth[lo:hi] -= moved


def labels_of(rng: np.random.Generator, payments: Columns, counters: Counters) -> Columns:
    """Labels a week after their subject: of every fraud, and of a sample of the rest."""
    chosen = payments["fraud"] | (rng.random(len(payments["c"])) < LABELLED_NORMAL_RATE)
    subject = take(payments, chosen)
    n = len(subject["c"])
    ts = subject["ts"] + LABEL_DELAY_MS + rng.integers(0, HOUR_MS, n)
    return {
        "c": subject["c"], "ts": ts, "n": counters.take("label", n), "subject": subject["n"],
        "fraud": subject["fraud"], "kind": subject["kind"], "terminal": subject["terminal"],
    }  # fmt: skip
