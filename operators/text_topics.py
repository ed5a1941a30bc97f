"""Topics and keywords in a text's words, by the banking taxonomy."""

from __future__ import annotations

from collections.abc import Sequence

from config.lexicon import Lexicon

_NEAR_WORDS = 3
"""So many words may stand between a negation and the keyword that it negates, all of them links."""


class TopicScan:
    """Finds the words of topics. A keyword that is negated carries its negation: 不想提前还款 is not 提前还款.

    The topics stay what they are: who does not want to repay early talks of it all the same.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._topics_of: dict[str, tuple[str, ...]] = {}
        for path, words in lexicon.topics.items():
            topics = path.split("/")
            for word in map(str.lower, words):
                self._topics_of[word] = tuple(dict.fromkeys((*self._topics_of.get(word, ()), *topics)))
        self._negations = frozenset(word.lower() for word in lexicon.negations)
        self._links = frozenset(word.lower() for word in lexicon.links) | lexicon.degrees.keys()

    def __call__(self, words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Topics and keywords, each once, by first appearance."""
        topics: dict[str, None] = {}
        keywords: dict[str, None] = {}
        for place, word in enumerate(words):
            found = self._topics_of.get(word)
            if found is not None:
                topics.update(dict.fromkeys(found))
                keywords[self._negation(words, place) + word] = None
        return tuple(topics), tuple(keywords)

    def _negation(self, words: Sequence[str], place: int) -> str:
        """The negation that reaches a word, empty for none; two of them cancel."""
        found = ""
        for before in range(place - 1, max(place - 2 - _NEAR_WORDS, -1), -1):
            word = words[before]
            if word in self._negations:
                if found:
                    return ""
                found = word
            elif word not in self._links:
                break
        return found
