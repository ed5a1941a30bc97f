"""What a customer's words are about and how they sound: a first, deterministic annotator for Chinese feedback.

It looks for the words of a lexicon; longer words win over shorter ones inside them. A later version will learn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from config.lexicon import Lexicon, load_lexicon

_NEAR_CODE_POINTS = 4
"""How far before a word its negation or degree may stand, within the same clause."""

_REMEMBERED, _REMEMBERED_CODE_POINTS = 4_096, 500
"""So many texts are remembered with their annotations, and up to what length each."""

_CLAUSE_END = re.compile(r"[，。！？；、,.!?;…\s]")


class Annotation(NamedTuple):
    """``sentiment`` from −1 (bad) to 1 (good), null without text; ``topics`` and ``keywords`` by first appearance."""

    sentiment: float | None
    topics: tuple[str, ...]
    keywords: tuple[str, ...]


class TextAnnotator:
    """Annotates one text at a time; call it.

    >>> annotate = TextAnnotator(load_lexicon())
    >>> annotate("提前还款太麻烦了").topics
    ('贷款',)
    >>> annotate("不满意").sentiment < 0 < annotate("非常满意").sentiment
    True
    >>> annotate(None)
    Annotation(sentiment=None, topics=(), keywords=())
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._topic_of = {word.lower(): topic for topic, words in lexicon.topics.items() for word in words}
        self._weight_of = {word.lower(): 1.0 for word in lexicon.positive}
        self._weight_of |= {word.lower(): -1.0 for word in lexicon.negative}
        self._degree_of = {word.lower(): factor for word, factor in lexicon.degrees.items()}
        self._negations = {word.lower() for word in lexicon.negations}
        # Opinions are a pass of their own: "转账失败" is a word of a topic and holds an opinion too.
        self._topic_words = _any_of(self._topic_of)
        self._opinion_words = _any_of([*self._weight_of, *(word.lower() for word in lexicon.neutral)])
        self._modifiers = _any_of([*self._degree_of, *self._negations])
        # What the source has annotated is annotated again where a rule fires, not much later.
        self._remembered = lru_cache(_REMEMBERED)(self._annotate)

    def __call__(self, text: str | None) -> Annotation:
        """Annotate ``text``; without a word of the lexicon the sentiment is 0."""
        if text is None:
            return Annotation(None, (), ())
        return self._remembered(text) if len(text) <= _REMEMBERED_CODE_POINTS else self._annotate(text)

    def _annotate(self, text: str) -> Annotation:
        lowered = text.lower()
        keywords = dict.fromkeys(match[0] for match in self._topic_words.finditer(lowered))
        topics = dict.fromkeys(self._topic_of[word] for word in keywords)
        return Annotation(self._sentiment(lowered), tuple(topics), tuple(keywords))

    def _sentiment(self, text: str) -> float:
        """The mean weight of the opinion words, each turned and scaled by the words just before it."""
        weights = []
        previous_end = 0
        for match in self._opinion_words.finditer(text):
            if match[0] not in self._weight_of:
                continue
            start = max(previous_end, match.start() - _NEAR_CODE_POINTS)
            clause = _CLAUSE_END.split(text[start : match.start()])[-1]
            weight = self._weight_of[match[0]]
            for modifier in self._modifiers.findall(clause):
                # "Not good" is bad, but less so than "bad".
                weight *= -0.8 if modifier in self._negations else self._degree_of[modifier]
            weights.append(weight)
            previous_end = match.end()
        if not weights:
            return 0.0
        # 0.6 for a plain word leaves room for "very"; rounding hides the last bits of the sum.
        return round(max(-1.0, min(1.0, 0.6 * sum(weights) / len(weights))), 6)


def default_annotator() -> TextAnnotator:
    """The annotator with the lexicon that is shipped."""
    return TextAnnotator(load_lexicon())


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    ordered = sorted(words, key=lambda word: (-len(word), word))
    return re.compile("|".join(map(re.escape, ordered)) or r"(?!)")
