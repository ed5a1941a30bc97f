"""Texts with their classes from files: labelled tables, and feedback events with scores."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import zstandard

from operators.annotate import NEGATIVE, NEUTRAL, POSITIVE

_BOUNDS = {"nps": (6, 9), "csat": (2, 4), "ces": (3, 5)}
"""By metric: a score up to the first is negative, from the second on positive."""


class TextFileError(ValueError):
    """A file that cannot be used; the message says which, where and why."""


def read_labelled(paths: Sequence[Path]) -> tuple[list[str], list[int]]:
    """Texts and classes of CSV files (also .gz, .zst) with the columns ``text`` and ``class``; others are passed over.

    Raises
    ------
    TextFileError
        A file cannot be read, or a class is not 0 (negative), 1 (positive) or 2 (neutral).
    """
    texts, classes = [], []
    for path in paths:
        with _opened(path) as file:
            rows = csv.DictReader(file)
            if not {"text", "class"} <= set(rows.fieldnames or ()):
                raise TextFileError(f"{path}:1: no columns `text` and `class`")
            for row in rows:
                if row["text"] is None or row["class"] not in ("0", "1", "2"):
                    said = "nothing" if row["class"] is None else repr(row["class"])
                    raise TextFileError(f"{path}:{rows.line_num}: the class must be 0, 1 or 2, not {said}")
                texts.append(row["text"])
                classes.append(int(row["class"]))
    return texts, classes


def read_scored(paths: Sequence[Path]) -> tuple[list[str], list[int]]:
    """Texts and classes of event files (NDJSON): of feedback with a text and a score, in the order of the files.

    Raises
    ------
    TextFileError
        A file cannot be read. A line that is no event is passed over, as are other events.
    """
    texts, classes = [], []
    for path in paths:
        with _opened(path) as file:
            for line in file:
                if '"text"' not in line:
                    continue
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                of = score_class(event) if isinstance(event, dict) else None
                if of is not None and isinstance(event.get("text"), str) and event["text"].strip():
                    texts.append(event["text"])
                    classes.append(of)
    return texts, classes


def score_class(event: dict[str, Any]) -> int | None:
    """What a customer's own score says: nps 0..6, csat 1..2, ces 1..3 negative, 9.., 4.., 5.. positive; else null.

    >>> score_class({"metric": "nps", "score": 8})
    2
    """
    score, bounds = event.get("score"), _BOUNDS.get(str(event.get("metric")))
    if bounds is None or isinstance(score, bool) or not isinstance(score, int | float):
        return None
    return NEGATIVE if score <= bounds[0] else POSITIVE if score >= bounds[1] else NEUTRAL


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    try:
        with _decompressed(path) as stream:
            yield io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zstandard.ZstdError) as error:
        raise TextFileError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _decompressed(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path)
    return zstandard.open(path) if path.suffix == ".zst" else path.open("rb")
