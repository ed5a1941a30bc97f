"""A text as the annotator and the classifier read it: words, code points, opinions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.lexicon import Lexicon
from operators.text_opinions import Opinions, OpinionScan
from operators.text_words import Segmenter, cleaned


class ReadText(NamedTuple):
    """``words``: all of the cleaned text, cut; ``points``: its code points; ``lengths``: of the words in them."""

    words: list[str]
    points: NDArray[np.uint32]
    lengths: NDArray[np.int64]
    opinions: Opinions


class TextReader:
    """Reads one text at a time; call it."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._cut = Segmenter(lexicon.words())
        self.scan = OpinionScan(lexicon)

    def __call__(self, text: str) -> ReadText:
        """Clean the text, cut it and look for opinions."""
        words = self._cut(cleaned(text))
        points = np.frombuffer("".join(words).encode("utf-32-le"), np.uint32)
        lengths = np.fromiter(map(len, words), np.int64, len(words))
        return ReadText(words, points, lengths, self.scan(words))
