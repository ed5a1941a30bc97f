"""What a customer's words are about and how they sound: topics, keywords and sentiment of Chinese feedback.

Words come from the segmenter, topics and keywords from the banking dictionary, the sentiment from a classifier that
was trained before and does not change while it annotates: an annotation is a function of the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from config.lexicon import Lexicon, load_lexicon
from operators.event_schema import ANNOTATED
from operators.text_reading import ReadText, TextReader
from operators.text_topics import TopicScan
from state.text_kernels import DENSE_VALUES, FEATURES_PER_CODE_POINT, classify
from state.text_model import TextModel, TextModelError, load_text_model

NEGATIVE, POSITIVE, NEUTRAL = 0, 1, 2
"""The classes, as labelled files number them."""

SHIPPED_MODEL = "text.model"

_REMEMBERED, _REMEMBERED_CODE_POINTS = 4_096, 500
"""So many texts are remembered with their annotations, and up to what length each."""


class Annotation(NamedTuple):
    """``sentiment`` from −1 (bad) to 1 (good), null without text; ``topics`` and ``keywords`` by first appearance."""

    sentiment: float | None
    topics: tuple[str, ...]
    keywords: tuple[str, ...]


class SentimentModel:
    """A trained classifier at work."""

    def __init__(self, model: TextModel) -> None:
        if model.dense_weights.shape[0] != DENSE_VALUES:
            raise TextModelError("the text model was made for another version of the annotator; train it again")
        self._bits, self._table = model.bits, model.table()
        self._head = np.vstack([model.dense_weights, model.bias, model.offsets])
        self._work = np.empty(1_000, np.int64)

    def probabilities(self, text: ReadText) -> tuple[float, float, float]:
        """Of negative, positive and neutral, as adjusted for the decision between them.

        A text of which nothing is known is neutral.
        """
        room = FEATURES_PER_CODE_POINT * len(text.points)
        if room > len(self._work):
            self._work = np.empty(2 * room, np.int64)
        return classify(
            text.points, text.lengths, self._bits, self._work, self._table, self._head, *text.opinions
        )  # fmt: skip


class TextAnnotator:
    """Annotates one text at a time; call it. Without a model the sentiment is what the opinion words say.

    >>> annotate = TextAnnotator(load_lexicon())
    >>> annotate("提前还款太麻烦了").topics
    ('贷款', '提前还款')
    >>> annotate("不满意").sentiment < 0 < annotate("非常满意").sentiment
    True
    >>> annotate("不想提前还款").keywords
    ('不想提前还款',)
    >>> annotate(None)
    Annotation(sentiment=None, topics=(), keywords=())
    """

    def __init__(self, lexicon: Lexicon, model: TextModel | None = None) -> None:
        self._read = TextReader(lexicon)
        self._topics = TopicScan(lexicon)
        self._model = None if model is None else SentimentModel(model)
        # What the source has annotated is annotated again where a rule fires, not much later.
        self._remembered = lru_cache(_REMEMBERED)(self._annotate)

    def __call__(self, text: str | None) -> Annotation:
        """Annotate ``text``; of a blank one the sentiment is 0."""
        if text is None:
            return Annotation(None, (), ())
        return self._remembered(text) if len(text) <= _REMEMBERED_CODE_POINTS else self._annotate(text)

    def _annotate(self, text: str) -> Annotation:
        read = self._read(text)
        topics, keywords = self._topics(read.words)
        return Annotation(self._sentiment(read), topics, keywords)

    def _sentiment(self, read: ReadText) -> float:
        if not any(map(str.strip, read.words)):
            return 0.0
        if self._model is None:
            # 0.6 for a plain word leaves room for "very"
            value = 0.6 * read.opinions.mean
        else:
            negative, positive, _ = self._model.probabilities(read)
            value = positive - negative
        # rounding hides the last bits, which are the processor's own
        return round(max(-1.0, min(1.0, value)), 6) + 0.0


def shipped_model() -> TextModel:
    """The model that is shipped, trained by ``cem text train`` on the project's own sentences."""
    with as_file(files("config") / SHIPPED_MODEL) as path:
        return load_text_model(path)


def default_annotator(model: Path | None = None) -> TextAnnotator:
    """The annotator with the lexicon that is shipped, and the model of a file or the one that is shipped.

    Raises
    ------
    TextModelError
        The file is no model that can be used.
    """
    return _shipped_annotator() if model is None else TextAnnotator(load_lexicon(), load_text_model(model))


@lru_cache(maxsize=1)
def _shipped_annotator() -> TextAnnotator:
    """One for the process: reading jieba's dictionary takes longer than many a replay."""
    return TextAnnotator(load_lexicon(), shipped_model())


def annotator_for(fields: Mapping[str, Sequence[str]], model: Path | None = None) -> TextAnnotator | None:
    """The annotator, as ``default_annotator`` gives it, for the fields that rules read by stream; null if they read no
    annotations.
    """
    read = any(name in ANNOTATED for name in fields.get("feedback", ()))
    return default_annotator(model) if read or model is not None else None
