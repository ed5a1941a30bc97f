"""Stories of service and sales. Each docstring is the exact pattern; times are local, bounds as in the rule language.

A teller gets the book, its cast and either None (the real story) or a decoy number, and adds the events.
"""

from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS
from flows.simulate.population import CALM_ERRORS, CALM_FEEDBACK, CALM_SEARCH, CALM_WEALTH, FROZEN, NO_SALARY
from flows.simulate.texts import NEGATIVE, POSITIVE, text_of


def repeated_prepay_search(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Three or more clicks whose `query` contains 提前还款 within 7 days, and no click with action `prepay_submit` in
    the 24 h after the third. Complete 24 h after the third search.

    Decoys: submits after all (within 20 h of the third); only two searches; three searches four days apart.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_SEARCH
    days = len(book.days)
    kinds = ("submitted", "two_searches", "spread") if days >= 10 else ("submitted", "two_searches")
    kind = "" if decoy is None else kinds[decoy % len(kinds)]
    third = book.integer(8, days - 2) if kind == "spread" else book.integer(min(2, days - 2), days - 2)
    on = [third - 8, third - 4, third]
    if kind != "spread":
        on = sorted([max(0, third - book.integer(0, 5)), max(0, third - book.integer(0, 5)), third])
    # One part of the day for each search keeps them in order, also on one day.
    hours = ((9.0, 12.0), (13.0, 17.0), (18.0, 21.0))
    times = [book.moment(day, *part) for day, part in zip(on, hours, strict=True)]
    if kind == "two_searches":
        times.pop(0)
    if decoy is None and book.integer(0, 2) == 0:
        times.append(times[-1] + book.integer(30 * MINUTE_MS, 5 * HOUR_MS))
    end = times[min(2, len(times) - 1)] + DAY_MS
    found = [
        book.page(c, ts, words.page_fragment("search", action="search", query=book.one_of(words.PREPAY_QUERIES)))
        for ts in times
    ]
    if kind == "submitted":
        done = times[-1] + book.integer(10 * MINUTE_MS, 20 * HOUR_MS)
        found.append(book.page(c, done, words.page_fragment("loan/prepay", action="prepay_submit")))
    book.tell(cast, found, times[0], end, note=kind or f"{len(times)} searches", expected=decoy is None)


def mortgage_browsing(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Clicks with a `page` that starts with `loan/mortgage` on three consecutive local days. Complete at the third
    day's first one.

    Decoys: two days only; three days with a gap before the third; three days of `loan/car` pages.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_SEARCH
    kind = "" if decoy is None else ("two_days", "gap", "car")[decoy % 3]
    first = book.integer(0, len(book.days) - 4)
    on = {"two_days": (0, 1), "gap": (0, 1, 3)}.get(kind, (0, 1, 2))
    pages = words.CAR_PAGES if kind == "car" else words.MORTGAGE_PAGES
    found, times = [], []
    for day in on:
        ts = book.moment(first + day, 9, 20)
        for _ in range(book.integer(1, 3)):
            found.append(book.page(c, ts, words.page_fragment(book.one_of(pages))))
            times.append(ts)
            ts += book.integer(MINUTE_MS, HOUR_MS)
    book.tell(cast, found, times[0], times[-1], note=kind or "three days", expected=decoy is None)


def idle_cash(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A txn `in` of 200,000 or more (kind `transfer`) while `profile.demand_balance / profile.aum` is above 0.6 (before
    the inflow and, in the profile sent again within the hour, after it), and no txn of kind `investment` and no click
    that finishes `wealth_buy` in the 3 days after it. Complete 3 days after the inflow.
    Background inflows are at most 60,600.

    Decoys: buys wealth products within two days; a demand share below 0.6 before and after.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= CALM_WEALTH | FROZEN
    kind = "" if decoy is None else ("bought", "low_share")[decoy % 2]
    amount = float(book.integer(20, 80) * 10_000)
    aum = max(int(pop.wealth[c] + pop.demand[c]) / 100, 6 * amount if kind == "low_share" else 50_000.0)
    demand = aum * (book.rng.uniform(0.1, 0.3) if kind == "low_share" else book.rng.uniform(0.65, 0.9))
    pop.demand[c], pop.wealth[c] = round(demand * 100), round((aum - demand) * 100)
    ts = book.moment(book.integer(1, len(book.days) - 4))
    found = [book.income(c, ts, amount, "transfer", f"ext-{book.integer(1, 1 << 40):x}")]
    book.profile(c, ts + book.integer(5 * MINUTE_MS, HOUR_MS), aum + amount, demand + amount)
    if kind == "bought":
        bought = ts + book.integer(2 * HOUR_MS, 2 * DAY_MS)
        found.append(book.page(c, bought, words.step_fragment("wealth_buy", "done")))
        found.append(book.emit(
            "txn", c, bought + 900, amount=round(amount * 0.8, 2), channel="app", direction="out", currency="CNY",
            kind="investment", account_id=f"A{c:07d}", counterparty_id=f"fund-{book.integer(1, 1 << 40):x}",
            device_id=book.device(c), city=book.home(c), status="success", balance=round(demand, 2),
        ))  # fmt: skip
    book.tell(cast, found, ts, ts + 3 * DAY_MS, note=kind or "idle", expected=decoy is None)


def maturing_holding(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """An entry of `profile.holdings` whose `matures_on` lies in the run and 7 local days after a day of the run other
    than the first: `days_until(holding.matures_on) == 7` at that day's tick, at any time from 01:00. The evidence
    is empty (the profile of the first minutes); start and end are that day's bounds. The profile is sent without the
    holding after it has matured. No other holding in the bank matures in the run or ten days after it.

    Decoys: fewer than seven days left when the run starts; redeemed (gone from the profile) before the seventh day.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= FROZEN
    last = len(book.days) - 1
    kinds = ("too_close", "redeemed") if last >= 10 else ("too_close",)
    kind = "" if decoy is None else kinds[decoy % len(kinds)]
    on = book.integer(2, 6) if kind == "too_close" else book.integer(10 if kind == "redeemed" else 8, last)
    if pop.holding_kind[c, 0] < 0:
        pop.holding_kind[c, 0] = book.integer(0, 1)
    amount = max(int(pop.holding_amount[c, 0]), book.integer(5, 50) * 1_000_000)
    pop.holding_amount[c, 0] = amount
    pop.holding_matures[c, 0] = (book.days[on].start_ms + 8 * HOUR_MS) // DAY_MS
    pop.wealth[c] += amount
    gone = book.moment(on - 8, 10, 20) if kind == "redeemed" else book.moment(on, 1, 5)
    aum, demand = int(pop.wealth[c] + pop.demand[c]) / 100, int(pop.demand[c]) / 100
    book.profile(c, gone, aum, demand + amount / 100, without=0)
    seen = book.days[max(on - 7, 0)]
    note = kind or f"matures {book.days[on].date.isoformat()}"
    book.tell(cast, (), seen.start_ms, seen.end_ms, note=note, expected=decoy is None)


def journey_friction(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Three or more clicks with an `error_code` on the same `journey` and `step` (and in one `session_id`) within
    30 minutes, and no click with that `journey` and action `finish` in the 30 minutes after the third. Complete then.
    The background has at most two errors in a session.

    Decoys: finishes within 20 minutes of the third error; two errors only; three errors two hours apart.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= CALM_ERRORS | CALM_FEEDBACK
    kind = "" if decoy is None else ("finished", "two_errors", "spread")[decoy % 3]
    journey = book.one_of(tuple(words.JOURNEYS))
    steps = words.JOURNEYS[journey]
    at = book.integer(0, len(steps) - 1)
    ts = book.moment(book.integer(0, len(book.days) - 1), 9, 17)
    session = book.new_number("session")
    begin = ts
    for step in steps[:at]:
        book.click(c, ts, session, words.step_fragment(journey, step))
        ts += book.integer(5000, 60_000)
    count = 2 if kind == "two_errors" else 3 if kind else book.integer(3, 5)
    found, times = [], []
    for _ in range(count):
        error = words.step_fragment(journey, steps[at], error=book.one_of(words.ERROR_CODES))
        found.append(book.click(c, ts, session, error))
        times.append(ts)
        ts += 2 * HOUR_MS if kind == "spread" else book.integer(20_000, 7 * MINUTE_MS)
        session = book.new_number("session") if kind == "spread" else session
    if kind == "finished":
        done = times[2] + book.integer(MINUTE_MS, 20 * MINUTE_MS)
        found.append(book.click(c, done, session, words.step_fragment(journey, "done")))
    end = times[min(2, count - 1)] + 30 * MINUTE_MS
    # Nothing else by this customer then: a background session might finish the same journey.
    pop.mute_from[c], pop.mute_to[c] = begin - 2 * HOUR_MS, times[-1] + HOUR_MS
    note = kind or f"{count} errors at {journey}/{steps[at]}"
    book.tell(cast, found, times[0], end, note=note, expected=decoy is None)


def low_score_after_errors(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Two or more clicks with an `error_code` in the 24 h before a feedback that is an `nps` of 3 or less or a
    `complaint`. Complete at the feedback.

    Decoys: errors and then an nps of 9 or 10; an nps of 2 or less without errors; one error and then a complaint.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_ERRORS | CALM_FEEDBACK
    kind = "" if decoy is None else ("happy", "no_errors", "one_error")[decoy % 3]
    ts = book.moment(book.integer(0, len(book.days) - 1), 9, 12)
    journey, topic = (("transfer", "转账"), ("loan_apply", "贷款"), ("wealth_buy", "理财"))[book.integer(0, 2)]
    found: list[str] = []
    times: list[int] = []
    for _ in range({"no_errors": 0, "one_error": 1}.get(kind, book.integer(2, 3))):
        # Different steps and sessions: this is not the friction story.
        step = words.JOURNEYS[journey][len(found)]
        error = words.step_fragment(journey, step, error=book.one_of(words.ERROR_CODES))
        found.append(book.page(c, ts, error))
        times.append(ts)
        ts += book.integer(35 * MINUTE_MS, 120 * MINUTE_MS)
    metric = "complaint" if kind == "one_error" or (not kind and book.integer(0, 1)) else "nps"
    lowest, most = {"happy": 9, "no_errors": 1}.get(kind, 0), 1 if kind else 3
    score = lowest + book.integer(0, most) if metric == "nps" else None
    text = text_of(book.rng, topic, POSITIVE if kind == "happy" else NEGATIVE)
    touch = {"转账": "transfer", "贷款": "loan", "理财": "wealth"}[topic]
    found.append(book.emit(
        "feedback", c, ts, channel="app", metric=metric, score=score, text=text, touchpoint=touch,
    ))  # fmt: skip
    book.tell(cast, found, min([*times, ts]), ts, note=kind or metric, expected=decoy is None)


def churn_risk(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Three outgoing transfers of 50,000 or more within 14 days to another bank (`counterparty_id` starts with `ext-`)
    that add up to at least half of `profile.aum`, and no click at all in the 7 days after the third. Complete 7 days
    after the third transfer.

    Decoys: the same, but the customer logs in within two days; the same to accounts in this bank (`own-`).
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= CALM_WEALTH | FROZEN
    kind = "" if decoy is None else ("stays_active", "own_bank")[decoy % 2]
    aum = max(int(pop.wealth[c] + pop.demand[c]) / 100, 300_000.0)
    pop.demand[c], pop.wealth[c] = round(aum * 90), round(aum * 10)
    third = book.integer(1, len(book.days) - 8)
    on = sorted([max(0, third - book.integer(0, 9)), max(0, third - book.integer(0, 9)), third])
    hours = ((9.0, 12.0), (13.0, 16.0), (17.0, 20.0))
    times = [book.moment(day, *part) for day, part in zip(on, hours, strict=True)]
    account = f"{'own' if kind == 'own_bank' else 'ext'}-{book.integer(1, 1 << 40):x}"
    shares = [book.rng.uniform(0.2, 0.28) for _ in times]
    found = [book.transfer(c, ts, round(aum * s, 2), account) for ts, s in zip(times, shares, strict=True)]
    left = aum * (1 - sum(shares))
    book.profile(c, times[-1] + book.integer(HOUR_MS, 6 * HOUR_MS), left, left * 0.6)
    if kind == "stays_active":
        found.append(book.page(c, times[-1] + book.integer(6 * HOUR_MS, 2 * DAY_MS), words.page_fragment("home")))
    elif not kind:
        pop.mute_from[c], pop.mute_to[c] = times[-1] - 2 * HOUR_MS, times[-1] + 7 * DAY_MS + HOUR_MS
    book.tell(cast, found, times[0], times[-1] + 7 * DAY_MS, note=kind or "left", expected=decoy is None)


def salary_growth(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Every txn of kind `salary` but the first in the run is at least 1.1 times the one before it, and there are two or
    more (one a month). Complete at the second, and again (an instance of its own) at each later one; the
    background's salaries vary by a percent.

    Decoys: salaries that grow by 2 to 5 percent a month.
    """
    c = cast[0]
    book.pop.calm[c] |= NO_SALARY
    months: dict[int, list[int]] = {}
    for day in book.days:
        months.setdefault(day.date.day, []).append(day.index)
    pay_day = book.one_of([str(dom) for dom, on in months.items() if dom <= 28 and len(on) >= 2])
    amount = float(book.integer(60, 200) * 100)
    employer = f"emp-{book.integer(1, 1 << 40):x}"
    found, times = [], []
    for day_index in months[int(pay_day)]:
        times.append(book.moment(day_index, 9, 16))
        found.append(book.income(c, times[-1], round(amount, 2), "salary", employer))
        amount *= book.rng.uniform(1.12, 1.25) if decoy is None else book.rng.uniform(1.02, 1.05)
    note = f"{len(found)} salaries" if decoy is None else "slow"
    book.tell(cast, found, times[0], times[1], note=note, expected=decoy is None)
    for number in range(2, len(times) if decoy is None else 0):
        book.begin("salary_growth")
        book.tell(cast, found[number : number + 1], times[number], times[number], note=note, expected=True)
