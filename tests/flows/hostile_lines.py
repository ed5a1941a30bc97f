"""Lines as a hostile or broken sender writes them, and rules that use everything the language has."""

from __future__ import annotations

import json
from random import Random
from typing import Any

T0_MS = 1_760_000_000_000
DAY_MS = 86_400_000

# fmt: off
VALUES = [
    "null", "true", "false", "0", "-0", "1", "-1", "1.0", "1e3", "-0.0", "0.1", "1e308", "1e400", "-1e400", "1E-400",
    "4e-324", "123456789012345678901234567890", "1000000000000", "1000000000001", "0.00001", "1.2345", "9" * 4301,
    "NaN", "Infinity", "01", "1.", "--1", '""', '"in"', '"txn"', '"click"', '"closed"', '"reopened"', '"CNY"',
    '"\\ud83d\\ude00"', '"\\ud83d"', '"\\u0000"', '"a\tb"', '"2026-02-29"', '"0000-00-00"', '"2024-02-29"',
    '"' + "字" * 65 + '"', '"' + "x" * 129 + '"', "[]", "{}", '["a"]', '["a",1]', "[{}]", '[{"holding_id":1}]',
    '[{"holding_id":"h","amount":1e999,"matures_on":7},{"holding_id":"h"},{}]', '["survey","marketing",null]',
    '{"a":[1e999,{"b":2}]}', "[[1]]", "[1", "tru", '"a', "[" * 3000 + "]" * 3000, '"{0.__class__}{"', '"\\ufeff"',
]
# fmt: on
TIMES_MS = [0, 1, T0_MS, T0_MS - DAY_MS, T0_MS + DAY_MS, T0_MS + 20 * DAY_MS, T0_MS + 900 * DAY_MS, 253402300799999]
TIMES = [*map(str, TIMES_MS), "253402300800000", "-1", "1.5", '"1760000000000"']
PIECES = [b"", b'"', b"\\", b"\\u", b"{", b"]", b",", b"\xff", b"\xe8", b"\0", b"\xed\xa0\x80", b"\r"]
JUNK = [
    b"",
    b" \r",
    b"\t",
    b"null",
    b"[]",
    b"\xa0",
    b"\x0b",
    b"1e5",
    b"{}",
    b'"',
    b"[" * 5000,
    b"{" * 5000,
    b"\xef\xbb\xbf{}",
]


def good_event(rng: Random, stream: str) -> dict[str, Any]:
    """The fields of a sound event of a stream, beyond those that all have."""
    pick = rng.choice
    match stream:
        case "click":
            return {
                "page": pick(["首页", "loan/rate"]),
                "query": pick(["提前还款", "x"]),
                "device_id": pick("de"),
                "mix": 1,
            }
        case "txn":
            return {
                "amount": pick([0, 0.1, 12.5, 10**12]), "direction": pick(["in", "out"]), "kind": pick(["fee", "x"]),
                "device_id": pick("de"), "terminal_id": pick("tu"), "mix": pick([1, 1.0, True, "1", ["a"], {"k": 1}]),
            }  # fmt: skip
        case "feedback":
            return {"metric": "nps", "score": pick([1, 9.5]), "text": pick(["转账太慢了", "非常满意", "{}%s"])}
        case "profile":
            holdings = [{"holding_id": pick("hij"), "amount": 3, "matures_on": "2025-10-20"} for _ in range(2)]
            return {"tier": "gold", "aum": 1.5e6, "birthday": "1990-02-28", "opt_out": "survey", "holdings": holdings}
        case "ticket":
            return {"ticket_id": pick("tu"), "stage": pick(["closed", "reopened"]), "satisfaction": 4}
    return {"subject_event_id": "s", "label": pick([True, False]), "terminal_id": pick("tu")}


def hostile_line(rng: Random, at_ms: int) -> bytes:
    """A line that is sound, or has fields exchanged, or bytes damaged, or is junk. It holds no newline."""
    if rng.random() < 0.02:
        return rng.choice([*JUNK, rng.randbytes(20).replace(b"\n", b"")])
    stream = rng.choice(["profile", "ticket", "label", "click", "txn", "feedback"])
    event = {
        "stream": stream,
        "event_id": f"e{rng.randrange(3000)}",
        "customer_id": rng.choice(["C1", "客2", "c3", "😀"]),
    }
    event |= {"ts": at_ms - rng.choice([0, 0, 0, 5000, 60_000]), "channel": "app"} | good_event(rng, stream)
    items = [(json.dumps(key), json.dumps(value, ensure_ascii=rng.random() < 0.5)) for key, value in event.items()]
    while rng.random() < 0.4 and items:
        at = rng.randrange(len(items))
        name = items[at][0]
        value = rng.choice(TIMES if name == '"ts"' else VALUES)
        match rng.randrange(4):
            case 0:
                del items[at]
            case 1:
                items.insert(rng.randrange(len(items)), (name, value))  # the later of two counts
            case _:
                items[at] = (name, value)
    line = ("{" + ",".join(f"{key}:{value}" for key, value in items) + "}").encode()
    if rng.random() < 0.2:
        damaged = bytearray(line)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(damaged) + 1)
            damaged[at : at + rng.randrange(3)] = rng.choice(PIECES)
        line = bytes(damaged)
    return line.replace(b"\n", b"")


def hostile_partitions(seed: int, lines: int, partitions: int) -> list[list[bytes]]:
    """Partitions whose event time goes on for some three weeks; broken times jump to and fro."""
    rng = Random(seed)
    found: list[list[bytes]] = [[] for _ in range(partitions)]
    for number in range(lines):
        at_ms = T0_MS + number * 20 * DAY_MS // lines
        found[rng.randrange(partitions)].append(hostile_line(rng, at_ms))
    return found


RULES = """\
version: 1
rules:
  - id: every
    trigger: [profile, ticket, label, click, txn, feedback]
    then: [{tag: {name: seen}}]
  - id: everything
    class: survey
    trigger: [txn, click, 'feedback[sentiment < 0 or "贷款" in topics]', label]
    let:
      n: count(click["还款" in query or matches(page, "^l.*e$")], last="7d")
      total: sum(txn[currency == "CNY"].amount, this="week")
      mu: mean(txn.amount, prior="1d")
      sd: std(txn.balance)
      low: min(txn.mix, last="1h")
      top: max(feedback.score)
      kinds: distinct(txn.mix, last="2d")
      latest: last(txn.mix)
      before: prev(click.mix)
      since: age(ticket[stage == "closed"])
      fresh: novel(txn.mix, prior="90d")
      path: seq(click, label, txn, last="1d")
      days: streak(txn, by="day")
      weeks: streak(sum(txn[currency == "CNY"].amount) > 2 * count(txn) + 1, by="week")
      z: (txn.amount - mu) / sd * txn.balance % 7 - n
      until: days_until(profile.birthday, yearly=True)
      odd: round(min(txn.amount, top, total), 2) + abs(low) + len(txn.mix) + hour(txn.mix) + weekday(ts)
      crowd: distinct(txn.customer_id, last="1h", per="device_id")
      bad: count(label[label], last="28d", per="terminal_id")
      mixed: sum(txn.amount, prior="1d", per="mix")
    when: rises(n >= 1) or kinds > 1 or fresh or path or not (latest == before) or coalesce(z, 0) in [1, 2]
    unless: {event: [ticket, 'click[action == "done"]'], within: 1h, restart: latest}
    cooldown: 1h
    then:
      - notify: {channel: app, text: "{n}|{total:.2f}|{mu:,d}|{sd}|{latest:>9}|{before}|{odd}|{txn.mix:x}|{profile.x}"}
      - survey: {channel: "{click.page}", text: "{feedback.text:s}{{}}{until}{weeks}{crowd}{bad}{mixed}"}
  - id: daily
    class: marketing
    trigger: {daily: "09:00"}
    each: holdings
    let: {left: days_until(holding.matures_on), spent: 'sum(txn[currency == "CNY"].amount, last="7d")'}
    when: left < 5 or is_null(left)
    then: [{ticket: {queue: "{holding.kind}", subject: "{holding.amount:.2f} {left} {spent}"}}]
  - id: watch
    status: shadow
    trigger: {daily: "23:30"}
    let: {t: 'profile.tier', since: age(txn)}
    when: not rises(since > 3600)
    then: [{alert: {text: "{t} {since:.1f}"}}]
"""

POLICY = """\
version: 1
holdout: {percent: 20}
caps: [{class: survey, max: 2, per: 7d}, {class: "*", max: 2000, per: 1d}]
quiet_hours: {from: "21:00", to: "09:00", action: defer}
"""
