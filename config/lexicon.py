"""The banking dictionary of the text annotator: words by topic, opinion words and what changes their meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words by meaning.

    ``topics``: words by topic; the topic ``a/b`` stands for the topics ``a`` and ``b``. ``neutral`` words hold an
    opinion word in them without its meaning; ``weak`` ones count less; ``guarded`` ones are opinions only after a
    degree or a negation. ``degrees`` maps a degree word to the factor by which it makes an opinion stronger, ``after``
    those that follow the opinion. In a clause with a word of ``wishes`` praise is what is missing. ``links`` may stand
    between a negation and what it negates.
    """

    topics: Mapping[str, tuple[str, ...]]
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    neutral: tuple[str, ...]
    negations: tuple[str, ...]
    degrees: Mapping[str, float]
    after: Mapping[str, float]
    weak: tuple[str, ...]
    guarded: tuple[str, ...]
    wishes: tuple[str, ...]
    links: tuple[str, ...]

    def words(self) -> Iterator[str]:
        """Every word, some more than once."""
        for words in self.topics.values():
            yield from words
        for group in (self.positive, self.negative, self.neutral, self.negations, self.weak, self.wishes, self.links):
            yield from group
        yield from self.degrees
        yield from self.after


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
    lists = {key: _words(name, key, data.get(key)) for key in ("positive", "negative", "neutral", "negations")}
    lists |= {key: _words(name, key, data.get(key) or []) for key in ("weak", "guarded", "wishes", "links")}
    return Lexicon(
        topics={str(topic): _words(name, topic, words) for topic, words in data["topics"].items()},
        degrees=_factors(name, "degrees", data.get("degrees")),
        after=_factors(name, "after", data.get("after")),
        **lists,
    )


def _words(name: str, key: object, words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise LexiconError(f"{name}: {key!r} must be a list of words; put a word that looks like a number in quotes")
    return tuple(words)


def _factors(name: str, key: str, factors: Any) -> dict[str, float]:
    factors = factors or {}
    if not isinstance(factors, dict) or not all(_is_factor(factor) for factor in factors.values()):
        raise LexiconError(f"{name}: {key!r} must map each word to a number above 0")
    return {str(word): float(factor) for word, factor in factors.items()}


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
