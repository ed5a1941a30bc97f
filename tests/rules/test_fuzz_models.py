"""Whatever is in a models file, loading it never raises, and every problem has a place in it."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_fuzz import QUICK, check_places, mutated
from wrong_files import MODEL_FILES

from flows.loading import load, load_model_files

SEEDS = [path.read_bytes() for path in MODEL_FILES] + [(files("config") / "models.yaml").read_bytes()]
VALUES = ["null", "[]", "{}", "-1", "0", "1e400", ".nan", ".inf", "'x'", "[1]", "{a: b}", "yes", "99999999999999999999",
          "2026-01-01", "txn", "label", "classifier", "1d", "0d", "9999999999d", "{trees: .nan}", "{trees: .inf}",
          "{a: 1}", "{a: a}", "{a: b, b: a}", "{a: 'txn.amount ** 9'}", "{1: 1}", "&a [*a]"]  # fmt: skip
KEYS = ["name", "version", "title", "kind", "mode", "scores", "labels", "features", "warm_up", "ranked_among", "keep",
        "skip_above", "parameters", "models", "timezone", "more"]  # fmt: skip


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    models, found = load_model_files([path])
    assert (models is None) == any(problem.is_error for problem in found)
    check_places(found)
    if models is not None and models.models:
        rules = path.with_name("reads.yaml")
        read = "".join(
            f"  - {{id: r{n}, trigger: txn, let: {{s: 'score(\"{model.name}\")'}}, then: [{{tag: {{}}}}]}}\n"
            for n, model in enumerate(models.models)
        )
        rules.write_text(f"version: 1\nrules:\n{read}", encoding="utf-8")
        assert load([rules], models=[path]).rules is not None


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "models.yaml"


@QUICK
@given(data=st.binary(max_size=200))
def test_random_bytes(file: Path, data: bytes) -> None:
    check(file, data)


@QUICK
@given(data=st.data())
def test_mutated_models_files(file: Path, data: st.DataObject) -> None:
    check(file, mutated(data, SEEDS))


@QUICK
@given(entries=st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=5))
def test_any_value_for_any_key(file: Path, entries: dict[str, str]) -> None:
    whole = {"name": "m", "kind": "surprise", "scores": "txn", "features": "{a: txn.amount}"} | entries
    body = "".join(f"    {key}: {value}\n" for key, value in whole.items())
    check(file, f"version: 1\nmodels:\n  -\n{body}".encode())
