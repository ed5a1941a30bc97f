"""Training of the text classifier: in one pass as texts come, and in several over a labelled set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.lexicon import Lexicon, load_lexicon
from operators.annotate import SentimentModel
from operators.text_reading import TextReader
from operators.text_scores import TextScores, predicted
from state.text_kernels import (
    CLASSES,
    DENSE_VALUES,
    FEATURES_PER_CODE_POINT,
    balance,
    count_texts,
    descend,
    follow,
    gather,
    scores_of,
    set_dense,
    to_probabilities,
    weigh_all,
)
from state.text_model import TextModel

Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Training:
    """How to train.

    ``bits``: of the feature table; ``passes`` over the set, with a ``rate`` that falls; ``decay``: L2 per step and
    unit of rate; ``power``: of the ratios; ``balance``: of the classes' rarity; ``least``: texts that a feature must be
    in; ``stream_rate``, ``stream_balance``: of the single pass; ``seed``: of the order of texts and of inner folds.
    """

    bits: int = 20
    passes: int = 10
    rate: float = 3.0
    decay: float = 3e-5
    power: float = 0.7
    balance: float = 0.5
    least: float = 1.0
    stream_rate: float = 1.0
    stream_balance: float = 0.15
    inner_folds: int = 4
    seed: int = 1


class TextSet:
    """Texts as features: ``places[begins[i]:begins[i+1]]`` and ``dense[i]`` of text i, and its class."""

    def __init__(self, reader: TextReader, texts: Sequence[str], classes: Sequence[int], bits: int) -> None:
        found: list[Numbers] = []
        self.dense = np.zeros((len(texts), DENSE_VALUES))
        for row, text in enumerate(texts):
            read = reader(text)
            places = np.empty(FEATURES_PER_CODE_POINT * len(read.points), np.int64)
            found.append(places[: gather(read.points, read.lengths, bits, places)])
            set_dense(*read.opinions, self.dense[row])
        self.begins = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(places) for places in found], out=self.begins[1:])
        self.places = np.concatenate([*found, np.empty(0, np.int64)])
        self.classes = np.array(classes, np.int64)

    def __len__(self) -> int:
        return len(self.classes)


@dataclass(slots=True)
class Weights:
    """What is learned; see ``state.text_kernels``."""

    bits: int
    counts: Reals = field(init=False)
    class_counts: Reals = field(init=False)
    idf: Reals = field(init=False)
    ratio: Reals = field(init=False)
    weights: Reals = field(init=False)
    dense: Reals = field(init=False)
    bias: Reals = field(init=False)

    def __post_init__(self) -> None:
        size = 1 << self.bits
        self.counts, self.ratio, self.weights = (np.zeros((size, CLASSES)) for _ in range(3))
        self.idf = np.zeros(size)
        self.class_counts, self.bias = np.zeros(CLASSES), np.zeros(CLASSES)
        self.dense = np.zeros((DENSE_VALUES, CLASSES))

    def probabilities(self, texts: TextSet, rows: Numbers) -> Reals:
        """Of some texts, a row each."""
        found = np.empty((len(rows), CLASSES))
        for at, row in enumerate(rows.tolist()):
            scores_of(texts.places, texts.begins[row], texts.begins[row + 1], texts.dense[row], self.idf, self.ratio,
                      self.weights, self.dense, self.bias, 1.0, found[at])  # fmt: skip
            to_probabilities(found[at])
        return found

    def model(self, offsets: Reals, about: dict[str, Any]) -> TextModel:
        """The classifier, as it is kept."""
        places = np.flatnonzero(self.idf)
        folded = self.weights[places] * self.ratio[places] * self.idf[places, None]
        values = np.column_stack([self.idf[places], folded]).astype(np.float16)
        dense, bias, offsets = (np.round(array, 6) for array in (self.dense, self.bias, offsets))
        return TextModel(self.bits, places.astype(np.uint32), values, dense, bias, offsets, about)


def fit(texts: TextSet, rows: Numbers, how: Training) -> Weights:
    """Learn from some texts of a set, in several passes."""
    learned = Weights(how.bits)
    count_texts(texts.begins, texts.places, texts.classes, rows, learned.counts, learned.class_counts)
    weigh_all(learned.counts, learned.class_counts, how.power, how.least, learned.idf, learned.ratio)
    class_weight = np.empty(CLASSES)
    balance(learned.class_counts, how.balance, class_weight)
    order = np.random.default_rng(how.seed)
    for number in range(how.passes):
        rate, rate_end = (how.rate * (1 - done / how.passes) for done in (number, number + 1))
        descend(texts.begins, texts.places, texts.dense, texts.classes, order.permutation(rows), learned.idf,
                learned.ratio, class_weight, rate, rate_end, how.decay, learned.weights, learned.dense,
                learned.bias)  # fmt: skip
    return learned


def stream(texts: TextSet, how: Training) -> Reals:
    """The classifier's probabilities for each text, as it was after the texts before it (prequential)."""
    learned = Weights(how.bits)
    found = np.empty((len(texts), CLASSES))
    follow(
        texts.begins, texts.places, texts.dense, texts.classes, learned.counts, learned.class_counts, how.power,
        learned.idf, learned.ratio, how.stream_rate, how.stream_balance, learned.weights, learned.dense, learned.bias,
        found,
    )  # fmt: skip
    return found


def folds(classes: Numbers, count: int, seed: int) -> Numbers:
    """A fold for each text, every class spread evenly."""
    chance = np.random.default_rng(seed)
    found = np.empty(len(classes), np.int64)
    for of in range(CLASSES):
        rows = np.flatnonzero(classes == of)
        found[chance.permutation(rows)] = np.arange(len(rows)) % count
    return found


def offsets_for(probabilities: Reals, classes: Numbers) -> Reals:
    """What to add to the scores so that kappa and macro-F1 are best, by trying."""
    scores = np.log(probabilities + 1e-12)
    best, found = -np.inf, np.zeros(CLASSES)
    for negative in np.arange(-1.0, 3.01, 0.1):
        for positive in np.arange(-1.0, 3.01, 0.1):
            tried = np.array([negative, positive, 0.0])
            scored = TextScores.of(classes, predicted(scores + tried))
            if scored.kappa + scored.macro_f1 > best + 1e-12:
                best, found = scored.kappa + scored.macro_f1, tried
    return found


def train(texts: TextSet, rows: Numbers, how: Training) -> tuple[Weights, Reals]:
    """Weights from some texts, and the offsets, which are found by inner folds of the same texts."""
    inner = folds(texts.classes[rows], how.inner_folds, how.seed)
    held = np.empty((len(rows), CLASSES))
    for fold in range(how.inner_folds):
        learned = fit(texts, rows[inner != fold], how)
        held[inner == fold] = learned.probabilities(texts, rows[inner == fold])
    return fit(texts, rows, how), offsets_for(held, texts.classes[rows])


def cross_validate(texts: TextSet, count: int, how: Training) -> tuple[Numbers, Numbers]:
    """The class found for each text by a model that was trained on the other folds alone; and the folds."""
    fold_of = folds(texts.classes, count, how.seed)
    found = np.empty(len(texts), np.int64)
    for fold in range(count):
        learned, offsets = train(texts, np.flatnonzero(fold_of != fold), how)
        rows = np.flatnonzero(fold_of == fold)
        found[rows] = predicted(np.log(learned.probabilities(texts, rows) + 1e-12) + offsets)
    return found, fold_of


def train_tiny() -> None:
    """Have every kernel of training run once, for a warm-up."""
    how = Training(bits=8, passes=1, inner_folds=2)
    texts = TextSet(
        TextReader(load_lexicon()), ["好", "差", "卡", "好的", "差的", "卡的"], [1, 0, 2, 1, 0, 2], how.bits
    )
    stream(texts, how)
    train(texts, np.arange(len(texts)), how)


def classes_of(model: TextModel, lexicon: Lexicon, texts: Sequence[str]) -> Numbers:
    """The class that a model gives each text.

    Raises
    ------
    TextModelError
        The model was made for another version of the annotator.
    """
    reader, sentiment = TextReader(lexicon), SentimentModel(model)
    return np.array([int(np.argmax(sentiment.probabilities(reader(text)))) for text in texts], np.int64)
