"""Stories of fraud. Each docstring is the exact pattern, as in `stories_service`."""

from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS

LABEL_DELAY_MS = 7 * DAY_MS


def account_takeover(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Within one hour, in this order: a click with action `login` from a `device_id` and a `city` that the customer has
    not had before, a click with action `password_reset`, an outgoing transfer of 50,000 or more; all from that device
    and city. Complete at the transfer, which is labelled as fraud seven days later. Background transfers are at most
    45,000.

    Decoys: travelling (a new city, the known device, a large transfer, no reset); a new phone (new device, home city, a
    reset, a transfer below 5,000); a takeover without a transfer. Decoys' transfers are labelled false.
    """
    c = cast[0]
    kind = "" if decoy is None else ("travelling", "new_phone", "no_transfer")[decoy % 3]
    device = book.device(c) if kind == "travelling" else book.new_device()
    city = book.home(c) if kind == "new_phone" else book.elsewhere(c)
    place = {"device_id": device, "city": city}
    start = book.moment(book.integer(1, len(book.days) - 1), 0, 22.5)
    session = book.new_number("session")
    found = [book.click(c, start, session, words.SCRIPTS[0].steps[0][2], **place)]
    ts = start + book.integer(MINUTE_MS, 5 * MINUTE_MS)
    if kind != "travelling":
        found.append(book.click(c, ts, session, words.page_fragment("login/reset", action="password_reset"), **place))
    for step in (*words.JOURNEYS["transfer"], "done"):
        ts += book.integer(30_000, 5 * MINUTE_MS)
        if kind != "no_transfer":
            book.click(c, ts, session, words.step_fragment("transfer", step), **place)
    if kind != "no_transfer":
        amount = float(book.integer(5, 45) * 100) if kind == "new_phone" else float(book.integer(50, 200) * 1000)
        ts += book.integer(500, 3 * MINUTE_MS)
        paid = book.transfer(c, ts, amount, f"ext-{book.integer(1, 1 << 40):x}", **place)
        found.append(paid)
        book.label(c, ts + LABEL_DELAY_MS, paid, fraud=decoy is None)
    book.tell(cast, found, start, ts, note=kind or "taken over", expected=decoy is None)


def device_farm(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """One `device_id` in outgoing transactions of four or more customers within one hour. Complete at the fourth
    customer's; all are labelled as fraud seven days later. In the background at most two customers share a device.

    Decoys: a device of three customers within the hour; one of five customers, each 70 minutes after the last.
    """
    kind = "" if decoy is None else ("three_customers", "slow")[decoy % 2]
    who = cast[: {"three_customers": 3, "slow": 5}.get(kind, book.integer(4, len(cast)))]
    device, city = book.new_device(), book.one_of(words.CITIES)
    ts = book.moment(book.integer(0, len(book.days) - 1), 8, 15)
    found, times = [], []
    for c in who:
        amount = float(book.integer(500, 19_000))
        found.append(book.transfer(c, ts, amount, f"ext-{book.integer(1, 1 << 40):x}", device_id=device, city=city))
        times.append(ts)
        book.label(c, ts + LABEL_DELAY_MS, found[-1], fraud=decoy is None)
        ts += 70 * MINUTE_MS if kind == "slow" else book.integer(MINUTE_MS, HOUR_MS // 8)
    end = times[min(3, len(times) - 1)]
    book.tell(who, found, times[0], end, note=kind or f"{len(who)} customers", expected=decoy is None)
