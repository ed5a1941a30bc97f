"""Whatever is in a file, loading it never raises, and every problem has a place in it."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wrong_files import RULE_FILES

from rules.diagnostics import Diagnostic
from rules.load import load_rules
from rules.policy import load_policy

SEEDS = [path.read_bytes() for path in RULE_FILES]
PUNCTUATION = "[ ] { } : , & * ! | > - # % @ ` \" ' \\ ( ) = . 0x 1e99 ~ None"
WORDS = "count(txn) txn. [page] last= rises( streak( {x} {{ && == in not profile. 提 ＝ 😀"
RAW = [b"\n", b"\n\n  ", b"  ", b"\t", b"\x00", b"\xff", b"\r", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"---\n", b"...\n"]
PIECES = RAW + [piece.encode() for piece in f"{PUNCTUATION} {WORDS}".split()]
QUICK = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def check(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    rules, found = load_rules([path])
    assert (rules is None) == any(problem.is_error for problem in found)
    load_policy(path)
    check_places(found)


def check_places(found: Sequence[Diagnostic]) -> None:
    """Every problem has a place, and can be printed in one line."""
    for problem in found:
        assert problem.position.line >= 1
        assert problem.position.column >= 1
        assert "\n" not in str(problem)
        str(problem).encode("utf-8")


def mutated(data: st.DataObject, seeds: Sequence[bytes]) -> bytes:
    """One of some files with pieces of it replaced by others."""
    text = data.draw(st.sampled_from(seeds))
    for _ in range(data.draw(st.integers(1, 5))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 0, 1, 5]))
        text = text[:start] + data.draw(st.sampled_from(PIECES)) + text[start + length :]
    return text


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "rules.yaml"


@QUICK
@given(data=st.binary(max_size=200))
def test_random_bytes(file: Path, data: bytes) -> None:
    check(file, data)


@QUICK
@given(data=st.data())
def test_mutated_rule_files(file: Path, data: st.DataObject) -> None:
    check(file, mutated(data, SEEDS))


@QUICK
@given(text=st.lists(st.sampled_from([piece.decode("utf-8", "ignore") for piece in PIECES]), max_size=12).map(" ".join))
def test_mixed_expressions(file: Path, text: str) -> None:
    quoted = "'" + text.replace("'", "''").replace("\n", " ") + "'"
    rule = f"{{id: a, trigger: {quoted}, when: {quoted}, then: [{{tag: {{x: {quoted}}}}}]}}"
    check(file, f"version: 1\nrules:\n  - {rule}\n".encode())
