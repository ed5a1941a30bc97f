"""The bank's customers: who they are, what they own and what is usual for them."""

from dataclasses import dataclass, fields

import numpy as np

from flows.simulate import vocabulary as words
from flows.simulate.clock import curve_hours
from flows.simulate.columns import Array, generator, mix64

BLOCK = 20_000
"""Customers made (and simulated) at a time: enough to vectorise over, little enough to hold the intermediate arrays."""
MANAGER_CUSTOMERS = 200
DEVICES_PER_CUSTOMER = 64
"""Device numbers of customer c are c * 64 + generation; generation 63 is the computer used for web banking."""
WEB_DEVICE = 63
HOLDINGS = 3

# What a story asks of its customer's background, so that the background neither completes nor spoils the story.
CALM_SEARCH = 1  # no prepayment searches, no mortgage pages
CALM_WEALTH = 2  # no wealth purchases
CALM_ERRORS = 4  # no errors
CALM_FEEDBACK = 8  # no feedback
CALM_MOVES = 16  # no travel, no new phone
FROZEN = 32  # the profile changes only by the story
NO_SALARY = 64  # salaries come from the story
CALM_WEALTH_PAGES = 128  # no looking at wealth pages
CALM_QUESTIONS = 256  # no searches
CALM_TICKETS = 512  # no service tickets
NO_INFLOWS = 1024  # nothing comes in but by the story


@dataclass(slots=True)
class Population:
    """One row per customer in every array; money in cents (int64)."""

    tier: Array
    segment: Array
    branch: Array
    risk: Array
    birthday: Array  # days since 1970
    opt_out: Array  # index into OPT_OUTS, 0 = none
    wealth: Array  # what is not on demand: holdings and the rest
    demand: Array
    holding_kind: Array  # (customers, HOLDINGS), -1 = none
    holding_amount: Array
    holding_matures: Array  # days since 1970
    salary: Array  # per month, 0 = none
    salary_day: Array  # of the month, 1..28
    city: Array
    centre_h: Array  # own hours
    spread_h: Array
    amount_mu: Array  # own amounts: log of yuan
    amount_sigma: Array
    activity: Array  # relative, mean 1
    mood: Array  # lasting satisfaction, standard normal
    device_owner: Array  # whose device: the customer's own, or the spouse's
    device_no: Array  # generation of the phone
    calm: Array
    mute_from: Array  # no background sessions or payments start in [mute_from, mute_to)
    mute_to: Array

    @property
    def customers(self) -> int:
        return len(self.tier)

    def device(self, customer: int) -> int:
        """The number of the customer's phone."""
        return int(self.device_owner[customer]) * DEVICES_PER_CUSTOMER + int(self.device_no[customer])


def _block(rng: np.random.Generator, lo: int, hi: int, day0: int, days: int) -> Population:
    n = hi - lo
    index = np.arange(lo, hi, dtype=np.int64)
    tier = rng.choice(4, n, p=(0.80, 0.14, 0.05, 0.01)).astype(np.int8)
    aum = np.exp(np.array([10.0, 12.2, 13.8, 15.8])[tier] + 0.7 * rng.standard_normal(n))
    share = rng.beta(2.0, 4.5, n)
    employed = rng.random(n) < 0.7
    salary = np.round(np.exp(np.array([8.9, 9.5, 10.0, 10.4])[tier] + 0.35 * rng.standard_normal(n)), -1)
    has = rng.random((n, HOLDINGS)) < np.array([0.12, 0.45, 0.7, 0.9])[tier][:, None] * np.array([1.0, 0.5, 0.25])
    wealth = aum * (1 - share)
    parts = rng.dirichlet((1.0, 1.0, 1.0, 1.0), n)[:, :HOLDINGS]
    # Background holdings mature at least ten days after the run: only stories have maturities inside it.
    matures = day0 + days + 10 + rng.integers(0, 700, (n, HOLDINGS))
    shared = (index % 2 == 1) & (rng.random(n) < 0.04)
    activity = rng.gamma(1.6, 1 / 1.6, n) * np.array([0.92, 1.2, 1.5, 1.6])[tier]
    zeros = np.zeros(n, dtype=np.int64)
    return Population(
        tier=tier,
        segment=rng.choice(len(words.SEGMENTS), n, p=words.SEGMENT_SHARES).astype(np.int8),
        branch=rng.integers(1, 121, n).astype(np.int16),
        risk=np.clip(rng.integers(0, 3, n) + (tier > 0) + (tier > 2), 0, 4).astype(np.int8),
        birthday=(day0 - rng.integers(19 * 365, 78 * 365, n)).astype(np.int32),
        opt_out=np.where(rng.random(n) < 0.08, rng.integers(1, len(words.OPT_OUTS), n), 0).astype(np.int8),
        wealth=np.round(wealth * 100).astype(np.int64),
        demand=np.round(aum * share * 100).astype(np.int64),
        holding_kind=np.where(has, rng.integers(0, len(words.HOLDING_KINDS), (n, HOLDINGS)), -1).astype(np.int8),
        holding_amount=np.round(wealth[:, None] * parts, -2).astype(np.int64) * 100,
        holding_matures=matures.astype(np.int32),
        salary=np.where(employed, np.minimum(salary, 60_000) * 100, 0).astype(np.int64),
        salary_day=rng.choice(np.array([5, 8, 10, 12, 15, 18, 20, 25, 28]), n).astype(np.int8),
        city=rng.choice(len(words.CITIES), n, p=words.CITY_SHARES).astype(np.int8),
        centre_h=curve_hours(rng, n, weekend=False).astype(np.float32),
        spread_h=rng.uniform(1.0, 3.0, n).astype(np.float32),
        amount_mu=(3.3 + np.array([0, 0.5, 0.9, 1.3])[tier] + 0.4 * rng.standard_normal(n)).astype(np.float32),
        amount_sigma=rng.uniform(0.5, 1.1, n).astype(np.float32),
        activity=activity.astype(np.float32),
        mood=rng.standard_normal(n).astype(np.float32),
        device_owner=np.where(shared, index - 1, index),
        device_no=np.where(shared, 0, zeros).astype(np.int8),
        calm=zeros.astype(np.uint16),
        mute_from=zeros,
        mute_to=zeros.copy(),
    )


def build_population(customers: int, seed: int, day0: int, days: int) -> Population:
    """Customers 0..customers-1, block by block; `day0` is the first local day as days since 1970."""
    blocks = [
        _block(generator(seed, 0, b), lo, min(lo + BLOCK, customers), day0, days)
        for b, lo in enumerate(range(0, customers, BLOCK))
    ]
    columns = {f.name: np.concatenate([getattr(block, f.name) for block in blocks]) for f in fields(Population)}
    return Population(**columns)


def own_choice(customer: Array, pick: Array, purpose: int, size: int) -> Array:
    """A customer's own `pick`-th thing (merchant, payee, terminal) out of `size`: always the same one."""
    key = customer.astype(np.uint64) * np.uint64(1024) + pick.astype(np.uint64) + np.uint64(purpose << 52)
    return (mix64(mix64(key) + np.uint64(purpose)) % np.uint64(size)).astype(np.int64)


def tame(pop: Population) -> None:
    """Keeps the background clear of what the stories of the pack are about: salaries below the large inflows, and no
    holding that matures within 40 days after the run."""
    np.minimum(pop.salary, 4_500_000, out=pop.salary)
    pop.holding_matures += 30
