"""From the calendar's rows to NDJSON lines, kind by kind with one f-string an event."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.draws import Draws, Whole, keyed
from benchmarks.event_times import START_MS, Calendar, Population
from benchmarks.vocabulary import (
    CLICK,
    DEPOSIT,
    FEE,
    FEEDBACK,
    HOME,
    INFLOWS,
    INVESTMENT,
    LABEL,
    MCCS,
    ONLINE,
    POS,
    PROFILE,
    REPAYMENT,
    SALARY,
    SCRIPTS,
    TICKET,
    TRANSFER_IN,
    TRANSFER_OUT,
    TXN_KINDS,
    WITHDRAWAL,
    Form,
)  # fmt: skip
from flows.simulate.vocabulary import CITIES, HOLDING_KINDS, OPT_OUTS, RISK_LEVELS, SEGMENTS

_CHANNELS = ("app", "app", "app", "wechat", "web")
_TIERS = ("mass", "mass", "mass", "mass", "gold", "gold", "platinum", "private")
_MEDIAN_YUAN = {
    POS: 60, ONLINE: 120, TRANSFER_OUT: 2_500, TRANSFER_IN: 3_000, SALARY: 9_000, WITHDRAWAL: 1_500, DEPOSIT: 4_000,
    REPAYMENT: 3_500, FEE: 12, INVESTMENT: 8_000,
}  # fmt: skip
_SPREAD = {SALARY: 0.12, FEE: 0.5, REPAYMENT: 0.1}
_TROUBLED_PERCENT, _FAULT_PERCENT, _STRAY_FAULT_PERCENT = 6, 70, 2
_STRANGE_DEVICE_PERCENT, _SHARED_DEVICE_PER_MILLE = 3, 8
_OWN, _EVENT, _VISIT = 11, 12, 13
_FIRST_DATE = datetime.fromtimestamp(START_MS / 1000, UTC).date()


class _Forms:
    """All forms in one list; for each step of each script where its forms and its faults begin and how many."""

    def __init__(self) -> None:
        self.forms: list[Form] = []
        longest = max(len(script.steps) for script in SCRIPTS) + 1
        self.bounds = np.zeros((4, len(SCRIPTS), longest), np.int64)
        for number, script in enumerate(SCRIPTS):
            for step in range(longest):
                taken = script.steps[step] if step < len(script.steps) else HOME
                faults = script.faults[step] if step < len(script.faults) else ()
                self.bounds[:, number, step] = (*self._add(taken), *self._add(faults))
        self.kinds = np.array([kind for kind, _ in self.forms])
        self.fragments = [fragment for _, fragment in self.forms]
        self.last_step = longest - 1

    def _add(self, forms: tuple[Form, ...]) -> tuple[int, int]:
        first = len(self.forms)
        self.forms += forms
        return first, len(forms)


class EventLines:
    """Formats a population's events."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._forms = _Forms()
        self._strange = np.array([script.strange_device for script in SCRIPTS])

    def lines(self, calendar: Calendar, first: int, last: int) -> NDArray[np.object_]:
        """One line, with its newline, for each of the calendar's rows from ``first`` up to and without ``last``."""
        rows = _Rows(self._population, calendar, first, last, self._strange)
        forms = self._pick_forms(rows)
        kinds = self._forms.kinds[forms]
        out = np.empty(last - first, dtype=object)
        for kind in np.unique(kinds).tolist():
            chosen = np.flatnonzero(kinds == kind)
            some = rows.take(chosen)
            out[chosen] = list(_MAKERS[kind](kind, some, [self._forms.fragments[f] for f in forms[chosen].tolist()]))
        return out

    def _pick_forms(self, rows: _Rows) -> Whole:
        step = np.minimum(rows.position, self._forms.last_step)
        begin, count, fault_begin, fault_count = self._forms.bounds[:, rows.script, step]
        troubled = rows.visit.below(0, 100) < _TROUBLED_PERCENT
        percent = np.where(troubled, _FAULT_PERCENT, _STRAY_FAULT_PERCENT)
        fails = (fault_count > 0) & (rows.event.below(0, 100) < percent)
        choice = rows.event.below(1, np.where(fails, np.maximum(fault_count, 1), count))
        picked: Whole = np.where(fails, fault_begin, begin) + choice
        return picked


class _Rows:
    """Some events' columns, and the numbers to draw from: by customer, by visit, by event."""

    def __init__(self, population: Population, c: Calendar, first: int, last: int, strange: NDArray[np.bool_]) -> None:
        stretch = population.seed + population.first_day * 7_919
        part = slice(first, last)
        self.population = population
        self.ts_ms, self.customer = c.ts_ms[part], c.customer[part].astype(np.int64)
        self.position, self.script = c.position[part].astype(np.int64), c.script[part].astype(np.int64)
        self._event_key = keyed(stretch, _EVENT, self.customer, c.slot[part])
        self._visit_key = keyed(stretch, _VISIT, self.customer, c.visit[part])
        self._own_key = keyed(population.seed, _OWN, self.customer)
        self.strange = strange[self.script]
        self._derive()

    def _derive(self) -> None:
        self.event, self.visit = Draws(self._event_key), Draws(self._visit_key)
        self.own = Draws(self._own_key)

    def take(self, chosen: Whole) -> _Rows:
        some: _Rows = object.__new__(_Rows)
        for name, value in vars(self).items():
            setattr(some, name, value[chosen] if isinstance(value, np.ndarray) else value)
        some._derive()
        return some

    def heads(self, stream: str) -> Iterator[str]:
        """The lines' beginnings, up to the time."""
        start = f'{{"stream":"{stream}","event_id":"'
        rows = zip(self.event.bits(99).tolist(), self.customer.tolist(), self.ts_ms.tolist(), strict=True)
        return (f'{start}{e:016x}","customer_id":"C{c:07d}","ts":{ts}' for e, c, ts in rows)

    def devices(self) -> list[str]:
        """Mostly the customer's own; now and then a new one, or one that many share."""
        new = self.strange | (self.visit.below(1, 100) < _STRANGE_DEVICE_PERCENT)
        shared = self.visit.below(2, 1000) < _SHARED_DEVICE_PER_MILLE
        farm = self.visit.below(3, self.population.customers // 5_000 + 1)
        number = np.where(shared, farm, np.where(new, self.visit.below(4, 2**30), self.customer))
        kind = np.where(shared, 2, np.where(new, 1, 0))
        return [f"{'dxs'[k]}{n:x}" for k, n in zip(kind.tolist(), number.tolist(), strict=True)]

    def cities(self) -> list[str]:
        """The customer's own city, elsewhere on one visit in twenty-five."""
        away = self.strange | (self.visit.below(5, 25) == 0)
        city = np.where(away, self.visit.below(6, len(CITIES)), self.own.below(0, len(CITIES)))
        return [CITIES[c] for c in city.tolist()]

    def terminals(self) -> Whole:
        """Terminals of shops; there are a fiftieth as many as customers."""
        return self.event.below(20, max(50, self.population.customers // 50))

    def amounts(self, kind: int) -> Iterator[float]:
        """Yuan with two decimals: the customer's own level, and now and then something large."""
        level = np.exp(0.5 * self.own.normal(1) + _SPREAD.get(kind, 0.9) * self.event.normal(21))
        surprise = np.where(self.strange | (self.event.below(22, 80) == 0), 15.0, 1.0) if kind != SALARY else 1.0
        cents = (_MEDIAN_YUAN[kind] * 100 * level * surprise).astype(np.int64) + 1
        return iter((cents / 100).tolist())


def _clicks(_: int, rows: _Rows, fragments: list[str]) -> Iterator[str]:
    columns = zip(
        rows.heads("click"), rows.visit.below(10, len(_CHANNELS)).tolist(), rows.visit.bits(11).tolist(), fragments,
        rows.devices(), rows.cities(), rows.event.below(10, 30_000).tolist(), strict=True,
    )  # fmt: skip
    return (
        f'{head},"channel":"{_CHANNELS[ch]}","session_id":"{session:016x}",{fragment},"device_id":"{device}",'
        f'"city":"{city}","duration_ms":{dwell}}}\n'
        for head, ch, session, fragment, device, city, dwell in columns
    )


def _txns(kind: int, rows: _Rows, _: list[str]) -> Iterator[str]:
    way = "in" if kind in INFLOWS else "out"
    fixed = f'"direction":"{way}","kind":"{TXN_KINDS[kind]}"'
    foreign = rows.event.below(23, 60)
    columns = zip(
        rows.heads("txn"), rows.amounts(kind), foreign.tolist(), rows.customer.tolist(), _details(kind, rows),
        rows.event.below(24, 40).tolist(), rows.event.below(25, 10**8).tolist(), strict=True,
    )  # fmt: skip
    return (
        f'{head},"amount":{amount},"currency":"{"CNY" if abroad else "USD"}",{fixed},"account_id":"A{c:07d}"{detail},'
        f'"status":"{"success" if outcome else "failed"}","balance":{balance / 100}}}\n'
        for head, amount, abroad, c, detail, outcome, balance in columns
    )


def _details(kind: int, rows: _Rows) -> Iterator[str]:
    """Fields that only some kinds have, each with a comma before it."""
    if kind in (POS, ONLINE):
        merchant = rows.event.below(26, 5_000)
        place = [f',"terminal_id":"t{t}"' for t in rows.terminals().tolist()] if kind == POS else repeat("")
        device = repeat("") if kind == POS else (f',"device_id":"{d}"' for d in rows.devices())
        columns = zip(merchant.tolist(), place, device, rows.cities(), strict=False)
        return (
            f',"channel":"pos","merchant_id":"m{m}","mcc":"{MCCS[m % len(MCCS)]}"{where}{on},"city":"{city}"'
            for m, where, on, city in columns
        )
    if kind in (WITHDRAWAL, DEPOSIT):
        machines = zip(rows.terminals().tolist(), rows.cities(), strict=True)
        return (f',"channel":"atm","terminal_id":"a{t}","city":"{city}"' for t, city in machines)
    if kind == FEE:
        return repeat(',"channel":"core"', len(rows.ts_ms))
    known = (rows.customer * 8 + rows.event.below(27, 8)) % 999_983
    party = np.where(rows.event.below(28, 5) > 0, known, rows.event.below(29, 10**7))
    if kind in (TRANSFER_OUT, INVESTMENT):
        bank = ("own-", "ext-") if kind == TRANSFER_OUT else ("fund-", "fund-")
        transfers = zip(party.tolist(), rows.devices(), rows.cities(), strict=True)
        return (
            f',"channel":"app","counterparty_id":"{bank[p & 1]}{p:x}","device_id":"{d}","city":"{city}"'
            for p, d, city in transfers
        )
    prefix = {TRANSFER_IN: "ext-", SALARY: "emp-", REPAYMENT: "loan-"}[kind]
    return (f',"channel":"core","counterparty_id":"{prefix}{p:x}"' for p in party.tolist())


def _feedback(_: int, rows: _Rows, fragments: list[str]) -> Iterator[str]:
    return (f'{head},"channel":"app",{said}}}\n' for head, said in zip(rows.heads("feedback"), fragments, strict=True))


def _tickets(_: int, rows: _Rows, fragments: list[str]) -> Iterator[str]:
    columns = zip(rows.heads("ticket"), rows.visit.bits(12).tolist(), fragments, strict=True)
    return (
        f'{head},"ticket_id":"{case:016x}","actor_id":"S{case % 300:03d}",{stage}}}\n' for head, case, stage in columns
    )


def _labels(_: int, rows: _Rows, fragments: list[str]) -> Iterator[str]:
    columns = zip(rows.heads("label"), rows.event.bits(13).tolist(), fragments, rows.terminals().tolist(), strict=True)
    return (
        f'{head},"subject_event_id":"{subject:016x}",{truth},"source":"investigation","terminal_id":"t{t}"}}\n'
        for head, subject, truth, t in columns
    )


def _profiles(_: int, rows: _Rows, __: list[str]) -> Iterator[str]:
    own, assets = rows.own, np.exp(11.0 + 1.3 * rows.own.normal(2))
    columns = zip(
        rows.heads("profile"), own.below(3, len(_TIERS)).tolist(), own.below(4, len(SEGMENTS)).tolist(),
        own.below(5, 400).tolist(), own.below(6, len(RISK_LEVELS)).tolist(), assets.tolist(),
        own.below(7, 100).tolist(), own.below(8, 18_000).tolist(), own.below(9, 4 * len(OPT_OUTS)).tolist(),
        rows.customer.tolist(), own.below(10, 3).tolist(), rows.event.below(30, 120).tolist(), strict=True,
    )  # fmt: skip
    for head, tier, segment, manager, risk, aum, share, born, opt, c, held, matures in columns:
        birthday = _FIRST_DATE - timedelta(days=6_600 + born)
        holdings = ",".join(
            f'{{"holding_id":"H{c:07d}-{n}","kind":"{HOLDING_KINDS[(c + n) % 3]}","amount":{round(aum / (n + 3), 2)},'
            f'"matures_on":"{_FIRST_DATE + timedelta(days=(matures + 37 * n) % 120)}"}}'
            for n in range(held)
        )
        yield (
            f'{head},"tier":"{_TIERS[tier]}","segment":"{SEGMENTS[segment]}","manager_id":"M{manager:03d}",'
            f'"branch":"B{manager // 10:02d}","risk_level":"{RISK_LEVELS[risk]}","aum":{round(aum, 2)},'
            f'"demand_balance":{round(aum * share / 100, 2)},"birthday":"{birthday}",'
            f'"opt_out":{OPT_OUTS[opt] if opt < len(OPT_OUTS) else "[]"},"holdings":[{holdings}]}}\n'
        )


_MAKERS: dict[int, Callable[[int, Any, list[str]], Iterator[str]]] = dict.fromkeys(TXN_KINDS, _txns) | {
    CLICK: _clicks, FEEDBACK: _feedback, TICKET: _tickets, LABEL: _labels, PROFILE: _profiles,
}  # fmt: skip
