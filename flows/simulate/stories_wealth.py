"""Stories of money for the pack: deposits, holdings, purchases, money from abroad. Each docstring is the exact pattern.

Written as in `stories_service`. What `record` finds out for the whole bank is said there.
"""

from __future__ import annotations

from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS
from flows.simulate.population import CALM_WEALTH, FROZEN, NO_INFLOWS, NO_SALARY

WEALTH_PAGES = ("wealth/list", "wealth/detail", "wealth/compare", "wealth/fund/rank", "wealth/deposit/large")
STUDY_PAGES = ("study/loan", "study/fx", "study/visa", "study/tuition", "study/guide")
STUDY_QUERIES = ("留学贷款", "留学购汇", "留学保证金", "出国留学汇款")


def _own(book: StoryBook, c: int, aum: float, demand: float) -> None:
    """The customer's assets from the first profile on, in yuan."""
    book.pop.demand[c], book.pop.wealth[c] = round(demand * 100), round((aum - demand) * 100)


def _months(book: StoryBook) -> list[list[int]]:
    """The run's days by calendar month: the last three that have at least six."""
    months: dict[tuple[int, int], list[int]] = {}
    for day in book.days:
        months.setdefault((day.date.year, day.date.month), []).append(day.index)
    return [days for days in months.values() if len(days) >= 6][-3:]


def wealth_pages_idle_demand(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Three visits (sessions) to `wealth/…` pages within 7 days by a customer with 60 % or more of the assets, and
    50,000 or more, on demand. Complete at the third. In the background nobody with so much on demand looks at
    such pages.

    Decoys: two visits of several pages each; three visits in eleven days; a share below 0.5; below 45,000 on demand.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH | FROZEN
    kind = "" if decoy is None else ("two_visits", "spread", "low_share", "small")[decoy % 4]
    demand = book.rng.uniform(15_000, 40_000) if kind == "small" else book.rng.uniform(60_000, 400_000)
    share = book.rng.uniform(0.25, 0.45) if kind == "low_share" else book.rng.uniform(0.68, 0.92)
    _own(book, c, demand / share, demand)
    last = book.integer(11 if kind == "spread" else 6, len(book.days) - 1)
    on = [last - 10, last - 5, last] if kind == "spread" else [last - book.integer(3, 5), last - 2, last]
    found, times = [], []
    for day in on[1:] if kind == "two_visits" else on:
        times.append(book.moment(day, 9, 20))
        pages = [words.page_fragment(book.one_of(WEALTH_PAGES)) for _ in range(book.integer(2, 4))]
        found += book.visit(c, times[-1], [words.SCRIPTS[0].steps[0][0], *pages])
    end = times[-1] + 5 * MINUTE_MS
    book.tell(cast, found, times[0], end, note=kind or "three visits", expected=decoy is None)


def net_deposits_three_months(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """In each of three calendar months running more than 20,000 came in than went out (what failed does not count).
    Complete as soon as the third month's sum is above 20,000; then it holds to the month's end.

    Decoys: most of the second month's goes out again; 19,500 or less a month; two months; the second month's failed.
    """
    c = cast[0]
    pop = book.pop
    pop.calm[c] |= CALM_WEALTH | NO_INFLOWS | NO_SALARY
    # Whoever spends little keeps what came in.
    pop.activity[c], pop.amount_mu[c] = min(float(pop.activity[c]), 1.0), min(float(pop.amount_mu[c]), 3.3)
    kind = "" if decoy is None else ("drained", "too_little", "two_months", "failed")[decoy % 4]
    found, times, account = [], [], book.payee()
    months = _months(book)
    for number, days in enumerate(months):
        if kind == "two_months" and number == 1:
            continue
        amount = float(book.integer(185, 195) * 100 if kind == "too_little" else book.integer(320, 490) * 100)
        ts = book.moment(days[book.integer(1, max(1, len(days) - 3))], 9, 16)
        failed = kind == "failed" and number == 1
        found.append(book.emit(
            "txn", c, ts, amount=amount, channel="app", direction="in", currency="CNY", kind="transfer",
            account_id=f"A{c:07d}", counterparty_id=account, status="failed" if failed else "success",
            balance=int(book.pop.demand[c]) / 100,
        ))  # fmt: skip
        times.append(ts)
        if kind == "drained" and number == 1:
            for part in range(6):
                spent = round(amount * 0.16, 2)
                book.purchase(c, ts + (part + 1) * 3 * HOUR_MS, min(spent, 4400.0), f"m{book.integer(0, 200)}")
            book.transfer(c, ts + DAY_MS, min(round(amount * 0.5, 2), 9900.0), book.payee("own"))
    end = book.days[months[-1][-1]].end_ms
    book.tell(cast, found, times[-1], end, note=kind or "three months", expected=decoy is None)


def regular_inflows_idle(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """In each of three calendar months running 50,000 or more came in at once, more than half of the assets is on
    demand, and nothing is invested in the 3 days after the third. Complete then.

    Decoys: invests within two days; two months; the third below 46,000; a demand share below 0.4.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH | FROZEN
    kind = "" if decoy is None else ("invested", "two_months", "small", "low_share")[decoy % 4]
    aum = book.rng.uniform(150_000, 450_000)
    _own(book, c, aum, aum * (book.rng.uniform(0.15, 0.38) if kind == "low_share" else book.rng.uniform(0.58, 0.9)))
    found, times, account = [], [], book.payee()
    months = _months(book)
    for number, days in enumerate(months):
        if kind == "two_months" and number == 0:
            continue
        amount = float(book.integer(40, 46) * 1000 if kind == "small" and number == 2 else book.integer(52, 150) * 1000)
        low = 0 if number < 2 else 1
        times.append(book.moment(days[book.integer(low, max(low, len(days) - 5))], 9, 16))
        found.append(book.income(c, times[-1], amount, "transfer", account))
    if kind == "invested":
        paid = times[-1] + book.integer(3 * HOUR_MS, 2 * DAY_MS)
        found.append(book.emit(
            "txn", c, paid, amount=40_000.0, channel="app", direction="out", currency="CNY", kind="investment",
            account_id=f"A{c:07d}", counterparty_id=book.payee("fund"), device_id=book.device(c), city=book.home(c),
            status="success", balance=round(aum, 2),
        ))  # fmt: skip
    end = times[-1] + 3 * DAY_MS
    book.tell(cast, found, times[-1], end, note=kind or "three months", expected=decoy is None)


def holding_matures(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A holding of 10,000 or more matures in 30, 7 or 1 local days; each of these days in the run is an instance of its
    own (its bounds are that day's). Nothing else in the bank matures in the run or 40 days after it.

    Decoys: 9,500 or less; redeemed before any of the three days.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= FROZEN
    last = len(book.days) - 1
    kind = "" if decoy is None else ("small", "redeemed")[decoy % 2]
    if pop.holding_kind[c, 0] < 0:
        pop.holding_kind[c, 0] = book.integer(0, 1)
    amount = book.integer(20, 95) * 10_000 if kind == "small" else book.integer(2, 50) * 1_000_000
    on = book.integer(min(34, last + 25), last + 25) if kind == "redeemed" else book.integer(8, last)
    pop.holding_amount[c, 0] = amount
    pop.holding_matures[c, 0] = book.days[0].start_ms // DAY_MS + 1 + on
    pop.wealth[c] += amount
    gone = book.days[0].start_ms + HOUR_MS if kind == "redeemed" else book.days[on].start_ms + HOUR_MS
    aum, demand = int(pop.wealth[c] + pop.demand[c]) / 100, int(pop.demand[c]) / 100
    book.profile(c, gone, aum, demand, without=0)
    if decoy is not None:
        return book.tell(cast, (), book.days[0].start_ms, book.end_ms, note=kind, expected=False)
    for left in (30, 7, 1):
        if on >= left:
            day = book.days[on - left]
            book.tell(cast, (), day.start_ms, day.end_ms - 1, note=f"in {left} days", expected=True)
            book.begin("holding_matures")
    return None


def asset_threshold(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A profile whose `aum` is 500,000 or more (or 6,000,000 or more) after one below it. Complete at that profile.
    `record` finds the background's.

    Decoys: up to 495,000; from above 510,000 on; down from above to below.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH | FROZEN
    kind = "" if decoy is None else ("below", "above", "down")[decoy % 3]
    line = 6_000_000 if decoy is None and book.integer(0, 4) == 0 else 500_000
    low, high = {"below": (0.7, 0.985), "above": (1.03, 1.3), "down": (1.1, 0.9)}.get(kind, (0.93, 1.04))
    _own(book, c, line * low, line * low * 0.3)
    ts = book.moment(book.integer(1, len(book.days) - 1), 8, 20)
    found = [book.profile(c, ts, line * high, line * high * 0.3)]
    book.tell(cast, found, ts, ts, note=kind or f"above {line:,}", expected=decoy is None)


def card_purchase_instalments(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A purchase of 5,000 or more in yuan that goes through, and no click of the journey `instalment` in the 2 h after
    it. Complete then. The background's purchases are at most 4,500.

    Decoys: looks at instalments within 100 minutes; below 4,800; in dollars; declined.
    """
    c = cast[0]
    kind = "" if decoy is None else ("asked", "small", "dollars", "declined")[decoy % 4]
    amount = float(book.integer(30, 47) * 100 if kind == "small" else book.integer(51, 120) * 100)
    ts = book.moment(book.integer(0, len(book.days) - 2), 10, 19)
    more = {"dollars": {"currency": "USD"}, "declined": {"status": "failed"}}.get(kind, {})
    found = [book.purchase(c, ts, amount, f"m{book.integer(0, 200)}", **more)]
    if kind == "asked":
        fragment = '"journey":"instalment","step":"offer","page":"instalment/offer","action":"view"'
        found.append(book.page(c, ts + book.integer(5, 100) * MINUTE_MS, fragment))
    book.tell(cast, found, ts, ts + 2 * HOUR_MS, note=kind or "large purchase", expected=decoy is None)


def study_abroad(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Within 14 days three visits to `study…` pages or searches with 留学, and, within 30 days, a payment of 5,000 or
    more in another currency, in either order. Complete at the last of them.

    Decoys: two visits; a payment of 900 to 4,700; no payment; the same in yuan.
    """
    c = cast[0]
    kind = "" if decoy is None else ("two_visits", "small", "no_payment", "in_yuan")[decoy % 4]
    last = book.integer(12, len(book.days) - 2)
    times = [book.moment(day, 9, 20) for day in (last - book.integer(6, 10), last - book.integer(1, 5), last)]
    found, pages_from = [], 1 if kind == "two_visits" else 0
    for ts in times[pages_from:]:
        query = words.page_fragment("search", action="search", query=book.one_of(STUDY_QUERIES))
        page = words.page_fragment(book.one_of(STUDY_PAGES))
        found.append(book.page(c, ts, query if book.integer(0, 3) == 0 else page))
    amount = float(book.integer(9, 47) * 100 if kind == "small" else book.integer(52, 300) * 100)
    paid = book.days[last].end_ms + book.integer(1, 20) * HOUR_MS
    if book.integer(0, 1):
        paid = times[0] - book.integer(1, 40) * HOUR_MS
    if kind != "no_payment":
        found.append(book.emit(
            "txn", c, paid, amount=amount, channel="app", direction=book.one_of(("in", "out")), kind="transfer",
            currency="CNY" if kind == "in_yuan" else book.one_of(("USD", "GBP", "AUD")), account_id=f"A{c:07d}",
            counterparty_id=book.payee(), device_id=book.device(c), city=book.home(c), status="success",
            balance=int(book.pop.demand[c]) / 100,
        ))  # fmt: skip
    end = max(times[-1], paid)
    book.tell(cast, found, times[0], end, note=kind or "goes abroad", expected=decoy is None)
