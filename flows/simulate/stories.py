"""Stories: what a rule should find, told on top of the background, with near-misses beside them."""

from dataclasses import dataclass
from itertools import islice

from flows.simulate import stories_risk, stories_service
from flows.simulate.book import StoryBook, Teller
from flows.simulate.population import CALM_MOVES

__all__ = ["STORIES", "Story", "StoryBook", "tell"]

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


def tell(book: StoryBook, rate: float) -> None:
    """Tells `rate` instances of each kind per customer, and half as many decoys; nobody has two stories."""
    customers = book.pop.customers
    free = iter(book.rng.permutation(customers)[: int(customers * MAX_STORY_SHARE)].tolist())
    wanted = {
        name: max(1, round(customers * rate * story.rate))
        for name, story in STORIES.items()
        if rate > 0 and len(book.days) >= story.min_days
    }
    # Round robin over the kinds, so that a small bank has some of each.
    for turn in range(max(wanted.values(), default=0)):
        for name in (name for name, count in wanted.items() if turn < count):
            for decoy in (None, turn // 2) if turn % 2 == 0 else (None,):
                cast = list(islice(free, STORIES[name].customers))
                if len(cast) < STORIES[name].customers:
                    return
                book.pop.calm[cast] |= CALM_MOVES
                book.begin(name)
                STORIES[name].tell(book, cast, decoy)
