"""The book of stories: their events as finished lines by day, and the truth about them."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from flows.simulate import vocabulary as words
from flows.simulate.clock import HOUR_MS, Day
from flows.simulate.columns import STORY_NUMBERS, Names
from flows.simulate.population import DEVICES_PER_CUSTOMER, HOLDINGS, MANAGER_CUSTOMERS, Population
from flows.simulate.profiles import iso_dates
from flows.simulate.writer import StoryLine


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class StoryBook:
    """Takes the events of one story after another; `lines` holds them by day index and stream."""

    def __init__(self, names: Names, pop: Population, days: list[Day], rng: np.random.Generator) -> None:
        self.pop = pop
        self.days = days
        self.rng = rng
        self.lines: dict[tuple[int, str], list[StoryLine]] = {}
        self.events: list[dict[str, Any]] = []
        """Every story event with its customer number `c`, as it was told."""
        self._names = names
        self._number = STORY_NUMBERS
        self._truth: list[dict[str, Any]] = []
        self._index: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self._indexed = 0
        self._kind = ""
        self._told: Counter[str] = Counter()

    @property
    def end_ms(self) -> int:
        """The end of the run."""
        return self.days[-1].end_ms

    def begin(self, kind: str) -> None:
        """Starts the next instance of a kind of story."""
        self._kind = kind
        self._told[kind] += 1

    def integer(self, low: int, high: int) -> int:
        """A random integer, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def one_of(self, options: Sequence[str]) -> str:
        """A random choice."""
        return options[int(self.rng.integers(len(options)))]

    def moment(self, day: int, from_h: float = 9.0, to_h: float = 21.0) -> int:
        """A random time on a day of the run, between two local hours."""
        return self.days[day].start_ms + int(self.rng.uniform(from_h, to_h) * HOUR_MS)

    def new_number(self, space: str) -> str:
        """A new identifier of `space`."""
        self._number += 1
        return self._names.one(space, self._number)

    def device(self, customer: int) -> str:
        """The customer's own phone."""
        return f"d{self.pop.device(customer):x}"

    def new_device(self) -> str:
        """A phone that no customer of the bank has had."""
        self._number += 1
        return f"d{(self.pop.customers + self._number - STORY_NUMBERS) * DEVICES_PER_CUSTOMER + self.integer(0, 63):x}"

    def home(self, customer: int) -> str:
        """The customer's city."""
        return words.CITIES[int(self.pop.city[customer])]

    def elsewhere(self, customer: int) -> str:
        """A city where the customer has not been."""
        step = self.integer(1, len(words.CITIES) - 1)
        return words.CITIES[(int(self.pop.city[customer]) + step) % len(words.CITIES)]

    def emit(self, stream: str, customer: int, ts: int, **fields: Any) -> str:
        """Adds an event and returns its id; None fields are left out. Nothing after the run is written."""
        event_id = self.new_number(stream)
        present = {name: value for name, value in fields.items() if value is not None}
        event = {"stream": stream, "event_id": event_id, "customer_id": f"C{customer:07d}", "ts": ts} | present
        self.events.append(event | {"c": customer})
        day = (ts - self.days[0].start_ms) // (24 * HOUR_MS)
        self.lines.setdefault((day, stream), []).append((ts, customer, _json(event) + "\n"))
        return event_id

    def click(self, customer: int, ts: int, session: str, fragment: str, **fields: Any) -> str:
        """Adds a click whose middle is a fragment of the vocabulary."""
        middle = json.loads(f"{{{fragment}}}")
        place = {"device_id": self.device(customer), "city": self.home(customer)} | fields
        dwell = self.integer(2000, 40_000)
        known = {"channel": "app", "session_id": session, **middle, **place, "duration_ms": dwell}
        return self.emit("click", customer, ts, **known)

    def page(self, customer: int, ts: int, fragment: str) -> str:
        """A visit to one page in a session of its own: login, home, then the page at `ts`."""
        session = self.new_number("session")
        login = words.SCRIPTS[0].steps[0][0]
        self.click(customer, ts - self.integer(12_000, 40_000), session, login)
        self.click(customer, ts - self.integer(3000, 11_000), session, words.page_fragment("home"))
        return self.click(customer, ts, session, fragment)

    def transfer(self, customer: int, ts: int, amount: float, counterparty: str, **fields: Any) -> str:
        """An outgoing transfer by app from the customer's own phone at home, unless `fields` say otherwise."""
        place = {"device_id": self.device(customer), "city": self.home(customer)} | fields
        return self.emit(
            "txn", customer, ts, amount=amount, channel="app", direction="out", currency="CNY", kind="transfer",
            account_id=f"A{customer:07d}", counterparty_id=counterparty, **place, status="success",
            balance=max(int(self.pop.demand[customer]) / 100 - amount, 0.0),
        )  # fmt: skip

    def purchase(self, customer: int, ts: int, amount: float, merchant: str, **fields: Any) -> str:
        """A card purchase at home, unless `fields` say otherwise."""
        known: dict[str, Any] = {
            "amount": amount, "channel": "pos", "direction": "out", "currency": "CNY", "kind": "purchase",
            "account_id": f"A{customer:07d}", "merchant_id": merchant, "mcc": self.one_of(words.MCCS),
            "city": self.home(customer), "status": "success",
            "balance": max(int(self.pop.demand[customer]) / 100 - amount, 0.0),
        }  # fmt: skip
        return self.emit("txn", customer, ts, **known | fields)

    def visit(self, customer: int, ts: int, fragments: Sequence[str], **fields: Any) -> list[str]:
        """One session of several clicks, from `ts` on, half a minute or so apart."""
        session, found = self.new_number("session"), []
        for fragment in fragments:
            found.append(self.click(customer, ts, session, fragment, **fields))
            ts += self.integer(15_000, 45_000)
        return found

    def said(self, customer: int, ts: int, metric: str, text: str | None, score: int | None = None, **more: Any) -> str:
        """A piece of feedback; `more` has its touchpoint, ticket and channel."""
        known = {"channel": "app", "metric": metric, "score": score, "text": text} | more
        return self.emit("feedback", customer, ts, **known)

    def case(self, customer: int, ts: int, ticket_id: str, stage: str, satisfaction: int | None = None) -> str:
        """A stage of a service ticket."""
        return self.emit(
            "ticket", customer, ts, ticket_id=ticket_id, stage=stage, actor_id="S001", satisfaction=satisfaction
        )

    def payee(self, bank: str = "ext") -> str:
        """An account that nobody has paid to before: at another bank, unless `bank` is `own`."""
        return f"{bank}-{self.integer(1, 1 << 40):x}"

    def income(self, customer: int, ts: int, amount: float, kind: str, counterparty: str) -> str:
        """Money coming in."""
        return self.emit(
            "txn", customer, ts, amount=amount, channel="app", direction="in", currency="CNY", kind=kind,
            account_id=f"A{customer:07d}", counterparty_id=counterparty, status="success",
            balance=int(self.pop.demand[customer]) / 100 + amount,
        )  # fmt: skip

    def label(self, customer: int, ts: int, subject: str, fraud: bool, terminal: str | None = None) -> str:
        """The verdict on a transaction."""
        return self.emit(
            "label", customer, ts, subject_event_id=subject, label=fraud, source="investigation", terminal_id=terminal
        )

    def profile(self, customer: int, ts: int, aum: float, demand: float, without: int | None = None) -> str:
        """The customer's profile with new amounts, and without the holding in slot `without`."""
        pop, c = self.pop, customer
        holdings = [
            {
                "holding_id": f"H{c:07d}-{slot + 1}", "kind": words.HOLDING_KINDS[int(pop.holding_kind[c, slot])],
                "amount": int(pop.holding_amount[c, slot]) / 100,
                "matures_on": iso_dates(pop.holding_matures[c, slot : slot + 1])[0],
            }
            for slot in range(HOLDINGS)
            if pop.holding_kind[c, slot] >= 0 and slot != without
        ]  # fmt: skip
        return self.emit(
            "profile", c, ts, tier=words.TIERS[int(pop.tier[c])], segment=words.SEGMENTS[int(pop.segment[c])],
            manager_id=f"M{c // MANAGER_CUSTOMERS:05d}", branch=f"B{int(pop.branch[c]):03d}",
            risk_level=words.RISK_LEVELS[int(pop.risk[c])], aum=round(aum, 2), demand_balance=round(demand, 2),
            birthday=iso_dates(pop.birthday[c : c + 1])[0], opt_out=json.loads(words.OPT_OUTS[int(pop.opt_out[c])]),
            home_city=self.home(c), holdings=holdings,
        )  # fmt: skip

    def tell(
        self, customers: Sequence[int], evidence: Sequence[str], start_ts: int, end_ts: int, *, note: str,
        expected: bool,
    ) -> None:  # fmt: skip
        """Writes down what the instance's events mean; `end_ts` is when the pattern is complete."""
        who = [f"C{c:07d}" for c in customers]
        record: dict[str, Any] = {"story": self._kind, "story_id": f"{self._kind}-{self._told[self._kind]}"}
        record |= {"customer_id": who[0]} if len(who) == 1 else {"customer_ids": who}
        record |= {"start_ts": start_ts, "end_ts": end_ts, "event_ids": list(evidence), "expected": expected}
        self._truth.append(record | {"note": note})

    def also(self, kind: str, customer: int, start_ts: int, end_ts: int, note: str) -> None:
        """Writes down what no story meant to tell and yet happened, unless it is told already."""
        if self.is_told(kind, customer, start_ts, end_ts):
            return
        self.begin(kind)
        self.tell([customer], (), start_ts, end_ts, note=note, expected=True)

    def is_told(self, kind: str, customer: int, start_ts: int, end_ts: int) -> bool:
        """Whether an expected instance of this kind overlaps these times (ms, ends included)."""
        told = (record for record in self._by_customer(kind).get(f"C{customer:07d}", ()))
        return any(start_ts <= record["end_ts"] and record["start_ts"] <= end_ts for record in told)

    def _by_customer(self, kind: str) -> dict[str, list[dict[str, Any]]]:
        """The expected instances of a kind; read once, as a large bank has many."""
        index = self._index
        for record in self._truth[self._indexed :]:
            if record["expected"] and "customer_id" in record:
                index.setdefault(record["story"], {}).setdefault(record["customer_id"], []).append(record)
        self._indexed = len(self._truth)
        return index.get(kind, {})

    def count(self, *, expected: bool) -> dict[str, int]:
        """Instances (or decoys) by kind."""
        return dict(Counter(record["story"] for record in self._truth if record["expected"] is expected))

    def truth_lines(self) -> Iterator[str]:
        """The lines of `truth.ndjson`, by start."""
        for record in sorted(self._truth, key=lambda record: (record["start_ts"], record["story_id"])):
            yield _json(record) + "\n"


Teller = Callable[[StoryBook, list[int], int | None], None]
"""Tells one instance about the given customers: the real story (None) or the decoy of that number."""
