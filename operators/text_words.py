"""Words of a text: cleaned, and cut by jieba's algorithm with jieba's dictionary and the banking dictionary."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_PUNCTUATION = tuple(zip("，！？：；（）～", ",!?:;()~", strict=True))
_COMPATIBILITY = re.compile(
    "[\u00a0-\u00be\u0300-\u036f\u2000-\u200a\u2026\u2070-\u24ff\u3000\u3200-\u33ff\uf900-\ufdff\ufe30-\uffef]"
)

MAX_CODE_POINTS = 2_000
"""So much of a text is read; what follows changes nothing."""


def cleaned(text: str) -> str:
    """The text as it is read: at most ``MAX_CODE_POINTS`` before and after, full-width forms and letters' case folded.

    >>> cleaned("ＡＰＰ卡死了！")
    'app卡死了!'
    """
    text = text[:MAX_CODE_POINTS]
    if not text.isascii():
        for full_width, plain in _PUNCTUATION:
            text = text.replace(full_width, plain)
        # normalising takes longer than all of this, and few texts need it
        if _COMPATIBILITY.search(text):
            text = unicodedata.normalize("NFKC", text)[:MAX_CODE_POINTS]
    return text.lower()[:MAX_CODE_POINTS]


class Segmenter:
    """Cuts cleaned texts into words, without HMM: what is in no dictionary becomes single characters.

    ``words``: words to know besides those of jieba's dictionary; each is given the least frequency at which it
    is not cut.

    >>> Segmenter(["提前还款", "大额存单"])("想提前还款或买大额存单")
    ['想', '提前还款', '或', '买', '大额存单']
    """

    def __init__(self, words: Iterable[str]) -> None:
        import rjieba  # only here: that alone builds its dictionary, and most rules look at no words

        self._jieba = rjieba.Jieba()
        for word in dict.fromkeys(map(cleaned, words)):
            if len(word) > 1 and not (word.isascii() and word.isalnum()):
                self._jieba.add_word(word, None, None)

    def __call__(self, text: str) -> list[str]:
        """The words; joined they are the text."""
        # a lone surrogate is no text to the segmenter
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        return self._jieba.cut(text, False)
