"""Stories: what a rule should find, told on top of the background, with near-misses beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from flows.simulate import stories_care, stories_payments, stories_risk, stories_service, stories_wealth, stories_words
from flows.simulate.book import StoryBook, Teller
from flows.simulate.population import CALM_MOVES

__all__ = ["PACK_STORIES", "STORIES", "Story", "StoryBook", "tell", "too_long"]

MAX_STORY_SHARE = 0.6
"""At most this part of the customers has a story, however small the bank."""


@dataclass(frozen=True, slots=True)
class Story:
    """A kind of story: how to tell it, the shortest run it fits, customers per instance, how often it happens."""

    tell: Teller
    min_days: int
    customers: int = 1
    rate: float = 1.0


STORIES: dict[str, Story] = {
    "repeated_prepay_search": Story(stories_service.repeated_prepay_search, 3),
    "mortgage_browsing": Story(stories_service.mortgage_browsing, 4),
    "idle_cash": Story(stories_service.idle_cash, 5),
    "maturing_holding": Story(stories_service.maturing_holding, 9, rate=5.0),
    "journey_friction": Story(stories_service.journey_friction, 1),
    "low_score_after_errors": Story(stories_service.low_score_after_errors, 1),
    "churn_risk": Story(stories_service.churn_risk, 9),
    "salary_growth": Story(stories_service.salary_growth, 32),
    "account_takeover": Story(stories_risk.account_takeover, 2),
    "device_farm": Story(stories_risk.device_farm, 1, customers=7, rate=0.2),
}
"""The stories of the demonstration."""

_LOW_NPS, _LOW_CSAT, _LOW_CES = range(4), range(1, 3), range(1, 4)

PACK_STORIES: dict[str, Story] = {name: story for name, story in STORIES.items() if name != "maturing_holding"} | {
    "wealth_pages_idle_demand": Story(stories_wealth.wealth_pages_idle_demand, 12),
    "net_deposits_three_months": Story(stories_wealth.net_deposits_three_months, 75),
    "regular_inflows_idle": Story(stories_wealth.regular_inflows_idle, 75),
    "holding_matures": Story(stories_wealth.holding_matures, 9),
    "asset_threshold": Story(stories_wealth.asset_threshold, 2),
    "card_purchase_instalments": Story(stories_wealth.card_purchase_instalments, 3),
    "study_abroad": Story(stories_wealth.study_abroad, 15),
    "journey_broken_error": Story(stories_care.broken_journey(timeout=False), 1),
    "journey_broken_timeout": Story(stories_care.broken_journey(timeout=True), 1),
    "journey_left": Story(stories_care.journey_left, 2),
    "same_question_loan": Story(stories_care.same_question("loan"), 6),
    "same_question_card": Story(stories_care.same_question("card"), 6),
    "progress_checked": Story(stories_care.progress_checked, 7),
    "activity_fallen": Story(stories_care.activity_fallen, 64),
    "complaint_security": Story(stories_words.complaint(about_security=True, vip=None), 1),
    "complaint_vip": Story(stories_words.complaint(about_security=False, vip=True), 1),
    "complaint": Story(stories_words.complaint(about_security=False, vip=False), 1),
    "nps_detractor_vip": Story(stories_words.low_score("nps", True, range(7), range(7, 9)), 1),
    "nps_detractor": Story(stories_words.low_score("nps", False, _LOW_NPS, range(4, 7)), 1),
    "csat_low": Story(stories_words.low_score("csat", None, _LOW_CSAT, range(3, 4)), 1),
    "ces_low": Story(stories_words.low_score("ces", None, _LOW_CES, range(4, 6)), 1),
    "negative_words_vip": Story(stories_words.bad_words(about_app=None, vip=True), 1),
    "negative_words_app": Story(stories_words.bad_words(about_app=True, vip=False), 1),
    "negative_words": Story(stories_words.bad_words(about_app=False, vip=False), 1),
    "unhappy_after_ticket": Story(stories_words.unhappy_after_ticket, 17),
    "survey_call": Story(stories_care.key_moment("call", "call_start", "call_end"), 1),
    "survey_branch": Story(stories_care.key_moment("branch", "visit_start", "visit_end"), 1),
    "survey_manager": Story(stories_care.key_moment("manager", "service_start", "service_end"), 1),
    "outflow_velocity": Story(stories_payments.outflow_velocity, 1),
    "night_new_payee": Story(stories_payments.night_new_payee, 13),
    "new_place_purchase": Story(stories_payments.new_place_purchase, 15),
    "unusual_amount": Story(stories_payments.unusual_amount, 16),
    "far_from_habits": Story(stories_payments.far_from_habits, 26),
    "far_from_all": Story(stories_payments.far_from_all, 26),
    "terminal_frauds": Story(stories_payments.terminal_frauds, 14, customers=4, rate=0.5),
}
"""The stories of the bank's pack: nearly all of the above and those of the other scenarios.

What `record` finds in the whole bank comes on top: birthdays, transfers and tickets that are asked about, and more.
"""


def too_long(stories: Mapping[str, Story], days: int) -> dict[str, int]:
    """The stories that a run of so many days is too short for, and the days that each needs."""
    return {name: story.min_days for name, story in stories.items() if days < story.min_days}


def tell(book: StoryBook, rate: float, stories: Mapping[str, Story] = STORIES) -> None:
    """Tells `rate` instances of each kind per customer, and half as many decoys; nobody has two stories."""
    customers = book.pop.customers
    free = iter(book.rng.permutation(customers)[: int(customers * MAX_STORY_SHARE)].tolist())
    wanted = {
        name: max(1, round(customers * rate * story.rate))
        for name, story in stories.items()
        if rate > 0 and len(book.days) >= story.min_days
    }
    # Round robin over the kinds, so that a small bank has some of each.
    for turn in range(max(wanted.values(), default=0)):
        for name in (name for name, count in wanted.items() if turn < count):
            for decoy in (None, turn // 2) if turn % 2 == 0 else (None,):
                cast = list(islice(free, stories[name].customers))
                if len(cast) < stories[name].customers:
                    return
                book.pop.calm[cast] |= CALM_MOVES
                book.begin(name)
                stories[name].tell(book, cast, decoy)
