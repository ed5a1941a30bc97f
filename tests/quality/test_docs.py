"""The documents say what the code does: names are complete, examples load, and values are what a replay gives."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from flows.loading import load_model_files
from flows.replay import ReplayJob, replay
from operators.dead_letters import FUTURE_TS, REASONS, TOO_LONG
from operators.event_schema import OPTIONAL, REQUIRED
from operators.policy_gate import CAP, COOLDOWN, HOLDOUT, OPEN_TICKET, OPT_OUT, QUIET_HOURS, SHADOW
from rules.diagnostics import CODES
from rules.functions import ALL
from rules.load import load_rules
from rules.policy import load_policy

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<info>[^\n`]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"(?<!\\)\|")
POLICY_REASONS = {SHADOW, HOLDOUT, OPT_OUT, COOLDOWN, CAP, QUIET_HOURS, OPEN_TICKET}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, info: str) -> list[str]:
    return [match["body"] for match in BLOCK.finditer(text) if match["info"] == info]


def rows(text: str) -> list[list[str]]:
    """The cells of every line of every table."""
    lines = [line for line in BLOCK.sub("", text).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in CELL.split(line)[1:-1]] for line in lines]


def in_code(cell: str) -> str | None:
    match = re.fullmatch(r"`([^`]+)`", cell)
    return match and match[1]


def whole_files(path: Path) -> list[str]:
    """The YAML files in a document: in ```yaml blocks, and in what a shell block writes to a file."""
    text = path.read_text(encoding="utf-8")
    written = [m[1] for m in re.finditer(r"<<'RULES'\n(.*?)^RULES$", text, re.MULTILINE | re.DOTALL)]
    return [body for body in [*blocks(text, "yaml"), *written] if body.startswith("version: 1\n")]


FILES = [
    pytest.param(body, id=f"{path.name}-{number}")
    for path in DOCUMENTS
    for number, body in enumerate(whole_files(path))
]


@pytest.mark.parametrize("body", FILES)
def test_yaml_files_have_no_problems(body: str, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(body, encoding="utf-8")
    loaded: object
    if "\nmodels:" in body:
        loaded, problems = load_model_files([path])
    else:
        loaded, problems = load_rules([path]) if "\nrules:" in body else load_policy(path)
    assert [str(problem) for problem in problems] == []
    assert loaded is not None


def test_there_are_files_to_load() -> None:
    assert len(FILES) >= 4


def test_every_code_has_its_row() -> None:
    table = [row for row in rows(text_of("docs/diagnostics.md")) if re.fullmatch(r"`[EW][0-9]+`", row[0])]
    assert [(in_code(row[0]), row[1]) for row in table] == list(CODES.items())


def test_every_function_has_its_row() -> None:
    tables = " ".join(row[0] for row in rows(text_of("docs/rules.md")))
    assert [name for name in sorted(ALL) if f"`{name}(" not in tables] == []


def test_every_policy_reason_has_its_row() -> None:
    for name in ("README.md", "docs/rules.md"):
        listed = [in_code(cell) for row in rows(text_of(name)) for cell in row[:2]]
        assert {reason for reason in listed if reason in POLICY_REASONS} == POLICY_REASONS, name


def test_every_field_is_in_the_events_document() -> None:
    text = text_of("docs/events.md")
    for stream in REQUIRED:
        section = text.split(f"### `{stream}`", 1)[1].split("\n#", 1)[0]
        names = {*OPTIONAL[stream], *(field.name for field in REQUIRED[stream])} - {"channel"}
        assert {name for name in names if f"`{name}`" not in section} == set(), stream


def replayed(folder: Path, rules: str, lines: list[str]) -> Path:
    (folder / "rules.yaml").write_text(rules, encoding="utf-8")
    (folder / "events.ndjson").write_text("\n".join(lines), encoding="utf-8")
    rule_set, problems = load_rules([folder / "rules.yaml"])
    assert rule_set is not None, [str(problem) for problem in problems]
    replay(ReplayJob(rule_set, (folder / "events.ndjson",), folder / "out"))
    return folder / "out"


def read_lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_dead_letter_examples(tmp_path: Path) -> None:
    table = [row for row in rows(text_of("docs/events.md")) if in_code(row[0]) in REASONS and len(row) == 4]
    assert [in_code(row[0]) for row in table] == list(REASONS)
    examples = [(in_code(row[0]), row[1], line) for row in table if (line := in_code(row[2])) and line[0] in "{["]
    assert {reason for reason, _, _ in examples} == set(REASONS) - {TOO_LONG, FUTURE_TS}
    rule = "version: 1\nrules:\n  - {id: any, trigger: click, then: [{tag: {}}]}\n"
    letters = read_lines(replayed(tmp_path, rule, [line for _, _, line in examples]) / "dead_letters.ndjson")
    assert [letter["reason"] for letter in letters] == [reason for reason, _, _ in examples]
    for letter, (reason, field, _) in zip(letters, examples, strict=True):
        if field != "its name":
            assert letter["field"] == (None if field == "null" else in_code(field)), reason


def test_values_of_the_examples(tmp_path: Path) -> None:
    text = text_of("docs/rules.md")
    (events,) = blocks(text, "json events")
    examples = [line.split("  # → ") for block in blocks(text, "python") for line in block.splitlines()]
    assert len(examples) > 60
    lets = "".join(f"      v{n}: {json.dumps(expr, ensure_ascii=False)}\n" for n, (expr, _) in enumerate(examples))
    lines = events.splitlines()
    anchor = json.loads(lines[-1])["event_id"]
    rule = f"version: 1\nrules:\n  - id: r\n    trigger: txn[event_id == '{anchor}']\n    let:\n{lets}"
    (decision,) = read_lines(replayed(tmp_path, f"{rule}    then: [{{tag: {{}}}}]\n", lines) / "actions.ndjson")
    given = {expr: decision["features"][f"v{n}"] for n, (expr, _) in enumerate(examples)}
    assert given == {expr: json.loads(value) for expr, value in examples}
    called = {name for expr, _ in examples for name in re.findall(r"(\w+)\(", expr)}
    assert called >= ALL


def test_first_rule_of_the_readme(tmp_path: Path) -> None:
    text = text_of("README.md")
    (rules,) = re.findall(r"<<'RULES'\n(.*?)^RULES$", text, re.MULTILINE | re.DOTALL)
    (events,) = re.findall(r"<<'EVENTS'\n(.*?)^EVENTS$", text, re.MULTILINE | re.DOTALL)
    out = replayed(tmp_path, rules, events.splitlines())
    assert [line for line in text.splitlines() if line.startswith('{"action_id"')] == (
        (out / "actions.ndjson").read_text(encoding="utf-8").splitlines()
    )
    (shown,) = [line for line in text.splitlines() if line.startswith('{"raw"')]
    (letter,) = read_lines(out / "dead_letters.ndjson")
    assert {**letter, "source": "events.ndjson:7"} == json.loads(shown)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        document = (path.parent / name).resolve() if name else path
        assert document.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_whole(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(CELL.split(line)) for line in table.splitlines()}) == 1, table
        assert re.fullmatch(r"\|(?::?-+:?\|)+", table.splitlines()[1]), table


def test_the_wrong_file_of_the_diagnostics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of("docs/diagnostics.md")
    (body,) = blocks(text, "yaml wrong")
    (shown,) = blocks(text, "console")
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(body, encoding="utf-8")
    problems = [str(problem) for problem in load_rules([Path("my.yaml")])[1]]
    assert problems == [line for line in shown.splitlines() if line.startswith("my.yaml:")]


def test_the_action_id_of_the_example() -> None:
    (source,) = blocks(text_of("docs/rules.md"), "py")
    names: dict[str, Any] = {}
    exec(source, names)
    call = ast.unparse(ast.parse(source).body[-1])
    (comment,) = re.findall(r"^# ([0-9a-f]{32}),", source, re.MULTILINE)
    assert eval(call, names) == comment
    assert f'{{"action_id":"{comment}"' in text_of("README.md")


DAY_MS = 86_400_000
START_MS = 1_760_000_000_000  # a Thursday, 16:53:20 in Shanghai


def recipe_events() -> list[dict[str, Any]]:
    """Customers named after the recipe that is for them; `nobody` comes near every one of them."""
    certificate = {"holding_id": "h1", "kind": "存单", "amount": 60_000, "matures_on": "2025-10-20"}
    fund = {**certificate, "holding_id": "h2", "kind": "基金"}
    paid = [("unusual-amount", START_MS - (40 - n) * 3_600_000, 10 + n % 3) for n in range(35)]
    paid += [("unusual-amount", START_MS, 20_000)]
    farm = ["nobody", "somebody", "anybody", "device-farm"]
    spent = [START_MS - month * 30 * DAY_MS for month in (3, 2, 1)]
    return [
        *(
            {"stream": "click", "customer_id": "prepay-search", "ts": START_MS + n, "query": "提前还款"}
            for n in range(3)
        ),
        *({"stream": "click", "customer_id": "nobody", "ts": START_MS + n, "query": "提前还款"} for n in range(2)),
        *(
            {"stream": "click", "customer_id": who, "ts": START_MS + n * DAY_MS, "page": "loan/mortgage/faq"}
            for who, days in (("mortgage-interest", 4), ("nobody", 2))
            for n in range(days)
        ),
        {"stream": "profile", "customer_id": "idle-cash", "ts": START_MS, "demand_balance": 300_000, "aum": 400_000},
        {"stream": "profile", "customer_id": "nobody", "ts": START_MS, "holdings": [fund]},
        {"stream": "profile", "customer_id": "maturing-deposit", "ts": START_MS, "holdings": [certificate, fund]},
        *(
            {"stream": "txn", "customer_id": who, "ts": START_MS + 1, "amount": 250_000, "direction": "in"}
            for who in ("idle-cash", "nobody")
        ),
        *(
            {"stream": "txn", "customer_id": who, "ts": ts, "amount": amount, "direction": "out"}
            for who, ts, amount in paid
        ),
        *(
            {"stream": "txn", "customer_id": who, "ts": ts, "amount": 9, "direction": "out", "device_id": "D"}
            for ts, who in enumerate(farm, START_MS)
        ),
        *({"stream": "txn", "customer_id": "overspending", "ts": ts, "amount": 9, "direction": "out"} for ts in spent),
        *(
            {"stream": "click", "customer_id": who, "ts": START_MS, "error_code": "E503"}
            for who in ("error-then-complaint", "nobody")
        ),
        *(
            {"stream": "feedback", "customer_id": who, "ts": START_MS + 9, "metric": "comment", "text": "太差了"}
            for who in ("error-then-complaint", "nobody")
        ),
        {"stream": "ticket", "customer_id": "nobody", "ts": START_MS + 99, "ticket_id": "t", "stage": "accepted"},
    ]


def test_recipes_find_whom_they_are_for(tmp_path: Path) -> None:
    (recipes,) = blocks(text_of("docs/rules.md").split("## Recipes", 1)[1], "yaml")
    events = sorted(recipe_events(), key=lambda event: event["ts"])
    events.append({"stream": "click", "customer_id": "time", "ts": START_MS + 7 * DAY_MS})
    lines = [json.dumps({"event_id": f"e{n}", **event}, ensure_ascii=False) for n, event in enumerate(events)]
    decisions = read_lines(replayed(tmp_path, recipes, lines) / "actions.ndjson")
    found = {(d["rule_id"], d["customer_id"]) for d in decisions if d["decision"] == "emitted"}
    assert found == {(name, name) for name in re.findall(r"^  - id: (.+)$", recipes, re.MULTILINE)}


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "README.md"])
def test_files_that_are_named_exist(name: str) -> None:
    folders = "benchmarks|config|docs|flows|operators|rules|sinks|state|tests"
    named = set(re.findall(rf"\b(?:{folders})/[\w./*-]*", BLOCK.sub("", text_of(name))))
    assert named
    assert {path for path in named if not list(ROOT.glob(path.rstrip(".")))} == set()
