"""Stories of service for the pack: broken journeys, questions asked again, customers who go quiet, key moments.

Written as in `stories_service`. What `record` finds out for the whole bank is said there.
"""

from __future__ import annotations

from flows.simulate import vocabulary as words
from flows.simulate.book import StoryBook, Teller
from flows.simulate.clock import DAY_MS, HOUR_MS, MINUTE_MS
from flows.simulate.population import (
    CALM_ERRORS,
    CALM_FEEDBACK,
    CALM_QUESTIONS,
    CALM_SEARCH,
    CALM_WEALTH,
    FROZEN,
)

SAMPLE = 5
"""A moment is drawn for a survey if its `ts` is a multiple of this."""
APPLICATIONS = ("loan_apply", "card_apply", "wealth_buy")
CODES = ("E1001", "E2003", "E3104", "E5000", "OCR_FAIL", "E4100")
QUESTIONS = {
    "loan": ("房贷利率什么时候调整", "提前还贷要预约吗", "按揭能转公积金贷款吗", "月供突然变多了", "贷款结清证明怎么开",
             "房贷还款日能改吗", "组合贷款怎么还", "还款账户换了怎么办"),
    "card": ("信用卡被停用了", "账单金额对不上", "提额为什么被拒", "信用卡年费减免", "账单日能改吗", "信用卡怎么注销",
             "临时提额多久生效", "附属信用卡怎么办"),
    "neither": ("网点几点关门", "存折丢了怎么办", "工资代发到账了吗", "外币现钞预约", "社保卡怎么激活"),
}  # fmt: skip
CHANNELS = ("app", "wechat", "web", "call", "branch")


def broken_journey(timeout: bool) -> Teller:
    """An error (a time-out, or one of the others) in a journey, and no step of a journey in the 30 min after it.
    Complete then. `record` finds those that other stories leave behind.

    Decoys: goes on within 20 minutes; the last step before leaving went well again.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c, pop = cast[0], book.pop
        pop.calm[c] |= CALM_ERRORS | CALM_FEEDBACK
        kind = "" if decoy is None else ("goes_on", "went_well")[decoy % 2]
        journey = book.one_of(tuple(words.JOURNEYS))
        steps = words.JOURNEYS[journey]
        at = book.integer(0, len(steps) - 1)
        ts = begin = book.moment(book.integer(0, len(book.days) - 1), 9, 18)
        session = book.new_number("session")
        for step in steps[:at]:
            book.click(c, ts, session, words.step_fragment(journey, step))
            ts += book.integer(5000, 90_000)
        found = []
        for _ in range(book.integer(1, 2)):
            code = "TIMEOUT" if timeout else book.one_of(CODES)
            found.append(book.click(c, ts, session, words.step_fragment(journey, steps[at], error=code)))
            failed = ts
            ts += book.integer(20_000, 120_000)
        if kind == "went_well":
            book.click(c, ts, session, words.step_fragment(journey, steps[at]))
            book.click(c, ts + 30_000, session, words.step_fragment(journey, "done"))
        elif kind:
            ts += book.integer(5, 20) * MINUTE_MS
            for step in (*steps[at:], "done"):
                book.click(c, ts, session, words.step_fragment(journey, step))
                ts += book.integer(5000, 60_000)
        pop.mute_from[c], pop.mute_to[c] = begin - 2 * HOUR_MS, ts + 2 * HOUR_MS
        book.tell(
            cast, found, failed, failed + 30 * MINUTE_MS, note=kind or f"{journey}/{steps[at]}", expected=not kind
        )

    return told


def journey_left(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A step of an application without error and no click of an application in the 2 h after it. Complete then.
    `record` finds the many that the background leaves.

    Decoys: finishes within 100 minutes; a transfer that is left.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= CALM_ERRORS
    kind = "" if decoy is None else ("finishes", "transfer")[decoy % 2]
    journey = "transfer" if kind == "transfer" else book.one_of(APPLICATIONS)
    steps = words.JOURNEYS[journey]
    ts = begin = book.moment(book.integer(0, len(book.days) - 1), 9, 18)
    at = book.integer(1, len(steps) - 1)
    found = book.visit(c, ts, [words.step_fragment(journey, step) for step in steps[:at]])
    left = book.events[-1]["ts"]
    end = left + 2 * HOUR_MS
    if kind == "finishes":
        ts = left + book.integer(10, 100) * MINUTE_MS
        book.visit(c, ts, [words.step_fragment(journey, step) for step in (*steps[at:], "done")])
    pop.mute_from[c], pop.mute_to[c] = begin - 3 * HOUR_MS, end + 2 * HOUR_MS
    book.tell(cast, found, left, end, note=kind or f"{journey} left", expected=decoy is None)


def same_question(topic: str) -> Teller:
    """Questions about one topic (loans or cards) in two or more channels within 3 days. Complete at the first in
    another channel. In the background nobody asks anywhere but in the app.

    Decoys: three questions in one channel; two channels, more than three days apart; another topic in the other
    channel.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c = cast[0]
        book.pop.calm[c] |= CALM_QUESTIONS | CALM_SEARCH
        kind = "" if decoy is None else ("one_channel", "far_apart", "other_topic")[decoy % 3]
        ts = book.moment(book.integer(0, len(book.days) - 6), 9, 17)
        first = CHANNELS[book.integer(0, len(CHANNELS) - 1)]
        second = book.one_of([channel for channel in CHANNELS if channel != first])
        gap = book.integer(HOUR_MS, 70 * HOUR_MS)
        if kind == "far_apart":
            gap = book.integer(74 * HOUR_MS, 110 * HOUR_MS)
        other = "neither" if book.integer(0, 1) else ("card" if topic == "loan" else "loan")
        found = [_ask(book, c, ts, first, topic)]
        if kind == "one_channel":
            found += [_ask(book, c, ts + n * 3 * HOUR_MS, first, topic) for n in (1, 2)]
        else:
            about = other if kind == "other_topic" else topic
            found.append(_ask(book, c, ts + gap, second, about))
        book.tell(cast, found, ts, ts + gap, note=kind or f"{first}, {second}", expected=decoy is None)

    return told


def _ask(book: StoryBook, c: int, ts: int, channel: str, topic: str) -> str:
    query = book.one_of(QUESTIONS[topic])
    action = "search" if channel in ("app", "web") else "ask"
    return book.click(c, ts, book.new_number("session"), words.page_fragment("search", action=action, query=query),
                      channel=channel)  # fmt: skip


def progress_checked(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """Three looks (pages or searches) at the progress of a loan or a card within 3 days. Complete at the third.

    Decoys: two looks; three in five days; three looks at another page of loans.
    """
    c = cast[0]
    kind = "" if decoy is None else ("two", "spread", "other_page")[decoy % 3]
    found, times = [], []
    ts = book.moment(book.integer(0, len(book.days) - 7), 9, 20)
    for _ in range(2 if kind == "two" else 3):
        page = words.page_fragment(book.one_of(("loan/progress", "card/progress")))
        if kind == "other_page":
            page = words.page_fragment("loan/list")
        elif book.integer(0, 2) == 0:
            query = book.one_of(("贷款进度", "办卡进度查询", "审批进度", "信用卡申请进度"))
            page = words.page_fragment("search", action="search", query=query)
        found.append(book.page(c, ts, page))
        times.append(ts)
        ts += book.integer(40, 55) * HOUR_MS if kind == "spread" else book.integer(1, 34) * HOUR_MS
    book.tell(cast, found, times[0], times[-1], note=kind or "three looks", expected=decoy is None)


def activity_fallen(book: StoryBook, cast: list[int], decoy: int | None) -> None:
    """A customer with 60,000 or more who used the bank every other day and, from one day on, does not for 30 days.
    Complete then; it lasts to the end of the run.

    Decoys: the same with less than 45,000; the same, but a visit of three clicks a week; one who was never here often.
    """
    c, pop = cast[0], book.pop
    pop.calm[c] |= FROZEN | CALM_WEALTH
    kind = "" if decoy is None else ("poor", "weekly", "never")[decoy % 3]
    aum = book.rng.uniform(8_000, 44_000) if kind == "poor" else book.rng.uniform(60_000, 900_000)
    pop.demand[c], pop.wealth[c] = round(aum * 30), round(aum * 70)
    pop.activity[c] = 0.0 if kind == "never" else max(float(pop.activity[c]), 1.5)
    quiet = book.days[book.integer(30, len(book.days) - 33)].start_ms
    if kind == "never":
        for day in (3, 7):
            book.page(c, book.moment(day, 10, 20), words.page_fragment("home"))
    else:
        pop.mute_from[c], pop.mute_to[c] = quiet, book.end_ms + DAY_MS
    if kind == "weekly":
        for day in range((quiet - book.days[0].start_ms) // DAY_MS, len(book.days), 7):
            book.page(c, book.moment(day, 10, 20), words.page_fragment("account/list"))
    book.tell(cast, (), quiet, book.end_ms, note=kind or "gone quiet", expected=decoy is None)


def key_moment(channel: str, before: str, ends: str) -> Teller:
    """A call, visit or service that ends with the action `ends`, at a multiple of `SAMPLE`. Complete then.

    Decoys: at another `ts`, so not in the sample; at such a multiple, but broken off before the end.
    """

    def told(book: StoryBook, cast: list[int], decoy: int | None) -> None:
        c = cast[0]
        kind = "" if decoy is None else ("not_drawn", "broken_off")[decoy % 2]
        ts = book.moment(book.integer(0, len(book.days) - 1), 9, 17) // SAMPLE * SAMPLE
        session = book.new_number("session")
        book.click(c, ts - book.integer(2, 30) * MINUTE_MS, session, f'"page":"{channel}","action":"{before}"',
                   channel=channel)  # fmt: skip
        ts += book.integer(1, SAMPLE - 1) if kind == "not_drawn" else 0
        action = f"{channel}_dropped" if kind == "broken_off" else ends
        found = book.click(c, ts, session, f'"page":"{channel}","action":"{action}"', channel=channel)
        book.tell(cast, [found], ts, ts, note=kind or "drawn", expected=decoy is None)

    return told
