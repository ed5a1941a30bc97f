"""What happens in the whole bank without being a story, and yet is what a scenario of the pack describes.

The makers hand over what they make, a day at a time; at the end of the run the book gets the truth about it: an
application that a customer of the background left, a low score, a birthday. What one story leaves behind for another
scenario is found here too. Nothing of this reads a rule.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from flows.simulate import payments as pay
from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook
from flows.simulate.clock import DAY_MS, HOUR_MS, LOCAL_OFFSET_MS, MINUTE_MS
from flows.simulate.columns import Array, Columns, take
from flows.simulate.population import CALM_WEALTH_PAGES, Population
from flows.simulate.profiles import iso_dates
from flows.simulate.sequences import Row, by_customer, earlier, followed
from flows.simulate.sessions import Sessions
from flows.simulate.stories_care import APPLICATIONS, SAMPLE
from flows.simulate.stories_words import GOLD, PLATINUM
from flows.simulate.voices import COMPLAINT, CSAT, METRICS, STAGES

TRANSFER = words.SCRIPT_NO["transfer"]
JOURNEYS = (*APPLICATIONS, "transfer")
ASSET_LINES = (500_000.0, 6_000_000.0)
MUCH_ON_DEMAND = 0.55
QUIET_DAYS, BEFORE_DAYS, OFTEN_CLICKS = 30, 120, 90
LOOKED_AT_MS = 9 * HOUR_MS + 30 * MINUTE_MS
"""The time of day up to which a day's clicks are counted."""
_WENT_WELL, _DONE, _ERROR, _TIMEOUT = range(4)


class Record:
    """Takes the tables of a run as they are made; `settle` writes the truth into the book."""

    def __init__(self, book: StoryBook, pop: Population) -> None:
        self._book = book
        self._pop = pop
        self._clicked: dict[str, list[Row]] = defaultdict(list)  # by journey: c, ts, what it was
        self._finished: list[Row] = []  # transfers: c, ts
        self._clicks = np.zeros((pop.customers, len(book.days)), dtype=np.int32)
        self._profiles: list[tuple[int, int, float]] = []
        self._money: list[Array] = []  # c, ts, signed cents, is a payment
        self._spoken: list[tuple[int, int, str, int | None]] = []
        self._answered: list[tuple[int, int, int]] = []  # CSAT for a ticket: c, ts, score
        self._tickets: list[tuple[int, int, str, int]] = []

    # ---- as it happens

    def profiles(self, table: Columns) -> None:
        """Also sees to it that nobody with much on demand looks at wealth pages from then on, but in stories."""
        c, total = table["c"], table["demand"] + table["wealth"]
        rich = c[table["demand"] >= MUCH_ON_DEMAND * total]
        self._pop.calm[rich] |= CALM_WEALTH_PAGES
        self._profiles += zip(c.tolist(), table["ts"].tolist(), (total / 100).tolist(), strict=True)

    def sessions(self, sessions: Sessions, clicks: Columns) -> None:
        """Journeys begun and where they ended; ``clicks`` are those of these sessions, one after another."""
        self._count_clicks(clicks["c"], clicks["ts"])
        start = clicks["ts"][np.flatnonzero(np.diff(clicks["session"], prepend=-1))]
        rows = zip(
            sessions.c.tolist(), start.tolist(), sessions.end.tolist(), sessions.script.tolist(),
            sessions.finished.tolist(), sessions.clicks.tolist(), strict=True,
        )  # fmt: skip
        for c, began, end, script, finished, taken in rows:
            name = words.SCRIPTS[script].name
            if name == "transfer" and finished:
                self._finished.append((c, end))
            if name in JOURNEYS and taken > words.START_STEPS:
                self._clicked[name] += ((c, began, _DONE), (c, end, _DONE if finished else _WENT_WELL))

    def payments(self, table: Columns) -> None:
        """What came in (positive) and went out of what succeeded; large single ones are stories'."""
        sign = np.where(np.isin(table["kind"], pay.INFLOWS), 1, -1)
        moved = np.where(table["failed"], 0, sign * table["amount"])
        self._money.append(np.stack((table["c"], table["ts"], moved, sign * table["amount"])))

    def voices(self, feedback: Columns, tickets: Columns) -> None:
        """Feedback and stages of tickets; they may lie after the end of the run."""
        said = (feedback[name].tolist() for name in ("c", "ts", "metric", "score"))
        self._spoken += [
            (c, ts, METRICS[metric], score if score >= 0 else None) for c, ts, metric, score in zip(*said, strict=True)
        ]
        csat = feedback["metric"] == CSAT
        answers = take(feedback, csat & (feedback["case"] >= 0))
        self._answered += zip(answers["c"].tolist(), answers["ts"].tolist(), answers["score"].tolist(), strict=True)
        staged = (tickets[name].tolist() for name in ("c", "ts", "stage", "satisfaction"))
        self._tickets += [(c, ts, STAGES[stage], happy) for c, ts, stage, happy in zip(*staged, strict=True)]

    # ---- at the end

    def settle(self) -> None:
        """Tells the book all that has come to pass before the end of the run."""
        self._add_stories()
        self._birthdays()
        self._journeys()
        self._questions_asked()
        self._scores()
        self._after_tickets()
        self._assets()
        self._gone_quiet()
        self._deposits()
        self._large_payments()

    def _add_stories(self) -> None:
        money = []
        for event in self._book.events:
            c, ts = event["c"], event["ts"]
            if event["stream"] == "click":
                self._add_click(c, ts, event)
            elif event["stream"] == "profile":
                self._profiles.append((c, ts, event["aum"]))
            elif event["stream"] == "feedback":
                # Comments are told by their stories alone, which know what they mean.
                self._spoken.append((c, ts, event["metric"], event.get("score")))
                if event["metric"] == METRICS[CSAT] and "ticket_id" in event:
                    self._answered.append((c, ts, event["score"]))
            elif event["stream"] == "ticket":
                self._tickets.append((c, ts, event["stage"], event.get("satisfaction", 9)))
            elif event["stream"] == "txn" and event["currency"] == "CNY":
                cents = round(event["amount"] * 100) * (1 if event["direction"] == "in" else -1)
                money.append((c, ts, 0 if event["status"] == "failed" else cents, cents))
        self._money.append(np.array(money, dtype=np.int64).reshape(-1, 4).T)

    def _count_clicks(self, c: Array, ts: Array) -> None:
        days = self._book.days
        day = (ts - days[0].start_ms - LOOKED_AT_MS) // DAY_MS + 1
        inside = day < len(days)
        np.add.at(self._clicks, (c[inside], day[inside]), 1)

    def _add_click(self, c: int, ts: int, event: dict[str, Any]) -> None:
        self._count_clicks(np.array([c]), np.array([ts]))
        journey = event.get("journey")
        if journey in JOURNEYS:
            error = event.get("error_code")
            what = _WENT_WELL if error is None else _TIMEOUT if error == "TIMEOUT" else _ERROR
            self._clicked[journey].append((c, ts, _DONE if event["action"] == "finish" else what))
            if journey == "transfer" and event["action"] == "finish":
                self._finished.append((c, ts))

    def _also(self, kind: str, c: int, start_ts: int, end_ts: int, note: str) -> None:
        if end_ts < self._book.end_ms:
            self._book.also(kind, c, start_ts, end_ts, note)

    def _birthdays(self) -> None:
        """The day on which a customer of tier gold or higher has a birthday."""
        days = {day.date.strftime("%m-%d"): day for day in self._book.days}
        for c, born in enumerate(iso_dates(self._pop.birthday)):
            day = days.get(born[5:])
            if day is not None and self._pop.tier[c] >= GOLD:
                self._also("birthday", c, day.start_ms, day.end_ms - 1, born)

    def _journeys(self) -> None:
        """Journeys that end with an error and, for 30 minutes, nothing more of any; applications that end half-way."""
        for c, ts, what, after in followed(self._clicked, JOURNEYS):
            if what in (_ERROR, _TIMEOUT) and after > 30 * MINUTE_MS:
                kind = "journey_broken_error" if what == _ERROR else "journey_broken_timeout"
                self._also(kind, c, ts, ts + 30 * MINUTE_MS, "left after an error")
        for c, ts, what, after in followed(self._clicked, APPLICATIONS):
            if what == _WENT_WELL and after > 2 * HOUR_MS:
                self._also("journey_left", c, ts, ts + 2 * HOUR_MS, "left half-way")

    def _questions_asked(self) -> None:
        """The sample of finished transfers, and every resolved ticket."""
        for c, ts in self._finished:
            if ts % SAMPLE == 0:
                self._also("survey_transfer", c, ts, ts, "drawn")
        for c, ts, stage, _ in self._tickets:
            if stage == "resolved":
                self._also("survey_ticket", c, ts, ts, "resolved")

    def _scores(self) -> None:
        for c, ts, metric, score in self._spoken:
            vip = self._pop.tier[c] >= PLATINUM
            if metric == METRICS[COMPLAINT]:
                if not self._book.is_told("complaint_security", c, ts, ts):
                    self._also("complaint_vip" if vip else "complaint", c, ts, ts, "complains")
            elif score is not None and score <= {"nps": 6 if vip else 3, "csat": 2, "ces": 3}[metric]:
                kind = {"nps": "nps_detractor_vip" if vip else "nps_detractor"}.get(metric, f"{metric}_low")
                self._also(kind, c, ts, ts, f"{metric} {score}")

    def _after_tickets(self) -> None:
        resolved = defaultdict(list)
        for c, ts, stage, _ in self._tickets:
            if stage == "resolved":
                resolved[c].append(ts)
        unhappy = [(c, ts) for c, ts, metric, score in self._spoken if metric == METRICS[CSAT] and (score or 9) <= 2]
        unhappy += [(c, ts) for c, ts, stage, happy in self._tickets if stage == "followed_up" and happy <= 2]
        bad = [(c, ts) for c, ts, score in self._answered if score <= 2]
        bad += [(c, ts) for c, ts, stage, happy in self._tickets if stage == "followed_up" and happy <= 2]
        for c, ts in bad:
            self._also("reopen_unhappy", c, ts, ts, "a bad answer for a ticket")
        for c, ts in unhappy:
            if any(0 < ts - done <= 7 * DAY_MS for done in resolved[c]):
                self._also("unhappy_after_ticket", c, ts, ts, "still unhappy")

    def _assets(self) -> None:
        before: dict[int, float] = {}
        for c, ts, aum in sorted(self._profiles):
            was = before.get(c, aum)
            if any(was < line <= aum for line in ASSET_LINES):
                self._also("asset_threshold", c, ts, ts, f"{was:,.0f} to {aum:,.0f}")
            before[c] = aum

    def _gone_quiet(self) -> None:
        """Customers of the background with 50,000 or more who clicked 90 times or more in 120 days, and hardly in the
        last 30 of them: as long as that is so."""
        days = self._book.days
        if len(days) <= QUIET_DAYS:
            return
        worth = dict.fromkeys(range(self._pop.customers), 0.0) | {c: aum for c, _, aum in sorted(self._profiles)}
        total = np.cumsum(self._clicks, axis=1)
        for c in np.flatnonzero(total[:, -1] >= OFTEN_CLICKS).tolist():
            upto = total[c, QUIET_DAYS - 1 :]
            recent = upto - np.concatenate(([0], total[c, : len(upto) - 1]))
            gone = max(total.shape[1] - BEFORE_DAYS, 0)
            before = upto - np.concatenate((np.zeros(len(upto) - gone, np.int64), total[c, :gone]))
            quiet = np.flatnonzero((recent <= 2) & (before >= OFTEN_CLICKS)) + QUIET_DAYS - 1
            if len(quiet) and worth[c] >= 50_000:
                first, last = days[quiet[0]], days[quiet[-1]]
                self._also("activity_fallen", c, first.start_ms, last.end_ms - 1, "gone quiet")

    def _deposits(self) -> None:
        """From when a third month's net inflow is above 20,000 to the end of the last month that it goes on."""
        for c, rows in by_customer(self._money, self._book.end_ms):
            net: dict[tuple[int, int], int] = defaultdict(int)
            since: dict[tuple[int, int], int] = {}
            for ts, moved, _ in rows:
                month = self._month(ts)
                net[month] += moved
                before = [earlier(month, n) for n in (1, 2)]
                if net[month] > 2_000_000 and all(net.get(m, 0) > 2_000_000 for m in before):
                    since.setdefault(month, ts)
            for month, ts in since.items():
                if earlier(month, 1) in since:
                    continue  # goes on: it is still the same case
                last = month
                while earlier(last, -1) in since:
                    last = earlier(last, -1)
                end = max(day.end_ms for day in self._book.days if (day.date.year, day.date.month) == last)
                self._also("net_deposits_three_months", c, ts, end - 1, "three months")

    def _large_payments(self) -> None:
        """What stories pay with other things in mind: far above the largest, at night, all at once, by card."""
        largest = dict(by_customer(self._money, self._book.end_ms))
        opened = self._instalments()
        paid_to: dict[tuple[int, str], int] = {}
        for event in sorted(self._book.events, key=lambda event: int(event["ts"])):
            if event["stream"] != "txn" or event["direction"] != "out":
                continue
            c, ts, amount, yuan = event["c"], event["ts"], event["amount"], event["currency"] == "CNY"
            split = any(0 < looked - ts <= 2 * HOUR_MS for looked in opened[c])
            if event["kind"] == "purchase" and yuan and amount >= 5000 and event["status"] == "success" and not split:
                self._also("card_purchase_instalments", c, ts, ts + 2 * HOUR_MS, "large purchase")
            if event["kind"] != "transfer":
                continue
            hour = (ts + LOCAL_OFFSET_MS) // HOUR_MS % 24
            whom = (c, event["counterparty_id"])
            if amount >= 20_000 and (hour >= 23 or hour < 6) and ts - paid_to.get(whom, 0) > 90 * DAY_MS:
                self._also("night_new_payee", c, ts, ts, "at night")
            paid_to[whom] = ts
            if yuan and amount >= 500_000:
                self._also("outflow_velocity", c, ts, ts, "half a million at once")
            past = [-cents for at, _, cents in largest.get(c, ()) if ts - 90 * DAY_MS < at < ts and cents < 0]
            if yuan and amount >= 10_000 and past and round(amount * 100) >= 5 * max(past):
                self._also("unusual_amount", c, ts, ts, "far above the largest")

    def _instalments(self) -> dict[int, list[int]]:
        opened: dict[int, list[int]] = defaultdict(list)
        for event in self._book.events:
            if event["stream"] == "click" and event.get("journey") == "instalment":
                opened[event["c"]].append(event["ts"])
        return opened

    def _month(self, ts: int) -> tuple[int, int]:
        days = self._book.days
        date = days[min((ts - days[0].start_ms) // DAY_MS, len(days) - 1)].date
        return date.year, date.month
