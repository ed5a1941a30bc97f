"""Stories of risk for the pack: payments that are too many, too large, too late or too far from the customer's habits.

Written as in `stories_service`. In the background of these runs no purchase or transfer is above 4,500, a payment away
from home or in a night hour is below 900, and no card is stolen.
"""

from __future__ import annotations

from flows.simulate.book import StoryBook
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS
from flows.simulate.population import CALM_WEALTH
from flows.simulate.stories_risk import LABEL_DELAY_MS


def outflow_velocity(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Eight or more outgoing transfers within one hour, or transfers that add up to 500,000 or more within one hour.
    Complete at the eighth, or at the one that reaches the sum.

    Decoys: six within the hour; ten, ten minutes and more apart; 460,000 together.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH
    kind = "" if decoy is None else ("six", "slow", "less")[decoy % 3]
    large = kind == "less" or (decoy is None and book.integer(0, 2) == 0)
    ts = book.moment(book.integer(0, len(book.days) - 1), 9, 17)
    found, times = [], []
    if large:
        sums = (200_000.0, 260_000.0) if kind else (260_000.0, float(book.integer(245, 700) * 1000))
        for amount in sums:
            found.append(book.transfer(c, ts, amount, book.payee("own")))
            times.append(ts)
            ts += book.integer(2, 50) * MINUTE_MS
    else:
        for _ in range({"six": 6, "slow": 10}.get(kind, book.integer(8, 11))):
            found.append(book.transfer(c, ts, float(book.integer(100, 900)), book.payee()))
            times.append(ts)
            ts += book.integer(10, 20) * MINUTE_MS if kind == "slow" else book.integer(60, 320) * 1000
    book.tell(cast, found, times[0], times[-1], note=kind or "velocity", expected=decoy is None)


def night_new_payee(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A transfer of 20,000 or more between 23:00 and 6:00 to somebody whom the customer has not paid for 90 days.
    Complete at once.

    Decoys: has paid a little to the same account some days before; between 19:00 and 22:45; below 19,500.
    """
    c = cast[0]
    kind = "" if decoy is None else ("known_payee", "evening", "small")[decoy % 3]
    day = book.integer(12, len(book.days) - 1)
    hours = (19.0, 22.75) if kind == "evening" else ((23.02, 23.98), (0.0, 5.95))[book.integer(0, 1)]
    ts = book.moment(day, *hours)
    payee = book.payee()
    if kind == "known_payee":
        book.transfer(c, ts - book.integer(3, 9) * DAY_MS - 9 * HOUR_MS, float(book.integer(50, 900)), payee)
    amount = float(book.integer(100, 194) * 100 if kind == "small" else book.integer(205, 480) * 100)
    found = [book.transfer(c, ts, amount, payee)]
    book.tell(cast, found, ts, ts, note=kind or "at night", expected=decoy is None)


def new_place_purchase(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A purchase of 5,000 or more in a city where the customer has not paid for 60 days. Complete at once.

    Decoys: paid a little there some days before; at home; below 4,700.
    """
    c = cast[0]
    kind = "" if decoy is None else ("been_there", "at_home", "small")[decoy % 3]
    day = book.integer(14, len(book.days) - 1)
    ts = book.moment(day, 10, 21)
    city = book.home(c) if kind == "at_home" else book.elsewhere(c)
    shop = f"m{book.integer(100_000, 900_000)}"
    book.purchase(c, ts - 13 * DAY_MS, float(book.integer(10, 90)), f"m{book.integer(0, 200)}")
    if kind == "been_there":
        book.purchase(c, ts - book.integer(2, 10) * DAY_MS, float(book.integer(10, 90)), shop, city=city)
    amount = float(book.integer(30, 46) * 100 if kind == "small" else book.integer(52, 150) * 100)
    found = [book.purchase(c, ts, amount, shop, city=city)]
    book.tell(cast, found, ts, ts, note=kind or city, expected=decoy is None)


def unusual_amount(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A transfer of 10,000 or more, at least five times the largest payment of the 90 days before. Complete at once.
    `record` finds those of other stories.

    Decoys: after a purchase of more than a fifth of it; below 9,500.
    """
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH
    kind = "" if decoy is None else ("not_so_large", "small")[decoy % 2]
    ts = book.moment(book.integer(15, len(book.days) - 1), 9, 20)
    before = float(book.integer(4000, 4400)) if kind == "not_so_large" else float(book.integer(20, 300))
    book.purchase(c, ts - book.integer(2, 13) * DAY_MS, before, f"m{book.integer(0, 200)}")
    amount = float({"not_so_large": book.integer(110, 190), "small": book.integer(60, 94)}.get(
        kind, book.integer(240, 480)) * 100)  # fmt: skip
    found = [book.transfer(c, ts, amount, book.payee("own"))]
    book.tell(cast, found, ts, ts, note=kind or "far above the largest", expected=decoy is None)


def far_from_habits(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A payment of 6,000 to 9,500 by transfer, between 2:00 and 5:00, from a new device in a new city to a new payee,
    by a customer who pays small amounts in the daytime at home. Complete at once.

    Decoys: the same amounts, but as this customer has done it twice a week: to the same account, from the own phone
    at home, at about the same hour.
    """
    _far(book, cast, decoy, 6000, 9500)


def far_from_all(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """As `far_from_habits`, with 2,300 to 4,400: too little for a question to the customer, enough for an officer."""
    _far(book, cast, decoy, 2300, 4400)


def _far(book: StoryBook, cast: list[int], decoy: int | None, low: int, high: int) -> None:
    c = cast[0]
    book.pop.calm[c] |= CALM_WEALTH
    book.pop.activity[c] = max(float(book.pop.activity[c]), 1.0)  # somebody whose habits are known
    if decoy is None:
        ts = book.moment(book.integer(25, len(book.days) - 1), 2, 5)
        place = {"device_id": book.new_device(), "city": book.elsewhere(c)}
        found = [book.transfer(c, ts, float(book.integer(low, high)), book.payee("own"), **place)]
        return book.tell(cast, found, ts, ts, note="far from habits", expected=True)
    payee, hour = book.payee("own"), book.rng.uniform(10, 17)
    usual = book.integer(low, high)
    found, times = [], []
    for day in range(0, len(book.days), 3):
        times.append(book.moment(day, hour, hour + 0.7))
        found.append(book.transfer(c, times[-1], float(round(usual * book.rng.uniform(0.9, 1.1))), payee))
    first = next(ts for ts in times if ts >= book.days[min(20, len(book.days) - 1)].start_ms)
    return book.tell(cast, found, first, times[-1], note="as usual", expected=False)


def terminal_frauds(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A purchase of 500 or more at a terminal of which, in the 30 days before, three payments were found to be frauds
    (the labels come seven days after their payment). Complete at once.

    Decoys: one of the three was none; more than 32 days after the labels; below 450.
    """
    *victims, last = cast
    kinds = ("not_all", "small", "late") if len(book.days) >= 46 else ("not_all", "small")
    kind = "" if decoy is None else kinds[decoy % len(kinds)]
    terminal, shop = f"t{book.new_number('case')}", f"m{book.integer(100_000, 900_000)}"
    room = 43 if kind == "late" else 12
    start = book.moment(book.integer(0, len(book.days) - room - 1), 9, 15)
    labelled = 0
    for number, victim in enumerate(victims):
        ts = start + book.integer(0, 40) * HOUR_MS
        amount = float(book.integer(80, 400))
        paid = book.purchase(victim, ts, amount, shop, terminal_id=terminal, city=book.home(victim))
        fraud = not (kind == "not_all" and number == 0)
        book.label(victim, ts + LABEL_DELAY_MS, paid, fraud, terminal)
        labelled = max(labelled, ts + LABEL_DELAY_MS)
    ts = labelled + (book.integer(32, 33) * DAY_MS if kind == "late" else book.integer(1, 40) * HOUR_MS)
    amount = float(book.integer(100, 440) if kind == "small" else book.integer(520, 2500))
    found = [book.purchase(last, ts, amount, shop, terminal_id=terminal)]
    book.tell([last], found, ts, ts, note=kind or "copied cards", expected=decoy is None)
