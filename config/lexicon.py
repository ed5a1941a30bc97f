"""The word lists of the text annotator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words by meaning.

    ``neutral`` words hold an opinion word in them without its meaning; ``degrees`` maps a degree word to the factor
    by which it makes an opinion stronger.
    """

    topics: Mapping[str, tuple[str, ...]]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    neutral: tuple[str, ...]
    negations: tuple[str, ...]
    degrees: Mapping[str, float]


class LexiconError(ValueError):
    """A lexicon file that cannot be used; the message says what is wrong and where."""


def load_lexicon(path: Path | None = None) -> Lexicon:
    """Read a lexicon; without a path the one that is shipped (``config/lexicon.yaml``).

    Raises
    ------
    LexiconError
        The file cannot be read, or a list is missing or holds something else than words.
    """
    name = str(path or "lexicon.yaml")
    try:
        text = (path or files("config") / "lexicon.yaml").read_text(encoding="utf-8")
        data = YAML(typ="safe", pure=True).load(text)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise LexiconError(f"{name}: cannot read the lexicon: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("topics"), dict):
        raise LexiconError(f"{name}: 'topics' must map each topic to its words")
    degrees = data.get("degrees") or {}
    if not isinstance(degrees, dict) or not all(_is_factor(factor) for factor in degrees.values()):
        raise LexiconError(f"{name}: 'degrees' must map each word to a number above 0")
    return Lexicon(
        topics={str(topic): _words(name, topic, words) for topic, words in data["topics"].items()},
        positive=_words(name, "positive", data.get("positive")),
        negative=_words(name, "negative", data.get("negative")),
        neutral=_words(name, "neutral", data.get("neutral")),
        negations=_words(name, "negations", data.get("negations")),
        degrees={str(word): float(factor) for word, factor in degrees.items()},
    )


def _words(name: str, key: object, words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise LexiconError(f"{name}: {key!r} must be a list of words; put a word that looks like a number in quotes")
    return tuple(words)


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
