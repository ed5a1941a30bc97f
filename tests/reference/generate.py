"""Seeded random cases: rules, a policy and event partitions that meet every corner of the contract.

    python -m tests.reference.generate --seed 1 --cases 20      # statistics of what the cases exercise

Few customers and small value domains make ties, duplicates and equal values common; steps between events are often
exactly the windows' lengths, and times often fall on calendar borders and changes of the clocks.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from tests.reference.evaluator import Result, evaluate
from tests.reference.events import read_partition
from tests.reference.generate_rules import (
    DURATIONS,
    MIXED,
    NUMBERS,
    TEXTS,
    ZONES,
    random_policy,
    random_rules,
)
from tests.reference.localtime import duration_ms, instant_ms, local
from tests.reference.rules import load_rules

# Days around which something happens on a calendar: clocks change, a leap day, ends of months and years.
BASES = [(2025, 10, 25), (2025, 11, 1), (2026, 3, 7), (2026, 3, 28), (2024, 2, 27), (2026, 2, 26), (2025, 12, 29)]
SPANS_MS = [60_000, 6 * 3_600_000] + [days * 86_400_000 for days in (3, 3, 10, 10, 40)]
CUSTOMERS = ["C1", "客户2", "c3", "😀4", "Ｃ5", "C10", "6", "C7", "c8", "C9"]
HUGE: list[Any] = [2**53 + 1, float(2**53), 10**20, -(10**20), 1e100, 12345678901234.5678]
ODD_IDS = ['"', "\\", "\n\t\b\f\r", "\x01", "\x7f", "\u2028", "/", "e", "é", "e\u0301"]
LIVES = [["closed"], ["closed"], ["accepted", "closed", "reopened"], ["closed", "reopened", "closed"]]
WRONG: list[Any] = [None, True, 7, "x", ["x"], {"x": 1}, 1.5, ""]
STREAMS = ["click"] * 6 + ["txn"] * 7 + ["feedback"] * 3 + ["profile"] * 2 + ["ticket", "label"]


@dataclass
class Case:
    """One input of the engine and the reference alike. `options` are those of `evaluate`."""

    rules: list[str]
    policy: str | None
    partitions: list[list[bytes]]
    options: dict[str, Any] = field(default_factory=dict)

    def run(self) -> Result:
        return evaluate(self.rules, self.policy, self.partitions, **self.options)

    def save(self, folder: Path) -> None:
        """Write the inputs as files, to look at and to give to the command line."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(self.rules):
            (folder / f"rules-{number}.yaml").write_text(text, encoding="utf-8")
        if self.policy:
            (folder / "policy.yaml").write_text(self.policy, encoding="utf-8")
        for number, lines in enumerate(self.partitions):
            (folder / f"part-{number}.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
        (folder / "options.json").write_text(json.dumps(self.options), encoding="utf-8")


def as_line(rng: Random, message: dict[str, Any]) -> bytes:
    line = json.dumps(message, ensure_ascii=rng.random() < 0.3).encode("utf-8")
    if rng.random() < 0.02:
        line = rng.choice([b" " + line, line + b"\r", line.replace(b": ", b":\t")])
    return line


def random_times(rng: Random, n: int, span_ms: int, start_ms: int | None = None) -> list[int]:
    """`n` ascending event times over roughly `span_ms`."""
    if start_ms is None:
        start_ms = int(datetime(*rng.choice(BASES), tzinfo=UTC).timestamp() * 1000) + rng.randrange(86_400_000)
    mean = span_ms / n
    steps = [duration_ms(text) for text in DURATIONS if duration_ms(text) <= max(span_ms / 10, 10 * mean)]
    times: list[int] = []
    now = start_ms
    for _ in range(n):
        roll = rng.random()
        if roll < 0.15:
            pass
        elif roll < 0.2:
            now += rng.choice([1, 2, 999, 1000])
        elif roll < 0.3 and times and steps:
            # exactly a window's length after an earlier event, or a millisecond beside it
            now = max(now, rng.choice(times[-40:]) + rng.choice(steps) + rng.choice([0, 0, -1, 1]))
        elif roll < 0.34:
            zone = rng.choice(ZONES)
            hhmm = rng.choice(["00:00", "00:00", "09:00", "21:00", "02:30", "12:00"])
            border = instant_ms(local(now, zone).day + (hhmm == "00:00"), hhmm, zone) + rng.choice([-1, 0, 0, 1])
            if 0 <= border - now <= max(span_ms / 20, 6 * mean):
                now = border
        else:
            now += int(rng.expovariate(1 / mean) / 0.66)
        times.append(now)
    return times


def random_fields(rng: Random, stream: str, ts: int) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, domain in TEXTS[stream].items():
        if rng.random() < 0.75:
            fields[name] = rng.choice(domain)
    for name, numbers in NUMBERS[stream].items():
        if rng.random() < 0.8:
            fields[name] = rng.choice(numbers)
    for name in fields:
        if rng.random() < 0.03:
            fields[name] = rng.choice(WRONG)
    if rng.random() < 0.4:
        fields["mix"] = rng.choice(MIXED if rng.random() < 0.97 else HUGE)
    if rng.random() < 0.1:
        fields["extra"] = rng.choice([1, 2.5, "x", False])
    if stream == "txn":
        amounts = NUMBERS["txn"]["amount"]
        big = rng.random() < 0.1
        fields["amount"] = rng.choice(amounts) if not big else round(rng.uniform(0, 1e6), rng.randint(0, 4))
        fields["direction"] = rng.choice(["in", "out", "out"])
    elif stream == "profile":
        fields |= random_profile(rng, ts)
    elif stream == "ticket":
        fields["stage"] = rng.choice(["accepted", "analysing", "resolved", "followed_up", "reopened", "closed"])
        fields["ticket_id"] = rng.choice(["t-1", "t-2", ""])
    elif stream == "label":
        fields["label"] = rng.random() < 0.6
        fields["subject_event_id"] = f"e{rng.randrange(50)}"
    return fields


def random_profile(rng: Random, ts: int) -> dict[str, Any]:
    day = local(ts, "UTC").day

    def near() -> str:
        return datetime.fromordinal(day + rng.choice([-1, 0, 1, 2, 3, 7, 8, 30])).strftime("%Y-%m-%d")

    birthdays = ["1990" + near()[4:], "2000-02-29", "1999-03-01", "soon", "2001-02-30", near(), 7, None]
    if near()[4:] == "-02-29":
        birthdays[0] = "1992-02-29"
    opt_outs = [["sms"], ["survey", "app"], "marketing", {"a": 1}, [], ["wechat", 3], None, [[]], ["service"]]
    fields: dict[str, Any] = {"birthday": rng.choice(birthdays)}
    if rng.random() < 0.5:
        fields["opt_out"] = rng.choice(opt_outs)
    if rng.random() < 0.85:
        holdings: list[Any] = []
        for _ in range(rng.randint(0, 3)):
            holding: dict[str, Any] = {"holding_id": rng.choice(["h1", "h2", "h3", "h4", 5, None, ""])}
            if rng.random() < 0.9:
                holding |= {"amount": rng.choice([0, 50, 100, 100.5, "1", None]), "matures_on": near(), "kind": "存单"}
            holdings.append(holding)
        if rng.random() < 0.05:
            holdings.append("h9")
        fields["holdings"] = holdings if rng.random() < 0.97 else {"holding_id": "h1"}
    return fields


def broken(rng: Random, message: dict[str, Any]) -> bytes:
    """A line that is a dead letter or nearly one: blank lines, odd but right ones and doubtful numbers too."""
    fixed = [
        b"", b"   ", b"\t", b"{", b"[]", b"null", b"7", b'"x"', b"{}", b"\xff\xfe", b'{"stream": "txn", "a": NaN}',
        b"[" * 100_000, b'{"stream":"click","event_id":"a\\ud800","customer_id":"C1","ts":1}',
        b'{"stream":"click","event_id":"a","customer_id":"C1","ts":1,"\\udc00":1}',
        b'{"stream":"click","event_id":"a","customer_id":"C1","ts":1}x', b"{'stream': 'click'}",
    ]  # fmt: skip
    if rng.random() < 0.4:
        return rng.choice(fixed)
    message = dict(message)
    name = rng.choice(["stream", "event_id", "customer_id", "ts", "amount", "direction", "ticket_id", "stage", "label"])
    roll = rng.random()
    if roll < 0.2:
        message.pop(name, None)
    elif roll < 0.5 and name in message:
        message[name] = rng.choice([None, "", True, 7, 1.5, [], {}, -1, "x" * 65, "x" * 129, 10**30, "nope"])
    elif roll < 0.6:
        message["event_id"] = rng.choice(["x" * 128, "😀" * 128, "x" * 129])
        message["customer_id"] = rng.choice(["客" * 64, "客" * 65])
    elif roll < 0.7:
        last_of_9999 = 253_402_300_799_999
        message["ts"] = rng.choice([last_of_9999, last_of_9999 + 1, -1, 1e12, message["ts"] + 400 * 86_400_000])
    elif roll < 0.8:
        return as_line(rng, message).replace(b'"amount": ', b'"amount": 1e400, "was": ', 1)
    else:
        message |= rng.choice(
            [{"amount": 10**12}, {"amount": 10**12 + 1}, {"amount": -0.01}, {"amount": "1"}, {"direction": "up"},
             {"stage": "done"}, {"label": "true"}, {"label": 1}, {"stream": ["txn"]}, {"stream": "TXN"}]
        )  # fmt: skip
    return as_line(rng, message)


def random_messages(rng: Random, n: int, customers: list[str], times: list[int]) -> list[dict[str, Any]]:
    messages = []
    for index, ts in zip(rng.sample(range(10 * n), n), times, strict=True):
        stream = rng.choice(STREAMS)
        event_id = rng.choice(["e", "e", "E", "事"]) + str(index)
        if rng.random() < 0.02:
            event_id = rng.choice(ODD_IDS)
        message = {"stream": stream, "event_id": event_id, "customer_id": rng.choice(customers), "ts": ts}
        messages.append(message | random_fields(rng, stream, ts))
    return messages


def duplicate_of(rng: Random, message: dict[str, Any], dedup_ms: int) -> dict[str, Any]:
    """The same event again: exactly, at another time, or with other contents."""
    again = dict(message)
    roll = rng.random()
    if roll < 0.4:
        return again
    if roll < 0.7:
        again["ts"] += rng.choice([0, 1, 1000, dedup_ms - 1, dedup_ms, dedup_ms + 1])
    if roll > 0.6:
        again |= {"device_id": rng.choice(["d1", "d2", "d9"]), "mix": rng.choice(MIXED)}
    return again


def random_stream(
    rng: Random,
    n_events: int,
    n_customers: int = 6,
    n_partitions: int = 2,
    lateness_ms: int = 10_000,
    late_share: float = 0.05,
    duplicate_share: float = 0.05,
    broken_share: float = 0.02,
    dedup_ms: int = 3_600_000,
    span_ms: int = 86_400_000,
    start_ms: int | None = None,
) -> list[list[bytes]]:
    """Lines of each partition: arrival shuffled within the lateness, except a share that is late."""
    customers = CUSTOMERS[:n_customers] + [f"C{100 + i}" for i in range(n_customers - len(CUSTOMERS))]
    times = random_times(rng, n_events, span_ms, start_ms)
    messages = random_messages(rng, n_events, customers, times)
    arrivals: list[tuple[float, bytes]] = []
    shuffled = rng.random() < 0.8
    for message in messages:
        delay = rng.uniform(0, lateness_ms) if shuffled else 0
        if rng.random() < late_share:
            delay = lateness_ms + rng.choice([1, 1000, 60_000, rng.uniform(0, span_ms / 5), 3_600_000])
        arrivals.append((message["ts"] + delay, as_line(rng, message)))
        if rng.random() < duplicate_share:
            again = duplicate_of(rng, message, dedup_ms)
            delay = rng.choice([0, rng.uniform(0, lateness_ms), dedup_ms, lateness_ms + dedup_ms, 2 * dedup_ms])
            line = arrivals[-1][1] if again == message else as_line(rng, again)
            arrivals.append((again["ts"] + delay, line))
        if rng.random() < broken_share:
            arrivals.append((message["ts"], broken(rng, message)))
    arrivals.sort(key=lambda arrival: arrival[0])
    partitions: list[list[bytes]] = [[] for _ in range(n_partitions)]
    for _, line in arrivals:
        rng.choice(partitions).append(line)
    return partitions


def time_of(line: bytes) -> int:
    try:
        ts = json.loads(line)["ts"]
    except Exception:
        return -1
    return ts if isinstance(ts, int) else -1


def weave_tickets(rng: Random, case: Case, share: float = 0.6) -> None:
    """Let ticket events close and reopen tickets that the case really emits, in place."""
    emitted = [d for d in case.run().decisions if d["kind"] == "ticket" and d["decision"] == "emitted"]
    filled = [lines for lines in case.partitions if lines]
    for number, decision in enumerate(emitted):
        if rng.random() > share or not filled:
            continue
        ts = decision["ts"]
        for turn, stage in enumerate(rng.choice(LIVES)):
            ts += rng.choice([0, 1, 1000, 60_000, 3_600_000, 86_400_000])
            customer = decision["customer_id"] if rng.random() < 0.95 else "C1"
            message = {"stream": "ticket", "event_id": f"k{number}-{turn}", "customer_id": customer, "ts": ts}
            message |= {"ticket_id": decision["action_id"], "stage": stage, "satisfaction": rng.choice([1, 5, "x"])}
            lines = rng.choice(filled)
            at = next((i for i, line in enumerate(lines) if 0 <= time_of(line) - ts < 20 * 86_400_000), None)
            if at is not None:
                lines.insert(at, as_line(rng, message))


def without_year_9999(lines: list[bytes], options: dict[str, Any]) -> list[bytes]:
    """The lines without those that would be accepted and mean millions of ticks."""
    while True:
        events, _ = read_partition(lines, "", options["lateness_ms"], options.get("max_jump_ms", 366 * 86_400_000))
        far = {event.raw for event in events if event.ts > 4 * 10**12}
        if not far:
            return lines
        lines = [line for line in lines if line not in far]


def random_case(
    rng: Random, n_events: int | None = None, n_rules: int | None = None, n_customers: int | None = None
) -> Case:
    """Everything at random; sizes too where they are not given."""
    n_events = n_events or rng.choice([20, 60, 150, 300, 600])
    n_rules = n_rules or rng.randint(1, 12)
    files = rng.choice([1, 1, 2])
    rules = [random_rules(rng, max(1, n_rules // files), prefix=f"r{number}") for number in range(files)]
    options = {
        "lateness_ms": rng.choice([0, 1000, 10_000, 10_000, 60_000, 3_600_000]),
        "dedup_ms": rng.choice([3_600_000, 3_600_000, 60_000, 1000, 0]),
    }
    span_ms = rng.choice(SPANS_MS)
    start_ms = rng.choice([0, 86_400_000 * 365]) if rng.random() < 0.03 else None
    partitions = random_stream(
        rng,
        n_events,
        n_customers or rng.choice([1, 2, 3, 6, 10]),
        rng.choice([1, 1, 2, 3]),
        late_share=rng.choice([0, 0.02, 0.1, 0.3]),
        duplicate_share=rng.choice([0, 0.05, 0.2]),
        broken_share=rng.choice([0, 0.02, 0.1]),
        span_ms=span_ms,
        start_ms=start_ms,
        **options,
    )
    if rng.random() < 0.3:
        latest = max(time_of(line) for lines in partitions for line in lines if time_of(line) < 4e12)
        options["until_ms"] = latest + rng.choice([-1000, 0, 1, 3_600_000, 3 * 86_400_000])
    if rng.random() < 0.2:
        options["max_jump_ms"] = rng.choice([0, 3_600_000, 86_400_000])
    partitions = [without_year_9999(lines, options) for lines in partitions]
    case = Case(rules, random_policy(rng), partitions, options)
    weave_tickets(rng, case)
    return case


def statistics(seeds: range, n_events: int | None) -> None:
    """Print what the cases of these seeds exercise."""
    totals: dict[str, Counter[str]] = {"decisions": Counter(), "would_be": Counter(), "dead letters": Counter()}
    counts: Counter[str] = Counter()
    features: Counter[str] = Counter()
    fired_by: Counter[str] = Counter()
    slowest = 0.0
    for seed in seeds:
        case = random_case(Random(seed), n_events)
        began = time.perf_counter()
        result = case.run()
        slowest = max(slowest, time.perf_counter() - began)
        fired = {d["rule_id"] for d in result.decisions}
        rules = load_rules(case.rules)
        counts["rules"] += len(rules)
        counts["rules that fired"] += len(fired)
        counts["events"] += sum(result.events.values())
        counts["duplicates"] += result.duplicates
        counts["late"] += result.late
        counts["pending"] += result.pending
        counts["late decisions"] += sum(d["late"] for d in result.decisions)
        per_rule = Counter(d["rule_id"] for d in result.decisions)
        anchors = sum(result.events.values()) - result.duplicates
        counts["rules that fired on over half of the events"] += sum(n > anchors / 2 for n in per_rule.values())
        for d in result.decisions:
            totals["decisions"][d["reason"] or "emitted"] += 1
            totals["would_be"][str(d["would_be"])] += 1
        for letter in result.dead_letters:
            totals["dead letters"][f"{letter['reason']} {letter['field']}"] += 1
        for text in case.rules:
            for name in ("novel(", "seq(", "streak(", "rises(", "age(", "prev(", "per=", "unless", "daily", "each",
                         "std(", "distinct(", "this=", "prior=", "latest", "days_until("):  # fmt: skip
                features[name] += text.count(name)
        for rule in rules:
            if rule.id in fired:
                kind = "date each" if rule.each_holding else "date" if rule.daily else "event"
                fired_by[f"{kind}{' unless ' + rule.restart if rule.unless else ''}"] += 1
    print(f"slowest {slowest:.2f} s")
    for title, counter in [*totals.items(), ("counts", counts), ("written", features), ("fired", fired_by)]:
        print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in counter.most_common()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--events", type=int)
    args = parser.parse_args()
    statistics(range(args.seed, args.seed + args.cases), args.events)


if __name__ == "__main__":
    main()
