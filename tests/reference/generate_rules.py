"""Random valid rules and policies, over the fields and the small value domains of the random streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

ZONES = ["Asia/Shanghai", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu"]
DURATIONS = ["1s", "10s", "1m", "10m", "1h", "6h", "1d", "2d", "1w", "30d"]
CLASSES = ["service", "service", "marketing", "survey", "risk"]
CHANNELS = ["app", "web", "wechat", "sms", "call"]

# Values of the streams' fields; null (a missing field) and wrong types come on top.
TEXTS: dict[str, dict[str, list[str]]] = {
    "click": {
        "page": ["home", "loan/rate", "loan/apply", "wealth/rate"],
        "action": ["search", "open", "done", "submit"],
        "query": ["怎么提前还款", "转账限额", "他行理财", "Rate"],
        "device_id": ["d1", "d2", "d3"],
        "city": ["上海", "北京", "Bangkok"],
        "channel": CHANNELS[:3],
    },
    "txn": {
        "direction": ["in", "out"],
        "kind": ["purchase", "transfer", "internal", "salary"],
        "currency": ["CNY", "USD"],
        "device_id": ["d1", "d2", "d3"],
        "terminal_id": ["t1", "t2"],
        "counterparty_id": ["p1", "p2", "p3", "p4"],
        "city": ["上海", "北京", "Bangkok"],
    },
    "feedback": {
        "metric": ["nps", "csat", "ces", "complaint"],
        "touchpoint": ["transfer", "loan"],
        "channel": CHANNELS[:3],
    },
    "profile": {"tier": ["gold", "silver"], "segment": ["young", "old"], "risk_level": ["R1", "R2"]},
    "ticket": {"stage": ["accepted", "resolved", "reopened", "closed"], "actor_id": ["a1", "a2"]},
    "label": {"source": ["model", "human"], "terminal_id": ["t1", "t2"]},
}
NUMBERS: dict[str, dict[str, list[Any]]] = {
    "click": {"duration_ms": [0, 10, 250, 999.5, 1500]},
    "txn": {
        "amount": [0, 0.1, 0.2, 0.3, 1, 1.0, 2.5, 10, 99.99, 100, 1000, 0.0001, 20000],
        "balance": [0, -0.5, 7, 100.25, 1000],
    },
    "feedback": {"score": [0, 1, 3, 6, 7, 9.5, 10]},
    "profile": {"aum": [0, 10, 1000, 5000.5], "demand_balance": [1, 50]},
    "ticket": {"satisfaction": [1, 3, 5]},
    "label": {},
}
MIXED: list[Any] = [1, 1.0, True, False, 0, "1", "a", ["a", "b"], [1, True], 2.5, {"k": 1}]  # of the extra field `mix`
ANCHORS = ["click", "click", "txn", "txn", "txn", "feedback", "profile", "ticket", "label"]
PER = {"click": ["device_id", "city"], "txn": ["device_id", "terminal_id", "city", "mix"], "label": ["terminal_id"]}


def quoted(value: Any) -> str:
    """A Python literal with double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def some(rng: Random, values: list[Any], most: int = 3) -> str:
    return "[" + ", ".join(quoted(v) for v in rng.sample(values, rng.randint(1, min(most, len(values))))) + "]"


def predicate(rng: Random, stream: str, depth: int = 0) -> str:
    if depth < 2 and rng.random() < 0.25:
        a, b = predicate(rng, stream, depth + 1), predicate(rng, stream, depth + 1)
        return rng.choice([f"{a} and {b}", f"{a} or {b}", f"not ({a})", f"({a} or {b}) and {a}"])
    roll = rng.random()
    if roll < 0.08:
        return rng.choice(["hour(ts) >= 9", "hour(ts) < 3", "weekday(ts) >= 5", "weekday(ts) in [0, 6]"])
    if roll < 0.16:
        return rng.choice(
            ["mix == 1", "mix != 1", "mix in [1, 'a']", '"a" in mix', "is_null(mix)", "mix", "mix not in [True]",
             "mix == True", "mix < 2", "len(mix) == 2", "mix + 1 == 2", "1 in mix"]
        )  # fmt: skip
    if stream == "label" and roll < 0.6:
        return rng.choice(["label", "not label", "label == True", "label != False"])
    if NUMBERS[stream] and roll < 0.45:
        return number_test(rng, *rng.choice(list(NUMBERS[stream].items())))
    return text_test(rng, *rng.choice(list(TEXTS[stream].items())))


def number_test(rng: Random, name: str, domain: list[Any]) -> str:
    k = rng.choice(domain)
    return rng.choice(
        [f"{name} > {k}", f"{name} >= {k}", f"{name} <= {k}", f"{name} == {k}", f"{name} != {k}",
         f"0 < {name} <= {max(k, 1)}", f"is_null({name})", f"not is_null({name})", f"{name} in {some(rng, domain)}",
         f"abs({name}) < {max(k, 1)}", f"{name} * 2 - 1 > {k}", f"{name} % 3 == 1", f"-{name} < -{k}",
         f"{name} / 0 > 1", f"10 / {name} < 5", f"{name}"]
    )  # fmt: skip


def text_test(rng: Random, name: str, domain: list[str]) -> str:
    value = rng.choice(domain)
    text, head, tail = quoted(value), quoted(value[:2]), quoted(value[-2:])
    return rng.choice(
        [f"{name} == {text}", f"{name} == {text}", f"{name} != {text}", f"{name} in {some(rng, domain)}",
         f"{name} not in {some(rng, domain)}", f"{head} in {name}", f"{tail} not in {name}",
         f"startswith({name}, {head})", f"endswith({name}, {tail})", f"matches({name}, {quoted('^' + value)})",
         f"matches({name}, {quoted('[' + value + ']{2}$')})", f"lower({name}) == {quoted(value.lower())}",
         f"len({name}) > 3", f"is_null({name})", f"not is_null({name})", f"{name} >= {text}", f"{name}"]
    )  # fmt: skip


def selector(rng: Random, stream: str | None = None, bare: float = 0.4) -> str:
    stream = stream or rng.choice(ANCHORS)
    return stream if rng.random() < bare else f"{stream}[{predicate(rng, stream)}]"


def window(rng: Random, required: bool = False) -> str:
    roll = rng.random()
    if roll < 0.2 and not required:
        return ""
    if roll < 0.6:
        return f', last="{rng.choice(DURATIONS)}"'
    if roll < 0.8:
        return f', prior="{rng.choice(DURATIONS)}"'
    return f', this="{rng.choice(["day", "week", "month"])}"'


def number_field(rng: Random) -> tuple[str, str]:
    stream = rng.choice([s for s in ANCHORS if NUMBERS[s]])
    return stream, rng.choice([*NUMBERS[stream], *NUMBERS[stream], "mix"])


def any_field(rng: Random) -> tuple[str, str]:
    stream = rng.choice(ANCHORS)
    return stream, rng.choice([*TEXTS[stream], *NUMBERS[stream], "mix"])


class Values:
    """Random value expressions, for a rule with the given anchor streams (none for a date rule)."""

    def __init__(self, rng: Random, anchors: list[str], holdings: bool = False) -> None:
        self.rng, self.anchors, self.holdings = rng, anchors, holdings
        self.extremes: list[str] = ["min(", "max("]  # and the lets over them

    def anchor_field(self) -> str:
        stream, name = any_field(self.rng)
        if self.anchors and self.rng.random() < 0.8:
            stream = self.rng.choice(self.anchors)
            name = self.rng.choice([*TEXTS[stream], *NUMBERS[stream], "mix", "ts"])
        return f"{stream}.{name}"

    def aggregate(self) -> str:
        rng = self.rng
        if rng.random() < 0.15:
            return self.streak()
        if rng.random() < 0.15:
            stream, name = number_field(rng)
            return rng.choice([f"last({selector(rng, stream)}.{name})", f"prev({selector(rng, stream)}.{name})"])
        if rng.random() < 0.1:
            return f"age({selector(rng)})"
        per = self.anchors and rng.random() < 0.25
        what = rng.choice(["count", "count", "count", "sum", "sum", "mean", "min", "max", "std", "distinct"])
        stream, name = any_field(rng) if what == "distinct" else number_field(rng)
        if per:
            stream = rng.choice(list(PER))
            name = rng.choice([*TEXTS[stream], "customer_id", "mix"] if what == "distinct" else ["ts", "mix"])
            if what not in ("distinct", "count") and NUMBERS[stream]:
                name = rng.choice(list(NUMBERS[stream]))
        text = selector(rng, stream) + ("" if what == "count" else f".{name}")
        tail = window(rng, required=bool(per) or what == "distinct")
        if per:
            tail += f', per="{rng.choice(PER[stream])}"'
        return f"{what}({text}{tail})"

    def streak(self) -> str:
        rng = self.rng
        by = rng.choice(["day", "day", "week", "month"])
        if rng.random() < 0.5:
            return f'streak({selector(rng)}, by="{by}")'
        a, b = selector(rng, "txn"), selector(rng, rng.choice(["txn", "click"]))
        inner = rng.choice(
            [f"count({b}) >= {rng.randint(1, 3)}", f"sum({a}.amount) - sum(txn[direction == \"out\"].amount) > 5",
             f"count({b}) + 2 * count({a}) < 5", f"min({a}.amount) <= 1", f"max({a}.amount) * -1 > -1000",
             f"0 < count({a}) <= 3", f"sum({a}.amount) == 0", f"count({a}) != 2"]
        )  # fmt: skip
        return f'streak({inner}, by="{by}")'

    def number(self) -> str:
        rng = self.rng
        roll = rng.random()
        if roll < 0.6:
            return self.aggregate()
        if roll < 0.7:
            return rng.choice(["hour(ts)", "weekday(ts)", 'seconds("90s")', "ts % 1000", "len([1, 2])"])
        if roll < 0.78:
            return self.days()
        a = self.aggregate()
        b = rng.choice([self.aggregate(), self.owned_number(), str(rng.choice([2, 0, 0.5, 100]))])
        return rng.choice(
            [f"{a} + {b}", f"{a} - {b}", f"{a} * {b}", f"{a} / {b}", f"{a} % {b}", f"-{a}", f"round({a}, 1)",
             f"round({a}, 0)", f"min({a}, {b}, 50)", f"max({a}, {b})", f"abs({a} - {b})", f"coalesce({a}, {b})",
             f"coalesce({self.owned_number()}, -1)"]
        )  # fmt: skip

    def owned_number(self) -> str:
        rng = self.rng
        if self.holdings and rng.random() < 0.6:
            return "holding.amount"
        if self.anchors and rng.random() < 0.7:
            stream = rng.choice(self.anchors)
            return f"{stream}.{rng.choice([*NUMBERS[stream], 'ts', 'mix'])}"
        return f"profile.{rng.choice(['aum', 'demand_balance', 'extra'])}"

    def days(self) -> str:
        if self.holdings and self.rng.random() < 0.7:
            return "days_until(holding.matures_on)"
        return self.rng.choice(["days_until(profile.birthday, yearly=True)", "days_until(profile.birthday)"])

    def condition(self, names: list[str]) -> str:
        """Something true or false; `names` are numeric lets."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.10:
            stream, name = any_field(rng)
            if self.anchors:
                stream = rng.choice(self.anchors)
                name = rng.choice([*TEXTS[stream], *NUMBERS[stream], "mix"])
            return f'novel({selector(rng, stream)}.{name}, prior="{rng.choice(DURATIONS)}")'
        if roll < 0.20:
            last = rng.choice(self.anchors) if self.anchors else "click"
            steps = [selector(rng, rng.choice(["click", "txn", "feedback"])) for _ in range(rng.choice([1, 1, 2]))]
            steps.append(selector(rng, last, bare=0.7))
            return f'seq({", ".join(steps)}, last="{rng.choice(DURATIONS)}")'
        if roll < 0.32:
            return f"rises({self.comparison(names)})"
        if roll < 0.38:
            a, b = self.condition(names), self.comparison(names)
            return rng.choice([f"{a} and {b}", f"{a} or {b}", f"not ({a})", f"not ({b})"])
        if roll < 0.48:
            return rng.choice(
                [f"is_null({self.anchor_field()})", f"not is_null({self.anchor_field()})", f"{self.anchor_field()}",
                 f"{self.anchor_field()} == {self.anchor_field()}", f"{self.anchor_field()} != {self.anchor_field()}",
                 'profile.tier == "gold"', 'profile.tier != "gold"', '"sms" not in profile.opt_out',
                 'startswith(profile.tier, "g")', f"profile.aum >= {rng.choice([10, 1000])}", "is_null(profile.aum)"]
            )  # fmt: skip
        return self.comparison(names)

    def comparison(self, names: list[str]) -> str:
        rng = self.rng
        left = rng.choice(names) if names and rng.random() < 0.75 else self.number()
        k = rng.choice([0, 0, 1, 1, 2, 2, 3, 0.3, 10])
        op = rng.choice([">=", ">=", ">=", ">", "<", "<=", "==", "!="])
        return rng.choice([f"{left} {op} {k}"] * 4 + [f"0 <= {left} < {max(k, 1)}", f"{left} in [0, 1, {k}]"])


def template(rng: Random, values: Values, names: list[str]) -> str:
    parts = []
    for _ in range(rng.randint(1, 3)):
        inner = rng.choice(
            [*names, "ts", values.anchor_field(), values.anchor_field(), "profile.tier", "profile.opt_out",
             values.aggregate(), "1 / 3", "round(2.5, 0)", '"a" in "abc"']
        )  # fmt: skip
        if rng.random() < 0.08:
            inner = values.number()
        if set(inner) & set("{}:"):  # a template's expression holds none of these
            inner = "ts"
        spec = rng.choice(["", "", "", "", ":.2f", ":>6", ":d", ":,", ":05.1f", ":x", ":e", ":^7", ":%"])
        if any(name in inner for name in values.extremes):
            spec = ""  # 1 and 1.0 are equal: which of them is the least is not said, and a format would tell
        parts.append("{" + inner + spec + "}")
    return rng.choice(["", "{{", "n=", "客户"]) + rng.choice(["|", " ", "}}"]).join(parts)


def actions(rng: Random, values: Values, names: list[str]) -> list[dict[str, Any]]:
    out: list[dict[str, Any]] = []
    for _ in range(rng.choice([1, 1, 1, 2, 2, 3])):
        kind = rng.choice(["ticket", "ticket", "survey", "alert", "tag", "notify", "notify"])
        payload: dict[str, Any] = {"text": template(rng, values, names)}
        if kind in ("survey", "notify"):
            payload["channel"] = rng.choice([*CHANNELS, "{click.channel}"])
        if rng.random() < 0.15:
            payload |= {"n": rng.choice([1, 2.5, True, None]), "deep": {"list": ["{ts}", 3], "s": "{{}}"}}
        out.append({kind: payload})
    return out


def event_rule(rng: Random) -> dict[str, Any]:
    anchors = rng.sample(sorted(set(ANCHORS)), rng.choice([1, 1, 1, 2, 2, 3]))
    if rng.random() < 0.5:
        anchors = [rng.choice(["click", "txn"])]
    triggers = [selector(rng, stream, bare=0.75) for stream in anchors]
    rule: dict[str, Any] = {"trigger": triggers[0] if len(triggers) == 1 else triggers}
    values = Values(rng, anchors)
    names = add_lets(rng, rule, values)
    if rng.random() < 0.3:
        again = rng.random() < 0.3
        event = triggers[0] if again else selector(rng, rng.choice(["click", "txn", "feedback"]), bare=0.25)
        unless: dict[str, Any] = {"event": event, "within": rng.choice(DURATIONS[:-2])}
        if rng.random() < 0.2:
            unless["event"] = [event, selector(rng, bare=0)]
        if rng.random() < 0.6:
            unless["restart"] = rng.choice(["first", "latest"])
        rule["unless"] = unless
    rule["then"] = actions(rng, values, names)
    return rule


def date_rule(rng: Random) -> dict[str, Any]:
    at = rng.choice(["09:00", "00:00", "02:30", "23:59", "01:30", "12:00"])
    rule: dict[str, Any] = {"trigger": {"daily": at}}
    holdings = rng.random() < 0.5
    if holdings:
        rule["each"] = "holdings"
    values = Values(rng, [], holdings)
    names = add_lets(rng, rule, values)
    if rng.random() < 0.3:
        rule["when"] = f"{values.days()} in [0, 1, 2, 7, -1]"
    elif holdings and rng.random() < 0.3:
        rule["when"] = "rises(holding.amount >= 100)"
    rule["then"] = actions(rng, values, names)
    return rule


def add_lets(rng: Random, rule: dict[str, Any], values: Values) -> list[str]:
    """`let` and `when`; returns the names of the numeric lets."""
    lets: dict[str, str] = {}
    for index in range(rng.choice([0, 1, 1, 2, 2, 3])):
        lets[f"n{index}"] = values.number()
    names = list(lets)
    if rng.random() < 0.3:
        lets["flag"] = values.condition(names)
    if rng.random() < 0.2:
        lets["field"] = values.anchor_field() if values.anchors else "profile.tier"
    if names and rng.random() < 0.2:
        lets["again"] = f"{rng.choice(names)} * 2"
    for name, text in lets.items():
        if any(extreme in text for extreme in values.extremes):
            values.extremes.append(name)
    if lets:
        rule["let"] = lets
    if rng.random() < 0.75:
        rule["when"] = "flag" if "flag" in lets and rng.random() < 0.5 else values.condition(names)
    return names


def random_rule(rng: Random, rule_id: str) -> dict[str, Any]:
    rule = date_rule(rng) if rng.random() < 0.18 else event_rule(rng)
    head: dict[str, Any] = {"id": rule_id}
    optional: list[tuple[float, str, Callable[[], Any]]] = [
        (0.2, "version", lambda: rng.randint(1, 9)),
        (0.25, "status", lambda: rng.choice(["shadow", "shadow", "live", "paused"])),
        (0.7, "class", lambda: rng.choice(CLASSES)),
        (0.5, "priority", lambda: rng.choice([0, 10, 50, 90, 100])),
        (0.35, "cooldown", lambda: rng.choice([*DURATIONS, "500ms"])),
    ]
    for share, name, draw in optional:
        if rng.random() < share:
            head[name] = draw()
    return head | rule


def random_rules(rng: Random, n: int, zone: str | None = None, prefix: str = "r") -> str:
    """The YAML text of a valid rule file with `n` rules."""
    lines = ["version: 1", f"timezone: {zone or rng.choice(ZONES)}", "rules:"]
    ids = rng.sample(range(100), n)
    for number in ids:
        for index, (name, value) in enumerate(random_rule(rng, f"{prefix}-{number}").items()):
            lead = "  - " if index == 0 else "    "
            if name == "let":
                lines.append(f"{lead}let:")
                lines += [f"      {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items()]
            elif name == "then":
                lines.append(f"{lead}then:")
                lines += [f"      - {json.dumps(action, ensure_ascii=False)}" for action in value]
            else:
                lines.append(f"{lead}{name}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def random_policy(rng: Random) -> str | None:
    """The YAML text of a valid policy, or None for none."""
    if rng.random() < 0.1:
        return None
    document: dict[str, Any] = {"version": 1}
    if rng.random() < 0.7:
        document["timezone"] = rng.choice(ZONES)
    if rng.random() < 0.5:
        document["holdout"] = {"percent": rng.choice([0, 5, 12.5, 33.33, 60]), "salt": rng.choice(["2026", "盐"])}
        if rng.random() < 0.3:
            document["holdout"]["classes"] = rng.sample(["service", "marketing", "survey"], 2)
    if rng.random() < 0.6:
        caps = ["*", "marketing", "survey", "service", "risk"]
        document["caps"] = [
            {"class": klass, "max": rng.choice([1, 2, 3, 5, 10]), "per": rng.choice(DURATIONS[3:])}
            for klass in rng.sample(caps, rng.randint(1, 3))
        ]
    if rng.random() < 0.75:
        times = ["21:00", "09:00", "00:00", "02:30", "08:15", "18:00", "23:59"]
        quiet: dict[str, Any] = {"from": rng.choice(times), "to": rng.choice(times)}
        if rng.random() < 0.5:
            quiet["classes"] = rng.sample(["service", "marketing", "survey", "risk"], rng.randint(1, 3))
        if rng.random() < 0.7:
            quiet["action"] = rng.choice(["defer", "defer", "drop"])
        document["quiet_hours"] = quiet
    return "\n".join(f"{name}: {json.dumps(value, ensure_ascii=False)}" for name, value in document.items()) + "\n"
