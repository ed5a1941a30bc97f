"""Opinion words in a text's words, turned by negations and scaled by degrees, clause by clause."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from config.lexicon import Lexicon

_WEAK, _NEGATION, _WISHED, _ASKED, _SUPPOSED_BAD = 0.4, -0.8, -0.3, 0.1, 0.5
_NEAR_WORDS = 4
"""How far before a word its negation or degree may stand, within the same clause."""
_CLAUSE_END = frozenset("，。！？；、,.!?;…~\n\r\t ：:")
_NO_OPINION = 0.0, 1.0
_PARTICLES = "了的啊"
_REMEMBERED = 8_192
_UTTERLY, _UTTER = frozenset("死极透"), 1.7
_ASKING = frozenset(("吗", "嘛", "么"))


class Opinions(NamedTuple):
    """What a text's opinion words sum up to; ``praise`` and ``blame`` at least 0; ``last``: the last word's weight.

    ``words``: of opinion; ``wishes``: of clauses in which something is wished for or asked.
    """

    praise: float
    blame: float
    last: float
    words: int
    wishes: int

    @property
    def mean(self) -> float:
        """The words' mean weight, 0 without any."""
        return (self.praise - self.blame) / self.words if self.words else 0.0


class OpinionScan:
    """Finds the opinions in the words of a text."""

    def __init__(self, lexicon: Lexicon) -> None:
        weak = {word.lower() for word in lexicon.weak}
        signs = [(word, 1.0) for word in lexicon.positive] + [(word, -1.0) for word in lexicon.negative]
        self.weight_of = {word.lower(): sign * (_WEAK if word.lower() in weak else 1.0) for word, sign in signs}
        self.neutral = frozenset(word.lower() for word in lexicon.neutral)
        self.negations = frozenset(word.lower() for word in lexicon.negations)
        self._degree_of = {word.lower(): factor for word, factor in lexicon.degrees.items()}
        self._after = {word.lower(): factor for word, factor in lexicon.after.items()}
        self._guarded = frozenset(word.lower() for word in lexicon.guarded)
        self._wishes = frozenset(word.lower() for word in lexicon.wishes)
        # a word that changes others: the factor, negative for a negation
        self._factor_of = dict(self._degree_of)
        for word in self.negations:
            self._factor_of[word] = _NEGATION * self._degree_of.get(word, 1.0)
        self._longest = max(map(len, self._factor_of), default=0)
        self._taken_apart = lru_cache(_REMEMBERED)(self._take_apart)

    def __call__(self, words: Sequence[str]) -> Opinions:
        """The opinions of a whole text."""
        praise = blame = last = 0.0
        count = wishes = 0
        for clause in _clauses(words):
            wished, asked = not self._wishes.isdisjoint(clause), not _ASKING.isdisjoint(clause)
            wishes += wished or asked
            for weight in self._weights(clause):
                if wished or asked:
                    weight *= _SUPPOSED_BAD if weight < 0 else _WISHED if wished else _ASKED
                praise, blame = praise + max(weight, 0.0), blame + max(-weight, 0.0)
                last, count = weight, count + 1
        return Opinions(praise, blame, last, count, wishes)

    def _weights(self, clause: Sequence[str]) -> list[float]:
        found: list[float] = []
        begin, before = 0, 1.0  # after the opinion before; its factor
        for place, word in enumerate(clause):
            if len(word) == 1 and word not in self.weight_of:
                continue
            weight, factor = self._weight(clause, place)
            if weight == 0.0:
                continue
            for modifier in reversed(clause[max(begin, place - _NEAR_WORDS) : place]):
                change = self._factor_of.get(modifier, 1.0)
                # not very good is less bad than not good; very much not good is worse
                factor = change / factor if change < 0.0 and factor > 1.0 else change * factor
            factor *= self._after_factor(clause, place)
            if word in self._guarded and factor == 1.0:
                continue
            # 不值得信赖: what turned the word just before turns this one as well
            if factor == 1.0 and before < 0.0 and begin == place and weight * found[-1] < 0.0:
                factor = before
            found.append(weight * factor)
            begin, before = place + 1, factor
        return found

    def _weight(self, clause: Sequence[str], place: int) -> tuple[float, float]:
        """The weight of the opinion in a word, 0 for none, and the factor of the modifier that it begins with."""
        word = clause[place]
        weight = self.weight_of.get(word)
        if weight is None:
            return self._taken_apart(word)
        # 好慢, 异常麻烦: a degree if an opinion follows
        if word in self._degree_of and place + 1 < len(clause) and clause[place + 1] in self.weight_of:
            return _NO_OPINION
        return weight, 1.0

    def _take_apart(self, word: str) -> tuple[float, float]:
        if word in self.neutral or word in self._factor_of:
            return _NO_OPINION
        for length in range(min(self._longest, len(word) - 1), 0, -1):
            factor = self._factor_of.get(word[:length])
            if factor is not None:
                weight = self.weight_of.get(word[length:]) or self.weight_of.get(word[length:].rstrip(_PARTICLES))
                if weight is not None:
                    return weight, factor
        if word[-1] in _UTTERLY and word[:-1] in self.weight_of:
            return self.weight_of[word[:-1]], _UTTER
        first, second = self.weight_of.get(word[:2], 0.0), self.weight_of.get(word[2:], 0.0)
        if first * second > 0.0:  # 方便快捷
            return first + second, 1.0
        weight = self.weight_of.get(word.rstrip(_PARTICLES))
        return _NO_OPINION if weight is None else (weight, 1.0)

    def _after_factor(self, clause: Sequence[str], place: int) -> float:
        if place + 1 < len(clause):
            factor = self._after.get(clause[place + 1])
            if factor is None and place + 2 < len(clause):
                factor = self._after.get(clause[place + 1] + clause[place + 2])
            if factor is not None:
                return factor
        return 1.0


def _clauses(words: Sequence[str]) -> list[list[str]]:
    clauses: list[list[str]] = [[]]
    for word in words:
        if word in _CLAUSE_END:
            if clauses[-1]:
                clauses.append([])
        else:
            clauses[-1].append(word)
    return clauses
