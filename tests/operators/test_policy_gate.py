"""The order of the reasons, and each of them at its borders."""

import json
import tracemalloc
from hashlib import blake2b
from itertools import product

import pytest

from operators.policy_gate import PolicyGate
from rules.model import Action, Position, Rule
from rules.policy import Cap, Holdout, Policy, QuietHours
from state.contacts import ContactLedger
from state.customer import Customer
from state.timers import Firing

DAY_MS, HOUR_MS, MINUTE_MS = 86_400_000, 3_600_000, 60_000
MIDNIGHT_MS = 1_760_025_600_000  # 2025-10-10T00:00 in Shanghai
NOON_MS, NIGHT_MS = MIDNIGHT_MS + 12 * HOUR_MS, MIDNIGHT_MS + 23 * HOUR_MS
QUIET = QuietHours(21 * 60, 9 * 60, ("marketing", "survey"), defer=False)
EVERYBODY = Holdout(10_000, "s", ("marketing", "survey"))


def make_rule(rule_class="survey", kinds=("survey",), cooldown_ms=0, status="live", rule_id="r"):
    actions = tuple(Action(kind, {}) for kind in kinds)
    place = Position("rules.yaml", 1, 1)
    return Rule(
        rule_id, 1, "", status, rule_class, 50, (), None, False, (), None, None, cooldown_ms, actions, "UTC", place
    )  # fmt: skip


class Gate:
    """A gate and one customer, whose opted-out classes and channels are the profile's only field."""

    def __init__(self, holdout=None, caps=(), quiet_hours=None, opt_out=None, cooldowns_ms=None):
        self.gate = PolicyGate(Policy("Asia/Shanghai", holdout, tuple(caps), quiet_hours), 0, cooldowns_ms)
        self.customer = Customer()
        self.profile = None if opt_out is None else (opt_out,)

    def decide(self, rule, t_ms=NOON_MS, holding=None, payload=None, ids=None, indices=None):
        """Reasons (or `would_be` of a shadow) by entry, and the entries that are held."""
        n = len(rule.actions)
        firing = Firing("txn", "e", t_ms, False, holding, {}, ({} if payload is None else payload,) * n)
        ids = ids or [f"{t_ms}-{i}" for i in range(n)]
        verdicts, held = self.gate.decide(
            self.customer, "C1", lambda: self.profile, rule, firing, ids, range(n) if indices is None else indices, t_ms
        )
        self.verdicts = verdicts
        return [v.would_be if v.reason == "shadow" else v.reason for v in verdicts], held

    def reason(self, rule, t_ms=NOON_MS, **more):
        (reason,), held = self.decide(rule, t_ms, **more)
        assert held == []
        return reason


def test_the_first_reason_that_applies_is_given():
    """Any mix of the six reasons: the contract's order decides."""
    order = ["holdout", "opt_out", "cooldown", "cap", "quiet_hours"]
    for applies in product([False, True], repeat=5):
        held_out, opted_out, cooling, capped, quiet = applies
        gate = Gate(
            EVERYBODY if held_out else None, [Cap("survey", 1, DAY_MS)] if capped else [], QUIET if quiet else None,
            ("survey",) if opted_out else (),
        )  # fmt: skip
        rule = make_rule(cooldown_ms=HOUR_MS if cooling else 0)
        gate.customer.contacts.record(("r", None), "survey", NIGHT_MS - 1, DAY_MS)
        want = next((name for name, does in zip(order, applies, strict=True) if does), None)
        assert gate.reason(rule, NIGHT_MS) == want
        shadow = make_rule(cooldown_ms=HOUR_MS if cooling else 0, status="shadow")
        gate.customer._shadows = None
        if cooling:
            firing = Firing("txn", "e", 0, False, None, {}, ({},))
            gate.gate.decide(gate.customer, "C1", lambda: None, shadow, firing, ["x"], [0], 0)
            gate.customer.shadow("r").record(("r", None), "survey", NIGHT_MS - 1, DAY_MS)
        assert gate.reason(shadow, NIGHT_MS) == (want or "emitted")


@pytest.mark.parametrize("percent_hundredths", [0, 1, 500, 9999, 10_000])
def test_control_group(percent_hundredths):
    customers = [f"客{n}" for n in range(3000)]
    gate = Gate(Holdout(percent_hundredths, "2026", ("marketing",)))
    rule = make_rule("marketing", ("tag",))
    firing = Firing("txn", "e", 0, False, None, {}, ({},))
    out = 0
    for customer_id in customers:
        verdicts, _ = gate.gate.decide(Customer(), customer_id, lambda: None, rule, firing, ["x"], [0], NOON_MS)
        digest = blake2b(f"2026|{customer_id}".encode(), digest_size=8).digest()
        want = int.from_bytes(digest, "big") % 10_000 < percent_hundredths
        assert verdicts[0].reason == ("holdout" if want else None)
        out += want
    assert abs(out / 3000 - percent_hundredths / 10_000) < 0.02
    assert gate.reason(make_rule("survey")) is None  # not among the classes


def test_risk_is_held_by_nothing_but_its_own():
    gate = Gate(
        Holdout(10_000, "", ("risk", "survey")), [Cap("*", 0, DAY_MS)], None, ("risk", "app", "survey")
    )  # fmt: skip
    assert gate.reason(make_rule("risk", ("notify",)), payload={"channel": "app"}) is None
    capped = Gate(caps=[Cap("risk", 1, DAY_MS)])
    assert [capped.reason(make_rule("risk")) for _ in range(2)] == [None, "cap"]
    counted = Gate(caps=[Cap("*", 1, DAY_MS)])
    assert [counted.reason(make_rule(c)) for c in ("risk", "risk", "survey", "risk", "service")] == [
        None, None, None, None, "cap",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "rule_class", "payload", "opt_out", "want"),
    [
        ("survey", "survey", {}, ("survey",), "opt_out"),
        ("notify", "service", {"channel": "app"}, ("app",), "opt_out"),
        ("notify", "service", {"channel": "app"}, ("web",), None),
        ("notify", "service", {"channel": ["app"]}, ("app",), None),
        ("notify", "service", {}, ("notify",), None),
        ("ticket", "survey", {"channel": "app"}, ("survey", "app"), None),
        ("alert", "survey", {"channel": "app"}, ("survey", "app"), None),
        ("tag", "survey", {}, ("survey",), None),
        ("survey", "survey", {}, None, None),
    ],
)
def test_opt_out(kind, rule_class, payload, opt_out, want):
    assert Gate(opt_out=opt_out).reason(make_rule(rule_class, (kind,)), payload=payload) == want


def test_cooldown_ends_at_its_length_and_only_emitted_ones_start_it():
    gate, rule = Gate(), make_rule(cooldown_ms=100)
    found = [gate.reason(rule, NOON_MS + t) for t in (0, 50, 99, 100, 150, 200)]
    assert found == [None, "cooldown", "cooldown", None, "cooldown", None]
    assert gate.reason(rule, NOON_MS + 201, holding="h") is None  # each holding has its own
    assert gate.reason(make_rule(cooldown_ms=100, rule_id="other"), NOON_MS + 201) is None


def test_entries_of_one_firing_share_the_cooldown_but_not_the_cap():
    gate = Gate(caps=[Cap("survey", 2, DAY_MS)])
    rule = make_rule(kinds=("survey", "tag", "alert"), cooldown_ms=100)
    assert gate.decide(rule) == ([None, None, "cap"], [])
    assert gate.decide(rule, NOON_MS + 1) == (["cooldown"] * 3, [])


def test_a_cap_counts_what_was_emitted_within_its_window():
    gate = Gate(caps=[Cap("survey", 2, 100), Cap("*", 3, 1000)])
    rule = make_rule()
    at = [0, 10, 20, 99, 100, 109, 110, 1000]
    assert [gate.reason(rule, NOON_MS + t) for t in at] == [None, None, "cap", "cap", None, "cap", "cap", None]
    assert gate.reason(make_rule("service"), NOON_MS + 1001) == "cap"
    assert gate.reason(make_rule("service"), NOON_MS + 1010) is None


QUARANTINES = [Cap("survey", 1, 90, "nps"), Cap("survey", 1, 30, "csat"), Cap("survey", 1, 30, "ces")]
"""Once in so many days each, as milliseconds."""
BUDGET = Cap("survey", 1, 14)


def ask(gate, metric, t_ms, **more):
    return gate.reason(make_rule(**more), NOON_MS + t_ms, payload={"metric": metric})


def test_each_metric_has_a_quarantine_and_all_share_a_budget():
    gate = Gate(caps=[*QUARANTINES, BUDGET])
    asked = [("nps", 0), ("csat", 13), ("csat", 14), ("ces", 27), ("ces", 28), ("csat", 43), ("csat", 44), ("nps", 89),
             ("nps", 90), ("ces", 104), ("free", 117), ("free", 118), (None, 132), ("free", 133)]  # fmt: skip
    reasons = [ask(gate, metric, t) for metric, t in asked]
    assert reasons == [None, "cap", None, "cap", None, "cap", None, "cap", None, None, "cap", None, None, "cap"]


def test_a_cap_of_a_metric_concerns_surveys_of_it_and_of_its_class():
    gate = Gate(caps=[Cap("survey", 1, DAY_MS, "nps")])
    assert ask(gate, "nps", 0, kinds=("notify",)) is None  # which is no survey
    assert ask(gate, "nps", 1, rule_class="service") is None
    assert ask(gate, "NPS", 1) is None
    assert ask(gate, ["nps"], 1) is None
    assert [ask(gate, "nps", t) for t in (2, 3)] == [None, "cap"]
    assert ask(gate, "nps", 4, kinds=("notify",)) is None
    assert ask(gate, "nps", 4, rule_class="service", rule_id="other") is None
    assert ask(gate, "csat", 4) is None
    assert ask(gate, "nps", DAY_MS + 2) is None
    anywhere = Gate(caps=[Cap("*", 1, DAY_MS, "nps")])
    found = [ask(anywhere, "nps", t, rule_class=c) for t, c in enumerate(["risk", "risk", "service", "survey"])]
    assert found == [None, None, None, "cap"]
    never = Gate(caps=[Cap("survey", 0, DAY_MS, "nps")])
    assert (ask(never, "nps", 0), ask(never, "csat", 0)) == ("cap", None)


def test_a_shadow_counts_the_surveys_of_a_metric_that_it_would_have_sent():
    gate = Gate(caps=[Cap("survey", 2, DAY_MS, "nps")])
    shadow = {"status": "shadow", "rule_id": "s"}
    assert ask(gate, "csat", 0, **shadow) == "emitted"
    assert ask(gate, "nps", 1, **shadow) == "emitted"
    assert ask(gate, "nps", 2) is None
    assert ask(gate, "nps", 3, **shadow) == "cap"
    assert ask(gate, "nps", 4) is None
    assert ask(gate, "nps", 5) == "cap"
    assert ask(gate, "nps", DAY_MS + 3, **shadow) == "emitted"


@pytest.mark.parametrize("caps", [[], [Cap("survey", 9, DAY_MS)]])
def test_caps_of_metrics_count_what_was_sent_before_there_were_any(caps):
    before = Gate(caps=caps, cooldowns_ms={"nps": DAY_MS, "csat": DAY_MS})
    for number, metric in enumerate(["nps", "csat"]):
        assert ask(before, metric, number, rule_id=metric) is None
    after = Gate(caps=[*QUARANTINES])
    after.customer.contacts = ContactLedger.from_record(json.loads(json.dumps(before.customer.contacts.to_record())))
    assert [ask(after, metric, 29) for metric in ("nps", "csat", "ces")] == ["cap", "cap", None]


@pytest.mark.parametrize(
    ("minutes", "at", "quiet"),
    [
        ((21 * 60, 9 * 60), 21 * 60, True), ((21 * 60, 9 * 60), 21 * 60 - 1, False),
        ((21 * 60, 9 * 60), 9 * 60 - 1, True),
        ((21 * 60, 9 * 60), 9 * 60, False), ((60, 120), 60, True), ((60, 120), 119, True), ((60, 120), 120, False),
        ((0, 0), 0, False), ((600, 600), 600, False), ((0, 1439), 1439, False), ((1439, 0), 1439, True),
    ],
)  # fmt: skip
def test_quiet_hours_are_local_and_half_open(minutes, at, quiet):
    gate = Gate(quiet_hours=QuietHours(*minutes, ("survey",), defer=False))
    want = "quiet_hours" if quiet else None
    assert gate.reason(make_rule(), MIDNIGHT_MS + at * MINUTE_MS) == want
    assert gate.reason(make_rule(), MIDNIGHT_MS + at * MINUTE_MS + MINUTE_MS - 1) == want
    assert gate.reason(make_rule("service", rule_id="other"), MIDNIGHT_MS + at * MINUTE_MS) is None


def test_deferred_entries_are_held_until_quiet_hours_end():
    gate = Gate(quiet_hours=QuietHours(21 * 60, 9 * 60, ("survey",), defer=True), opt_out=("survey",))
    rule = make_rule(kinds=("survey", "tag", "ticket"))
    assert gate.decide(rule, NIGHT_MS) == (["opt_out"], [1, 2])  # what has an earlier reason is not held
    assert gate.gate.release_ms(NIGHT_MS) == MIDNIGHT_MS + DAY_MS + 9 * HOUR_MS
    assert gate.gate.release_ms(MIDNIGHT_MS) == MIDNIGHT_MS + 9 * HOUR_MS
    assert gate.decide(rule, MIDNIGHT_MS + DAY_MS + 9 * HOUR_MS, indices=[1, 2]) == ([None, None], [])
    assert gate.customer.contacts.count("survey", 0) == 2  # held ones were not counted when they were held
    assert gate.reason(make_rule(status="shadow"), NIGHT_MS) == "opt_out"
    assert gate.reason(make_rule(kinds=("tag",), status="shadow"), NIGHT_MS) == "quiet_hours"  # never held


def test_open_tickets():
    gate, rule = Gate(), make_rule("service", ("ticket",))
    assert gate.reason(rule, ids=["t1"]) is None
    assert gate.reason(rule, NOON_MS + 1, ids=["t2"]) == "open_ticket"
    assert gate.verdicts[0].open_ticket_id == "t1"
    assert gate.reason(rule, NOON_MS + 1, ids=["t3"], holding="h") is None
    gate.customer.tickets.stage("t1", "closed")
    assert gate.reason(rule, NOON_MS + 2, ids=["t4"]) is None
    gate.customer.tickets.stage("t1", "reopened")
    assert gate.reason(rule, NOON_MS + 3, ids=["t5"]) == "open_ticket"
    assert gate.verdicts[0].open_ticket_id == "t1"  # emitted first
    assert gate.customer.contacts.count("service", 0) == 3  # a suppressed one counts for nothing
    two = make_rule("service", ("ticket", "ticket"), rule_id="two")
    assert gate.decide(two) == ([None, "open_ticket"], [])


def test_a_shadow_rule_opens_nothing_and_counts_for_itself_alone():
    gate = Gate(caps=[Cap("survey", 2, DAY_MS)])
    shadow = make_rule(kinds=("ticket",), status="shadow", cooldown_ms=10, rule_id="s")
    assert gate.reason(shadow, NOON_MS) == "emitted"
    assert gate.reason(shadow, NOON_MS + 5) == "cooldown"
    assert [gate.reason(make_rule(), NOON_MS + t) for t in (6, 7, 8)] == [None, None, "cap"]
    assert gate.reason(shadow, NOON_MS + 20) == "cap"
    assert gate.reason(shadow, NOON_MS + DAY_MS + 6) == "emitted"  # one real one is left in the window
    assert gate.customer.tickets.first_open(("s", None)) is None
    assert gate.reason(make_rule(kinds=("ticket",), status="shadow", rule_id="s2"), NOON_MS + DAY_MS + 6) == "emitted"


def test_what_is_remembered_of_times_and_customers_is_bounded():
    """For all gates together, as each shard has one."""
    rule, gates = make_rule("marketing", ("tag",)), [Gate(EVERYBODY, quiet_hours=QUIET) for _ in range(4)]
    firing = Firing("txn", "e", NOON_MS, False, None, {}, ({},))

    def decide(times):
        for number in times:
            customer = f"C{number}", lambda: None, rule, firing, ["x"], [0], NOON_MS + number * 30_000
            for gate in gates:
                gate.gate.decide(gate.customer, *customer)

    decide(range(6000))
    tracemalloc.start()
    decide(range(6000, 12_000))
    grown_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert grown_bytes < 6000 * 300  # what the times of all gates take that are remembered


def test_contacts_that_matter_no_more_are_forgotten():
    gate = Gate(caps=[Cap("survey", 3, DAY_MS)], cooldowns_ms={"r": HOUR_MS, "long": 90 * DAY_MS})
    assert gate.reason(make_rule(rule_id="long", cooldown_ms=90 * DAY_MS)) is None
    rule = make_rule(cooldown_ms=HOUR_MS)
    for number in range(60):
        assert gate.reason(rule, NOON_MS + number * DAY_MS, holding=f"h{number}") is None
        assert len(gate.customer.contacts.to_record()) <= 3 * 2
        assert gate.reason(rule, NOON_MS + number * DAY_MS + HOUR_MS - 1, holding=f"h{number}") == "cooldown"
    assert gate.reason(make_rule(rule_id="long", cooldown_ms=90 * DAY_MS), NOON_MS + 60 * DAY_MS) == "cooldown"
