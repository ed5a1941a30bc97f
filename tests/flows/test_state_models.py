"""`cem state` and a folder of a run with models: what they keep is told, checked, and erased with the customer."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.state_files import kept_shard, key_of
from flows.state_forget import forget
from flows.state_search import traces_of
from flows.state_verify import verify
from operators.model_survey import PENDING_KEYS, KeptModel, kept_model
from state.delta_store import ShardFiles
from state.hashing import text_hashes
from state.state_folder import StateFolder
from state.texts import Texts
from tests.flows.interrupted import as_of_somebody_else
from tests.reference.generate import Case
from tests.test_models import MODELS, RULES, Bench, events_of, run_interrupted

BATCHES = 12


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with models that was cut off, with its state in `state`."""
    bench = Bench(tmp_path_factory.mktemp("models"))
    assert run_interrupted(bench, [events_of(6, 500)], BATCHES)
    return bench.folder


@pytest.fixture
def bench(killed: Path, tmp_path: Path) -> Bench:
    """The same run in a folder of its own."""
    bench = Bench(tmp_path)
    assert run_interrupted(bench, [events_of(6, 500)], BATCHES)
    return bench


@pytest.fixture
def folder(killed: Path, tmp_path: Path) -> Path:
    """A copy of the state to change."""
    shutil.copytree(killed / "state", tmp_path / "state")
    return tmp_path / "state"


def cem(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["state", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


def hashes_of(folder: Path, customer: str) -> int:
    """How many events of a customer wait for labels, in all files."""
    opened = StateFolder.inspect(folder)
    own = text_hashes(Texts.from_lines([customer.encode()]), key_of(opened))[0]
    found = 0
    for reader in opened.shards():
        for info in reader.files():
            keys = np.frombuffer(reader.read(info.version).sections.get(PENDING_KEYS, b""), np.uint64)
            found += int((keys == own).sum())
    return found


def waiting_customer(folder: Path) -> str:
    return max((f"c{n}" for n in range(30)), key=lambda customer: hashes_of(folder, customer))


def test_inspect_shows_the_models(folder: Path) -> None:
    code, text = cem("inspect", folder)
    assert code == 0, text
    fraud, odd = (next(line for line in text.splitlines() if re.match(rf" {name} ", line)) for name in ("fraud", "odd"))
    assert re.fullmatch(r" fraud +classifier, live, version 1 +([\d,]+) +\1 +[1-9]\d+ +2025-10-\d\d .* UTC", fraud)
    assert re.match(r" odd +half_space_trees, live, +[1-9]\d+ +[1-9]\d+ +0 ", odd)
    assert re.search(r"customers that models know +30\n", text)


def test_show_tells_what_models_keep(folder: Path) -> None:
    customer = waiting_customer(folder)
    code, text = cem("show", folder, "--customer", customer)
    assert code == 0, text
    part = text.split("what models keep")[1]
    assert re.search(r'  mean\(txn.amount, prior="7d"\) = \d', part)
    assert re.search(r"  fraud: [1-9]\d* events wait for labels, the oldest of 2025-10-", part)


def test_verify_finds_rows_that_wait_for_labels_and_do_not_fit(folder: Path) -> None:
    assert cem("verify", folder)[0] == 0
    for shard in folder.glob("score-*"):
        with ShardFiles(shard) as files:
            info = files.files()[-1]
            sections = dict(files.read(info.version).sections)
            if PENDING_KEYS not in sections:
                continue
            sections["learner.pending.times"] = np.zeros(1_000, np.int64)
            files.rewrite(info.version, sections)
    code, text = cem("verify", folder)
    assert code == 1
    assert "the events that wait for labels are not as many as they should be" in text


def test_forget_takes_a_customer_from_models_too(folder: Path) -> None:
    customer, other = waiting_customer(folder), "c0"
    assert customer != other
    of_other = hashes_of(folder, other)
    code, text = cem("forget", folder, "--customer", customer)
    assert code == 0, text
    assert "what models know of the customer (" in text
    assert "events that wait for labels (" in text
    assert hashes_of(folder, customer) == 0
    assert hashes_of(folder, other) == of_other
    assert not [trace for trace in traces_of(StateFolder.inspect(folder), customer) if trace.is_own]
    assert cem("verify", folder)[0] == 0
    assert cem("show", folder, "--customer", customer)[0] == 1
    assert "held nothing" in cem("forget", folder, "--customer", customer)[1]


HABITS = """\
      amount_is: unusual_amount(txn.amount)
      hour_is: unusual_hour(txn)
      pace_is: unusual_pace(txn)
      device_is: unusual_value(txn.device_id)
"""


def test_after_that_a_run_goes_on_as_if_it_had_been_somebody_else(tmp_path: Path) -> None:
    bench = Bench(tmp_path, MODELS.replace("      at: hour(ts)\n", f"      at: hour(ts)\n{HABITS}"))
    assert run_interrupted(bench, [events_of(6, 500)], BATCHES)
    assert "  unusual_hour(txn) = a habit\n" in cem("show", bench.folder / "state", "--customer", "c3")[1]
    state, events = bench.folder / "state", events_of(6, 500)
    customer = waiting_customer(state)
    case = Case([RULES], None, [[json.dumps(event).encode() for event in events]], {})
    elsewhere, *others = as_of_somebody_else(case, state, customer)
    assert forget(state, customer).is_complete
    assert verify(StateFolder.inspect(state)) == []
    assert not run_interrupted(bench, [events], 0)
    bench.run([[json.loads(line) for line in lines] for lines in elsewhere.partitions], "elsewhere")
    cut, want = bench.decisions("cut"), bench.decisions("elsewhere")
    assert [d for d in cut if d["customer_id"] != customer] == [
        d for d in want if d["customer_id"] not in (customer, *others)
    ]


def test_models_that_no_longer_run_do_not_hold_the_watermark_back(bench: Bench) -> None:
    events = events_of(6, 500)
    (bench.folder / "rules.yaml").write_text(RULES.replace('score("fraud")', "1"), encoding="utf-8")
    bench.rules = bench.load()
    assert not run_interrupted(bench, [events], 0)
    text = cem("inspect", bench.folder / "state")[1]
    assert re.search(r" fraud +no longer runs ", text)
    assert re.search(r"\n watermark +the end: everything was decided\n", text)
    assert cem("verify", bench.folder / "state")[0] == 0


def test_the_models_files_are_checked(folder: Path) -> None:
    (models,) = folder.glob("rules/*/models-*")
    models.write_text(MODELS.replace("version: 4", "version: 5"), encoding="utf-8")
    code, text = cem("verify", folder)
    assert code == 1
    assert "the rules of an earlier run are damaged" in text


def test_models_come_back_and_go_on_from_what_they_had_learned(tmp_path: Path) -> None:
    bench, events = Bench(tmp_path), [events_of(6, 500)]
    seen = []
    none = RULES.replace('score("odd")', "1").replace('score("fraud")', "1").replace("score('odd')", "1")
    for rules in (RULES, RULES.replace('score("fraud")', "1"), none, RULES):
        (tmp_path / "rules.yaml").write_text(rules, encoding="utf-8")
        bench.rules = bench.load()
        run_interrupted(bench, events, 0 if rules is RULES and seen else 3)
        assert cem("verify", tmp_path / "state")[1].endswith("files\n")
        of = {model.name: model for model in inspect(StateFolder.inspect(tmp_path / "state"))}
        seen.append((of["odd"].seen, of["fraud"].watermark_ms))
    assert [line.split(";")[0].strip() for line in bench.told if " model " in line] == [
        "- model fraud: no longer runs, as no rule reads it", "- model odd: no longer runs, as no rule reads it",
        "+ model odd: now runs", "+ model fraud: now runs",
    ]  # fmt: skip
    assert seen[0][0] < seen[1][0] == seen[2][0] <= seen[3][0]
    assert seen[0][1] == seen[1][1] == seen[2][1] < seen[3][1]
    assert cem("forget", tmp_path / "state", "--customer", "c3")[0] == 0


def inspect(folder: StateFolder) -> list[KeptModel]:
    """The models' shards as of their newest files."""
    shards = [kept_shard(reader, None) for reader in folder.shards() if reader.folder.name.startswith("score-")]
    return [kept_model(shard.sections[-1]) for shard in shards if shard is not None]
