"""Families of rules as a bank with many products has them: the same idea for another page, journey, category or kind.

Each family draws its names and numbers and gives a rule as the mapping that a rule file holds. What it draws is rare in
the population, as a rule for one product is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from benchmarks.vocabulary import ALL_QUERIES, ERRORS, JOURNEYS, LOAN_LINES, MCCS, PRODUCT_LINES, TOPICS, TOUCHPOINTS
from flows.simulate.vocabulary import CITIES, HOLDING_KINDS, RISK_LEVELS, SEGMENTS

Rule = dict[str, Any]
Family = Callable[[Random], Rule]

_TIERS = ("gold", "platinum", "private")


def _rule(kind: str, rule_class: str, r: Random, **rest: Any) -> Rule:
    cooldown = r.choice(["1d", "3d", "7d", "14d", "30d", "60d"])
    return {"kind": kind, "class": rule_class, "priority": r.randrange(10, 60), "cooldown": cooldown} | rest


def product_interest(r: Random) -> Rule:
    """Comes back to one page of one product line and buys nothing."""
    line, numbers = r.choice(PRODUCT_LINES), sorted(r.sample(range(8), 2))
    selector = f'click[page in ["wealth/{line}/{numbers[0]:02d}", "wealth/{line}/{numbers[1]:02d}"]]'
    views = f'count({selector}, last="{r.choice(["5d", "7d", "10d", "14d", "21d", "30d"])}")'
    return _rule(
        "product-interest", "marketing", r,
        trigger=selector,
        let={"views": views, "risk": "profile.risk_level"},
        when="views >= 3",
        unless={"event": 'txn[kind == "investment"]', "within": r.choice(["6h", "12h", "1d", "2d"])},
        then=[{"ticket": {"queue": "wealth_manager", "subject": f"多次浏览{line}产品：{{views}}次（{{risk}}）"}}],
    )  # fmt: skip


def line_comparison(r: Random) -> Rule:
    """Compares the products of one line."""
    line, window = r.choice(PRODUCT_LINES), r.choice(["2d", "3d", "5d", "7d", "14d", "30d"])
    selector = f'click[startswith(page, "wealth/{line}")]'
    return _rule(
        "line-comparison", "marketing", r,
        trigger=selector,
        let={"products": f'distinct({selector}.page, last="{window}")', "bought": 'age(txn[kind == "investment"])'},
        when=f'products >= {r.choice([2, 3])} and profile.tier == "{r.choice(_TIERS)}" and is_null(bought)',
        then=[{"notify": {"channel": "app", "text": f"{line}产品对比：您看过{{products}}只"}}],
    )  # fmt: skip


def search_interest(r: Random) -> Rule:
    """Searches for the same thing again."""
    queries, window = sorted(r.sample(ALL_QUERIES, 3)), r.choice(["2d", "7d", "14d", "30d", "60d"])
    selector = "click[" + " or ".join(f'"{query}" in query' for query in queries) + "]"
    return _rule(
        "search", "service", r,
        trigger=selector,
        let={"searches": f'count({selector}, last="{window}")', "before": "prev(click.page)"},
        when="searches >= 2",
        then=[{"ticket": {"queue": "online_support", "subject": f"{{searches}}次搜索{queries[0]}等（{{before}}）"}}],
    )  # fmt: skip


def journey_friction(r: Random) -> Rule:
    """Errors in one journey that is not finished."""
    journey, window = r.choice(list(JOURNEYS)), r.choice(["15m", "30m", "1h", "2h"])
    selector = f'click[journey == "{journey}" and not is_null(error_code)]'
    finished = f'click[journey == "{journey}" and action == "finish"]'
    return _rule(
        "friction", "service", r,
        trigger=selector,
        let={"errors": f'count({selector}, last="{window}")', "code": "click.error_code", "step": "click.step"},
        when=f"errors >= {r.choice([4, 5])}",
        unless={"event": finished, "within": window},
        then=[{"ticket": {"queue": "online_support", "sla": "1h", "subject": f"{journey}在{{step}}报错{{errors}}次"}}],
    )  # fmt: skip


def error_code(r: Random) -> Rule:
    """One error code that a customer meets again and again."""
    code, window = r.choice(ERRORS), r.choice(["1h", "6h", "1d", "3d", "7d"])
    selector = f'click[error_code == "{code}"]'
    return _rule(
        "error", "service", r,
        trigger=selector,
        let={"times": f'count({selector}, last="{window}")', "where": f'distinct({selector}.journey, last="{window}")'},
        when=f'times >= {r.choice([3, 4])} and profile.tier in ["gold", "{r.choice(_TIERS[1:])}"]',
        then=[{"tag": {"name": "error_code", "code": code, "times": "{times}"}}],
    )  # fmt: skip


def broken_off(r: Random) -> Rule:
    """Stops at one step of one journey."""
    journey = r.choice(list(JOURNEYS))
    step = r.choice(JOURNEYS[journey][1:])
    finished = f'click[journey == "{journey}" and action == "finish"]'
    tries = f'count(click[journey == "{journey}"], last="{r.choice(["1d", "3d", "7d"])}")'
    return _rule(
        "broken-off", "marketing", r,
        trigger=f'click[journey == "{journey}" and step == "{step}" and action == "submit"]',
        let={"tries": tries, "aum": "profile.aum"},
        when=f"tries >= {r.choice([3, 4, 5])} and aum >= {r.choice([100_000, 200_000, 300_000])}",
        unless={"event": finished, "within": r.choice(["1h", "2h", "6h"])},
        then=[{"notify": {"channel": "app", "text": f"{journey}只差一步"}}],
    )  # fmt: skip


def survey(r: Random) -> Rule:
    """Asks after one journey was finished, some customers only."""
    journey, segment = r.choice(list(JOURNEYS)), r.choice(SEGMENTS[1:])
    return _rule(
        "survey", "survey", r,
        trigger=f'click[journey == "{journey}" and action == "finish"]',
        let={"errors": f'count(click[journey == "{journey}" and not is_null(error_code)], last="1d")'},
        when=f'errors >= 1 and profile.segment == "{segment}"',
        then=[{"survey": {"metric": "ces", "channel": "app", "journey": journey, "text": "办理顺利吗？"}}],
    )  # fmt: skip


def category_habit(r: Random) -> Rule:
    """Spends often in one category."""
    mcc, period = r.choice(MCCS), r.choice(["week", "month"])
    selector = f'txn[mcc == "{mcc}" and currency == "CNY"]'
    return _rule(
        "habit", "marketing", r,
        trigger=selector,
        let={"spent": f'sum({selector}.amount, this="{period}")', "times": f'count({selector}, this="{period}")'},
        when=f'rises(spent >= {r.choice([800, 1200, 2000])}) and times >= 2 and profile.tier == "{r.choice(_TIERS)}"',
        then=[{"notify": {"channel": "wechat", "text": "本期{times}笔共{spent:,.2f}元，有优惠"}}],
    )  # fmt: skip


def category_streak(r: Random) -> Rule:
    """Shops in a category on days or weeks in a row."""
    codes = sorted(r.sample(MCCS, 2))
    selector = f'txn[mcc in ["{codes[0]}", "{codes[1]}"]]'
    by = r.choice(["day", "week"])
    return _rule(
        "streak", "marketing", r,
        trigger=selector,
        let={"periods": f'streak({selector}, by="{by}")'},
        when=f'periods >= {3 if by == "day" else 4} and profile.tier == "{r.choice(_TIERS)}"',
        then=[{"tag": {"name": "regular", "codes": "-".join(codes), "periods": "{periods}"}}],
    )  # fmt: skip


def unusual_purchase(r: Random) -> Rule:
    """A purchase of one category far above the customer's others."""
    mcc, window = r.choice(MCCS), r.choice(["30d", "60d", "90d"])
    base = 'txn[kind == "purchase" and currency == "CNY"]'
    return _rule(
        "unusual-purchase", "risk", r,
        trigger=f'txn[kind == "purchase" and currency == "CNY" and mcc == "{mcc}"]',
        let={"usual": f'mean({base}.amount, prior="{window}")', "n": f'count({base}, prior="{window}")'},
        when=f"n >= 3 and txn.amount > {r.choice([15, 20, 25])} * usual and txn.amount >= {r.choice([1000, 2000])}",
        then=[{"alert": {"severity": "low", "text": "{txn.amount:,.2f}元，平时{usual:,.2f}元"}}],
    )  # fmt: skip


def velocity(r: Random) -> Rule:
    """Many movements of one kind, or much money, within a window."""
    kind, window = r.choice(["withdrawal", "fee", "deposit", "investment"]), r.choice(["6h", "1d", "3d", "7d"])
    selector = f'txn[kind == "{kind}" and currency == "CNY"]'
    return _rule(
        "velocity", "risk", r,
        trigger=selector,
        let={"times": f'count({selector}, last="{window}")', "moved": f'sum({selector}.amount, last="{window}")'},
        when=f"times >= {r.choice([3, 4])} and moved >= {r.choice([1_000, 5_000, 20_000])}",
        then=[{"alert": {"severity": "low", "text": f"{window}内{kind}{{times}}笔共{{moved:,.2f}}元"}}],
    )  # fmt: skip


def merchants(r: Random) -> Rule:
    """Many shops within a short time."""
    window, city = r.choice(["1h", "3h", "1d", "2d"]), r.choice(CITIES)
    return _rule(
        "merchants", "risk", r,
        trigger=f'txn[kind == "purchase" and city == "{city}"]',
        let={"shops": f'distinct(txn[kind == "purchase"].merchant_id, last="{window}")'},
        when=f"shops >= {r.choice([8, 9])}",
        then=[{"alert": {"severity": "low", "text": f"{city}：{window}内{{shops}}家商户"}}],
    )  # fmt: skip


def loan_interest(r: Random) -> Rule:
    """Reads about one kind of loan."""
    line, window = r.choice(LOAN_LINES), r.choice(["3d", "7d", "14d", "30d"])
    selector = f'click[startswith(page, "loan/{line}/")]'
    return _rule(
        "loan-interest", "marketing", r,
        trigger=f'click[page == "loan/{line}/{r.choice(["rate", "calculator", "guide", "faq"])}"]',
        let={"visits": f'count({selector}, last="{window}")', "pages": f'distinct({selector}.page, last="{window}")'},
        when=f'visits >= 3 and profile.risk_level != "{r.choice(RISK_LEVELS)}"',
        then=[{"ticket": {"queue": "loans", "subject": f"{line}贷款：{{visits}}次浏览{{pages}}页"}}],
    )  # fmt: skip


def voice(r: Random) -> Rule:
    """Speaks ill of one topic."""
    topics = sorted(r.sample(TOPICS, 2))
    return _rule(
        "voice", "service", r,
        trigger=f'feedback[("{topics[0]}" in topics or "{topics[1]}" in topics) and sentiment < 0]',
        let={"said": 'count(feedback[sentiment < 0], last="30d")', "mood": "feedback.sentiment"},
        when=f"mood <= {r.choice([-0.4, -0.5, -0.6])} and said >= 3 and profile.aum >= {r.choice([50_000, 100_000])}",
        then=[{"ticket": {"queue": "service_recovery", "subject": f"{topics[0]}、{topics[1]}：{{feedback.text}}"}}],
    )  # fmt: skip


def low_score(r: Random) -> Rule:
    """A low score at one touchpoint, lower than the one before."""
    place, metric = r.choice(TOUCHPOINTS), r.choice(["nps", "csat"])
    score = r.choice([2, 3, 4]) if metric == "nps" else r.choice([1, 2])
    return _rule(
        "low-score", "service", r,
        trigger=f'feedback[metric == "{metric}" and touchpoint == "{place}" and score <= {score}]',
        let={"before": f'mean(feedback[metric == "{metric}"].score, prior="{r.choice(["30d", "90d"])}")'},
        when="feedback.score < before",
        then=[{"ticket": {"queue": "quality", "subject": "{feedback.score}分，此前平均{before:.1f}分"}}],
    )  # fmt: skip


def case_stage(r: Random) -> Rule:
    """A case that stays at one stage."""
    now, later = r.choice([("accepted", "analysing"), ("analysing", "resolved"), ("resolved", "followed_up")])
    return _rule(
        "case", "service", r,
        trigger=f'ticket[stage == "{now}"]',
        let={"cases": f'count(ticket[stage == "accepted"], last="{r.choice(["7d", "30d", "60d", "90d"])}")'},
        when=f'cases >= 2 and profile.tier == "{r.choice(_TIERS)}" and profile.risk_level != "{r.choice(RISK_LEVELS)}"',
        unless={"event": f'ticket[stage == "{later}"]', "within": r.choice(["2h", "6h", "8h", "1d"])},
        then=[{"notify": {"channel": "manager", "text": "工单{ticket.ticket_id}超时"}}],
    )  # fmt: skip


def away_again(r: Random) -> Rule:
    """Returns to a journey after some time."""
    journey, days = r.choice(list(JOURNEYS)), r.choice([5, 7, 9])
    return _rule(
        "return", "marketing", r,
        trigger=f'click[journey == "{journey}" and step == "{JOURNEYS[journey][0]}"]',
        let={"away": f'age(click[journey == "{journey}"])'},
        when=f'away >= seconds("{days}d") and profile.tier == "{r.choice(_TIERS)}"',
        then=[{"tag": {"name": "returned", "journey": journey}}],
    )  # fmt: skip


def new_city(r: Random) -> Rule:
    """Money moves in a city that is new for the customer."""
    city, way = r.choice(CITIES), r.choice(["purchase", "withdrawal", "transfer"])
    return _rule(
        "new-city", "risk", r,
        trigger=f'txn[kind == "{way}" and city == "{city}"]',
        let={"new": f'novel(txn.city, prior="{r.choice(["30d", "90d"])}")', "n": 'count(txn, prior="30d")'},
        when=f"new and n >= {r.choice([1, 2, 3])} and txn.amount >= {r.choice([100, 500])}",
        then=[{"alert": {"severity": "low", "text": f"首次在{city}：{{txn.amount:,.2f}}元"}}],
    )  # fmt: skip


def after_error(r: Random) -> Rule:
    """Something goes wrong, and then money leaves."""
    code, window = r.choice(ERRORS), r.choice(["10m", "30m", "1h", "3h"])
    paid = 'txn[direction == "out" and amount >= 1000]'
    largest = {"largest": 'max(txn.amount, prior="30d")'}
    return _rule(
        "after-error", "risk", r,
        trigger=paid,
        let={"suspect": f'seq(click[error_code == "{code}"], {paid}, last="{window}")', **largest},
        when="suspect and txn.amount > largest",
        then=[{"alert": {"severity": "medium", "text": f"{code}后转出{{txn.amount:,.2f}}元"}}],
    )  # fmt: skip


def holding(r: Random) -> Rule:
    """A product of one kind matures in some days."""
    kind, days = r.choice(HOLDING_KINDS), r.choice([1, 3, 5, 10, 14, 30])
    hour = f"{r.randrange(8, 20):02d}:{r.choice(['00', '30'])}"
    return _rule(
        "holding", "marketing", r,
        trigger={"daily": hour},
        each="holdings",
        let={"days": "days_until(holding.matures_on)"},
        when=f'days == {days} and holding.kind == "{kind}" and holding.amount >= {r.choice([300_000, 500_000])}',
        then=[{"notify": {"channel": "app", "text": f"{kind}{{holding.amount:,.0f}}元{{days}}天后到期"}}],
    )  # fmt: skip


FAMILIES: tuple[Family, ...] = (
    product_interest, velocity, journey_friction, category_habit, voice, search_interest, unusual_purchase, broken_off,
    error_code, low_score, line_comparison, new_city, survey, category_streak, case_stage, after_error, loan_interest,
    merchants, away_again, product_interest, category_habit, journey_friction, search_interest, unusual_purchase,
    holding,
)  # fmt: skip
"""In the order in which the generator goes round; the commoner ones stand twice, those by the day once."""
