"""From columns to NDJSON lines: one f-string per event, from fragments that are JSON already."""

from collections.abc import Iterator

import numpy as np

from flows.simulate import payments as pay
from flows.simulate import vocabulary as words
from flows.simulate.columns import Array, Columns, Names, rows_of
from flows.simulate.population import Population
from flows.simulate.profiles import format_profiles
from flows.simulate.texts import Texts
from flows.simulate.voices import METRICS, NO_SCORE, STAGES, TOUCHPOINTS

_CHANNELS = ("app", "wechat", "web")
_TOUCH_CHANNEL = {TOUCHPOINTS.index("call"): "call", TOUCHPOINTS.index("branch"): "branch"}
_TXN_CHANNEL = ("pos", "app", "app", "app", "counter", "atm", "atm", "app", "core", "app")


class Formatter:
    """Formats tables of any stream; holds what the lines refer to."""

    def __init__(self, names: Names, pop: Population, fragments: list[str], texts: Texts) -> None:
        self._names = names
        self._pop = pop
        self._fragments = fragments
        self._texts = texts

    def lines(self, stream: str, table: Columns) -> list[str]:
        """One line (with its newline) per row of `table`, in its order."""
        if stream == "profile":
            return format_profiles(table, self._names, self._pop)
        makers = {
            "txn": self._txn, "click": self._click, "feedback": self._feedback, "ticket": self._ticket,
            "label": self._label,
        }  # fmt: skip
        return makers[stream](table)

    def _heads(self, stream: str, table: Columns) -> Iterator[str]:
        ids = self._names.hex16(stream, table["n"])
        start = f'{{"stream":"{stream}","event_id":"'
        rows = zip(ids, table["c"].tolist(), table["ts"].tolist(), strict=True)
        return (f'{start}{e}","customer_id":"C{c:07d}","ts":{ts}' for e, c, ts in rows)

    def _click(self, table: Columns) -> list[str]:
        fragments, cities = self._fragments, words.CITIES
        ids = self._names.hex16("click", table["n"])
        visits = self._names.hex16("session", table["session"])
        rows = rows_of(table, ("c", "ts", "ch", "frag", "device", "city", "dwell"))
        return [
            f'{{"stream":"click","event_id":"{e}","customer_id":"C{c:07d}","ts":{ts},"channel":"{_CHANNELS[ch]}",'
            f'"session_id":"{visit}",{fragments[frag]},"device_id":"d{device:x}","city":"{cities[city]}",'
            f'"duration_ms":{dwell}}}\n'
            for e, visit, (c, ts, ch, frag, device, city, dwell) in zip(ids, visits, rows, strict=True)
        ]

    def _txn(self, table: Columns) -> list[str]:
        """Each kind has its own fields, so it is formatted on its own and put back in order."""
        out = np.empty(len(table["c"]), dtype=object)
        kinds = table["kind"]
        ids = np.array(self._names.hex16("txn", table["n"]), dtype=object)
        for kind, name in enumerate(pay.KIND_NAMES):
            rows = np.flatnonzero(kinds == kind)
            if not len(rows):
                continue
            some = {field: column[rows] for field, column in table.items()}
            outcome = ("success", "failed")
            way = "in" if kind in pay.INFLOWS else "out"
            fixed = f'"channel":"{_TXN_CHANNEL[kind]}","direction":"{way}","currency":"CNY","kind":"{name}"'
            values = zip(
                ids[rows].tolist(), some["c"].tolist(), some["ts"].tolist(), (some["amount"] / 100).tolist(),
                (some["balance"] / 100).tolist(), some["failed"].tolist(), _details(kind, some), strict=True,
            )  # fmt: skip
            out[rows] = [
                f'{{"stream":"txn","event_id":"{e}","customer_id":"C{c:07d}","ts":{ts},"amount":{amount},{fixed},'
                f'"account_id":"A{c:07d}"{details},"status":"{outcome[failed]}","balance":{balance}}}\n'
                for e, c, ts, amount, balance, failed, details in values
            ]
        lines: list[str] = out.tolist()
        return lines

    def _feedback(self, table: Columns) -> list[str]:
        text = self._texts.fragments
        scores = {NO_SCORE: ""} | {score: f',"score":{score}' for score in range(11)}
        cases = self._names.hex16("case", table["case"].view(np.uint64))
        rows = rows_of(table, ("metric", "score", "text", "touch", "case"))
        return [
            f'{head},"channel":"{_TOUCH_CHANNEL.get(touch, "app")}","metric":"{METRICS[metric]}"{scores[score]}'
            f'{text[said]},"touchpoint":"{TOUCHPOINTS[touch]}"' + (f',"ticket_id":"{name}"}}\n' if case >= 0 else "}\n")
            for head, name, (metric, score, said, touch, case) in zip(
                self._heads("feedback", table), cases, rows, strict=True
            )
        ]

    def _ticket(self, table: Columns) -> list[str]:
        cases = self._names.hex16("case", table["case"])
        rows = rows_of(table, ("c", "case", "stage", "satisfaction"))
        asked = STAGES.index("followed_up")
        return [
            f'{head},"ticket_id":"{name}","stage":"{STAGES[stage]}","actor_id":"S{case % 300:03d}"'
            + (f',"satisfaction":{satisfaction}}}\n' if stage == asked else "}\n")
            for head, name, (_, case, stage, satisfaction) in zip(
                self._heads("ticket", table), cases, rows, strict=True
            )
        ]

    def _label(self, table: Columns) -> list[str]:
        subjects = self._names.hex16("txn", table["subject"])
        rows = rows_of(table, ("fraud", "kind", "terminal"))
        return [
            f'{head},"subject_event_id":"{subject}","label":{"true" if fraud else "false"},"source":"investigation"'
            + (f',"terminal_id":"t{terminal}"}}\n' if kind == pay.POS else "}\n")
            for head, subject, (fraud, kind, terminal) in zip(self._heads("label", table), subjects, rows, strict=True)
        ]


def _cities(column: Array) -> Iterator[str]:
    return (words.CITIES[city] for city in column.tolist())


def _details(kind: int, table: Columns) -> list[str]:
    """The fields that only some kinds have, each with a leading comma."""
    party, cities = table["party"].tolist(), _cities(table["city"])
    if kind in (pay.POS, pay.ONLINE):
        codes = [words.MCCS[p % len(words.MCCS)] for p in party]
        if kind == pay.POS:
            return [
                f',"merchant_id":"m{p}","terminal_id":"t{t}","mcc":"{code}","city":"{city}","country":"CN"'
                for p, t, code, city in zip(party, table["terminal"].tolist(), codes, cities, strict=True)
            ]
        return [
            f',"merchant_id":"m{p}","mcc":"{code}","device_id":"d{d:x}","city":"{city}"'
            for p, d, code, city in zip(party, table["device"].tolist(), codes, cities, strict=True)
        ]
    if kind in (pay.TRANSFER_OUT, pay.INVESTMENT):
        bank = ("own-", "ext-") if kind == pay.TRANSFER_OUT else ("fund-", "fund-")
        return [
            f',"counterparty_id":"{bank[p & 1]}{p:x}","device_id":"d{d:x}","city":"{city}"'
            for p, d, city in zip(party, table["device"].tolist(), cities, strict=True)
        ]
    if kind in (pay.WITHDRAWAL, pay.DEPOSIT):
        return [
            f',"terminal_id":"a{t}","city":"{city}"' for t, city in zip(table["terminal"].tolist(), cities, strict=True)
        ]
    if kind == pay.FEE:
        return [""] * len(party)
    prefix = {pay.TRANSFER_IN: "ext-", pay.SALARY: "emp-", pay.REPAYMENT: "loan-"}[kind]
    return [f',"counterparty_id":"{prefix}{p:x}"' for p in party]
