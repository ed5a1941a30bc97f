"""`cem state`: what it tells of a folder, what it finds wrong, whom it forgets."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.runtime_database import _plain, read_remembered
from flows.state_folder import ERASING, open_state
from flows.state_forget import forget
from flows.state_search import spellings, traces_of
from flows.state_verify import verify
from rules.load import load_rules
from state import delta_store
from state.disk import Disk, StateError
from state.json_values import from_json, to_json
from state.state_folder import StateFolder
from tests.flows.interrupted import run_until
from tests.reference.generate import Case

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
START_MS = 1_772_323_200_000  # 2026-03-01 00:00 UTC, 08:00 in Shanghai

RULES = """\
version: 1
rules:
  - id: prepay
    trigger: click[page == "prepay"]
    let: {n: 'count(click[page == "prepay"], last="7d")', asked: last(click.query)}
    when: n >= 2
    cooldown: 2h
    then: [{ticket: {queue: q, sla: 2h, subject: "{n}: {asked}"}}, {tag: {name: hesitant}}]
  - id: unpaid
    trigger: click[page == "basket"]
    unless: {event: 'click[page == "paid"]', within: 9d}
    then: [{notify: {channel: app, text: "{click.query}"}}]
  - id: ask
    class: survey
    trigger: txn[amount > 100]
    then: [{survey: {channel: app, question: "{txn.counterparty_id}"}}]
  - id: shared
    class: risk
    trigger: txn
    let:
      customers: distinct(txn.customer_id, last="9d", per="device_id")
      tier: profile.tier
    when: customers >= 2
    then: [{alert: {queue: fraud}}]
  - id: matures
    trigger: {daily: "09:00"}
    each: holdings
    when: days_until(holding.matures_on) == 3
    then: [{tag: {name: "{holding.holding_id}"}}]
"""
POLICY = """\
version: 1
quiet_hours: {from: "06:00", to: "05:59", classes: [survey], action: defer}
"""
CUSTOMERS = ["客户-7", "客户-70", "A", 'B"1']


def event(number: int, stream: str, customer: str, at_ms: int, **fields: object) -> bytes:
    base = {"stream": stream, "event_id": f"e{number}", "customer_id": customer, "ts": START_MS + at_ms}
    return json.dumps(base | fields, ensure_ascii=number % 2 == 0).encode()


def story() -> Case:
    """Two partitions, of which the second is ten hours behind at the end, so that much waits."""
    first, second = [], []
    number = 0
    for hour in range(60):
        for place, customer in enumerate(CUSTOMERS):
            number += 1
            at_ms = hour * HOUR_MS + place * 60_000
            fields = {"query": f"怎么提前还款 {customer}", "page": ("prepay", "basket", "paid", "home")[hour % 7 % 4]}
            if hour > 40 and customer == "客户-7" and fields["page"] == "paid":
                fields["page"] = "home"  # so that a deadline stays
            first.append(event(number, "click", customer, at_ms, **fields))
            if hour % 3 == 0:
                to = CUSTOMERS[(place + 1) % 4]
                more = {"amount": 50 + hour * 7, "direction": "out", "device_id": "d1", "counterparty_id": to}
                first.append(event(number + 1000, "txn", customer, at_ms + 5, **more))
        if hour < 50:
            holdings = [{"holding_id": f"h-{hour}", "kind": "fund", "matures_on": "2026-03-06"}]
            customer = CUSTOMERS[hour % 4]
            second.append(event(5000 + hour, "profile", customer, hour * HOUR_MS, tier="gold", holdings=holdings))
    return Case([RULES], POLICY, [first, second], {"lateness_ms": HOUR_MS})


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> Path:
    """A run that was cut off, with its state in `state`."""
    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.files_source.MAX_BATCHES_AHEAD", 100)
        assert run_until(story(), folder, batches=13, batch_bytes=6_000)
    return folder


@pytest.fixture
def folder(killed, tmp_path) -> Path:
    """A copy of it to change."""
    shutil.copytree(killed / "state", tmp_path / "state")
    shutil.copy(killed / "rules-0.yaml", tmp_path / "rules-0.yaml")
    return tmp_path / "state"


def cem(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["state", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


def row(text: str, label: str) -> str:
    (found,) = (line for line in text.splitlines() if line.strip().startswith(label))
    return re.sub(r"\s+", " ", found.strip().removeprefix(label)).strip()


def number(text: str, label: str) -> int:
    return int(row(text, label).replace(",", ""))


def customers_ids(folder: Path, customer: str) -> list[str]:
    return [str(trace) for trace in traces_of(StateFolder.inspect(folder), customer)]


def test_inspect(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    code, text = cem("inspect", folder)
    assert code == 0, text
    assert number(text, "customers ") == number(text, "with a profile") == number(text, "with open tickets") == 4
    assert number(text, "with armed deadlines") >= 1
    assert number(text, "with held decisions") >= 1
    assert number(text, "events that wait for their turn") == 5
    assert number(text, "events known if they come again") >= 4
    assert number(text, "entities: device_id") == 1
    assert row(text, "watermark") == "2026-03-03 10:03:00.000 UTC"
    assert re.search(r"^ decide +16 ", text, re.MULTILINE)
    assert number(text, "with events in a window") == 4
    assert row(text, "oldest event in any window") == "2026-03-01 00:00:00.000 UTC"
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_folder_in_use_is_looked_at_and_not_changed(folder):
    with StateFolder.open(folder, {}):
        assert cem("inspect", folder)[0] == cem("verify", folder)[0] == 0
        assert cem("show", folder, "--customer", "A")[0] == 0
        code, text = cem("forget", folder, "--customer", "A")
    assert code == 3
    assert re.search(r"lock: process \d+ uses this folder; stop that process", text)
    assert customers_ids(folder, "A")


def test_what_is_no_state_folder(tmp_path):
    for command in (["inspect"], ["verify"], ["show", "--customer", "A"], ["forget", "--customer", "A"]):
        code, text = cem(command[0], tmp_path, *command[1:])
        assert code == 1
        assert "this is no state folder" in text
        assert cem(command[0], tmp_path / "none", *command[1:])[0] in (1, 3)
    assert list(tmp_path.iterdir()) == []


def test_show(folder):
    code, text = cem("show", folder, "--customer", "客户-7")
    assert code == 0, text
    for line in (
        "as of 2026-03-03 10:03:00.000 UTC",
        '  tier = "gold"',
        '  count(click[page == "prepay"], last="7d") = 17',
        '  last(click.query) = "怎么提前还款 客户-7"',
        "  prepay (ticket, tag): last emitted 2026-03-03 08:00:00.000 UTC",
        "  ask: a decision is held until 2026-03-03 21:59:00.000 UTC; by txn e1193 of 2026-03-03 00:00:00.005 UTC",
    ):
        assert line in text.splitlines(), text
    assert re.search(r"^  [0-9a-f]{32} of prepay: open$", text, re.MULTILINE)
    assert re.search(r"^  unpaid fires at 2026-03-1.* if nothing disarms it; by click e", text, re.MULTILINE)
    assert '"event_id": "e237"' in text
    assert "e239" not in text  # of 客户-70
    assert cem("show", folder, "--customer", "客户")[0] == 1


def test_verify(folder):
    assert cem("verify", folder)[0] == 0
    path = max(folder.glob("decide-*/*.base"), key=lambda path: path.stat().st_size)
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    code, text = cem("verify", folder)
    assert code == 1
    assert f"{path}: the contents do not match the checksum" in text
    assert "; restore the state folder from a copy" in text
    path.write_bytes(whole)
    last = sorted(folder.glob("decide-03/*"))[-2]
    assert last.suffix == ".delta"
    last.unlink()
    code, text = cem("verify", folder)
    assert code == 1
    assert f"{folder / 'decide-03' / last.stem}: the runtime remembers this version, and it is not there" in text


def test_verify_looks_at_the_rules(folder):
    (rules,) = folder.glob("rules/*/*")
    rules.write_bytes(rules.read_bytes() + b"\n")
    code, text = cem("verify", folder)
    assert code == 1
    assert f"{rules.parent}: the rules of an earlier run are damaged" in text
    shutil.rmtree(folder / "rules")
    assert "rules of an earlier run" in cem("verify", folder)[1]


@pytest.mark.parametrize("customer", ["", "\udcff"])
def test_what_is_no_customer_id(folder, customer):
    for command in ("show", "forget"):
        code, text = cem(command, folder, "--customer", customer)
        assert (code, "is no customer_id" in text) == (2, True)


def test_verify_finds_a_file_of_another_run(folder, tmp_path):
    version, _ = read_remembered(folder).shards["order-05"]
    with delta_store.ShardFiles(folder / "order-05") as files:
        info = next(info for info in files.files() if info.version == version)
        sections = files.read(version).sections
        previous = files.read(version).header.previous_version
        list(files.load(previous))
        files.write(version, sections, base=info.is_base)
    code, text = cem("verify", folder)
    assert code == 1
    assert "the runtime remembers another file of this version" in text


def test_verify_of_the_runtimes_database(folder):
    (folder / "runtime" / "part-0.sqlite3").write_bytes(b"this is no database" * 100)
    for path in folder.glob("runtime/*-wal"):
        path.unlink()
    code, text = cem("verify", folder)
    assert code == 1
    assert f"{folder / 'runtime'}: the runtime's database cannot be read" in text
    assert cem("inspect", folder)[0] == 0


def test_verify_finds_an_output_that_lost_lines(folder, killed):
    about = json.loads((folder / "format.json").read_text(encoding="utf-8"))
    out = Path(about["run"]["--out"]) / "actions.ndjson"
    whole = out.read_bytes()
    try:
        out.write_bytes(whole[:10])
        code, text = cem("verify", folder)
    finally:
        out.write_bytes(whole)
    assert code == 1
    assert f"{out}: has 10 bytes where the run had written" in text


def test_forget(folder):
    assert any("left of the customer" in line for line in customers_ids(folder, "客户-7"))
    (folder / "decide-03" / "000000000099.delta.tmp").write_bytes("half a file of 客户-7".encode())
    code, text = cem("forget", folder, "--customer", "客户-7")
    assert code == 0, text
    assert "customer '客户-7' is erased" in text
    left = customers_ids(folder, "客户-7")
    assert left
    assert not [line for line in left if "left of the customer" in line]
    # the other's id holds it, and others paid to it: their ids, records and events name it
    assert any("customer '客户-70': the id, which these letters are a part of" in line for line in left)
    assert all(line in text for line in left)
    assert cem("verify", folder)[0] == 0
    assert cem("show", folder, "--customer", "客户-7")[0] == 1
    assert cem("show", folder, "--customer", "客户-70")[0] == 0
    code, text = cem("forget", folder, "--customer", "客户-7")
    assert code == 0
    assert "held nothing of customer '客户-7'" in text


def test_forget_leaves_no_byte(folder):
    customer = 'B"1'
    for path in folder.glob("*/*.*"):  # nobody else names this one: see `story`
        assert path.is_file()
    code, text = cem("forget", folder, "--customer", customer)
    assert code == 0, text
    named = {line.split(":")[0] for line in text.splitlines() if line.startswith(str(folder))}
    found = {
        str(path) for path in folder.rglob("*") if path.is_file() and spellings(customer).search(path.read_bytes())
    }
    assert found <= named


def test_a_folder_that_does_not_hold_its_rules(folder):
    """As a version before this one left it."""
    rules = next(folder.glob("rules/*/*"))
    rules.rename(folder.parent / "given.yaml")
    shutil.rmtree(folder / "rules")
    with StateFolder.open(folder, {}) as opened:
        opened.amend({**opened.about, "rules": None})
    for shard in StateFolder.inspect(folder).shards():
        with delta_store.ShardFiles(shard.folder) as files:
            for info in files.files():
                sections = dict(files.read(info.version).sections)
                for name in {"decider", "entities"} & sections.keys():
                    head = from_json(sections[name])
                    del head["rules"]
                    sections[name] = to_json(head)
                files.rewrite(info.version, sections)
    code, text = cem("show", folder, "--customer", "A")
    assert code == 0, text
    assert "aggregates" not in text
    assert "prepay: last emitted" in text
    assert cem("inspect", folder)[0] == 0
    code, text = cem("forget", folder, "--customer", "A")
    assert code == 3
    assert "give them with --rules" in text
    assert "aggregates" in cem("show", folder, "--customer", "A", "--rules", folder.parent / "given.yaml")[1]
    assert cem("forget", folder, "--customer", "A", "--rules", folder.parent / "given.yaml")[0] == 0


class Waits:
    def __reduce__(self):
        return tuple, ((3, 7, "id"),)


class Runs:
    def __reduce__(self):
        return print, ("a pickle of the database was run",)


def test_what_the_runtime_remembers_is_read_and_not_run(capsys):
    assert _plain(pickle.dumps((3, 7, "id"))) == _plain(pickle.dumps(Waits())) == (3, 7, "id")
    assert _plain(pickle.dumps(Runs())) is None
    assert _plain(b"no pickle") is None
    assert capsys.readouterr().out == ""


class StopError(Exception):
    """The machine stops."""


def test_forget_killed_in_the_middle(folder, monkeypatch):
    rename, left = Disk.rename, [0]

    def renamed(self, source, target):
        left[0] -= 1
        if left[0] == 0:
            raise StopError
        rename(self, source, target)

    monkeypatch.setattr(Disk, "rename", renamed)
    stopped = 0
    left[0] = 3
    with suppress(StopError):
        forget(folder, "客户-7")
    left[0] = 10**9
    about = StateFolder.inspect(folder).about["run"]
    half_way = open_state(folder, load_rules([])[0], "", about)
    with pytest.raises(StateError, match=r"erasure was stopped half way.* run `cem state forget`"):
        half_way.__enter__()
    for n in (1, 2, 3, 1, 4):
        left[0] = n
        try:
            forget(folder, "客户-7")
        except StopError:
            stopped += 1
        assert verify(StateFolder.inspect(folder)) == []
    assert stopped >= 3
    left[0] = 10**9
    done = forget(folder, "客户-7")
    assert done.is_complete
    assert not list(folder.rglob("*.tmp"))
    assert ERASING not in StateFolder.inspect(folder).about


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("客户", '"\\u5ba2\\u6237"'), ("客户", '"\\u5BA2\\u6237"'), ("客户", '"客\\u6237"'), ("😀", '"\\ud83d\\uDE00"'),
        ('a"b', r'"a\"b"'), ("a/b", r'"a\/b"'), ("A1", r'"\u00411"'), ("a.c", "a.c"),
    ],
)  # fmt: skip
def test_spellings(text, written):
    assert spellings(text).search(written.encode())
    assert not spellings(text).search(b"abc \\u5ba3")
