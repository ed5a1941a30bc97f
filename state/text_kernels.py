"""Kernels of the text classifier: n-grams of characters and words hashed to places of a table, scores, learning.

A text is its code points and the ends of its words; its features are the places of its n-grams, each once, sorted, and
a few dense values (what the opinion words say). The score of class c is

    bias[c] + sum over features f of idf[f] * ratio[f, c] * weight[f, c] / norm + sum over dense values

with ``idf = 1 + log((1 + n) / (1 + n[f]))`` over n texts seen, n[f] of them with f, ``norm = sqrt(sum of idf²)``, and
``ratio = |log(p / q)|^power``: how much likelier f is in class c than in the others, smoothed by one.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from state.compiled import compiled

Places = NDArray[np.int64]
Reals = NDArray[np.float64]

CLASSES = 3
CHARACTERS = 3
"""n-grams of so many characters at most."""
DENSE_VALUES, DENSE_SCALE = 8, 0.2
FEATURES_PER_CODE_POINT = CHARACTERS + 2
"""At most: a word is a code point at least and has a unigram and a bigram."""

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_CHARACTER_SEED, _WORD_SEED, _PAIR_SEED = np.uint64(0xCBF29CE484222325), np.uint64(0x84222325CBF29CE4), np.uint64(3)
_SHIFT, _WORD_BITS = np.uint64(29), np.uint64(64)


@compiled
def mixed(state: Any, value: Any) -> Any:
    """One step of the hash."""
    state = (state ^ np.uint64(value)) * _FACTOR
    return state ^ (state >> _SHIFT)


@compiled
def gather(points: Any, lengths: Any, bits: int, places: Any) -> int:
    """Write the places of a text's features to the front of ``places``; how many there are.

    ``points``: code points (uint32); ``lengths``: of its words; ``places`` must have room for
    ``FEATURES_PER_CODE_POINT`` for each code point.
    """
    count, size = 0, len(points)
    shift = _WORD_BITS - np.uint64(bits)
    for begin in range(size):
        state = _CHARACTER_SEED
        for at in range(begin, min(begin + CHARACTERS, size)):
            state = mixed(state, points[at])
            places[count] = np.int64(state >> shift)
            count += 1
    before = np.uint64(0)
    begin = 0
    for word in range(len(lengths)):
        state = _WORD_SEED
        for at in range(begin, begin + lengths[word]):
            state = mixed(state, points[at])
        pair = mixed(state, before * _PAIR_SEED)
        places[count] = np.int64(state >> shift)
        places[count + 1] = np.int64(pair >> shift)
        count += 2
        before = state
        begin += lengths[word]
    return _unique(places, count)


@compiled
def _unique(places: Any, count: int) -> int:
    places[:count].sort()
    kept = 0
    for at in range(count):
        if at == 0 or places[at] != places[at - 1]:
            # what is overwritten was looked at before: kept <= at
            places[kept] = places[at]
            kept += 1
    return kept


@compiled
def to_probabilities(scores: Any) -> None:
    """Softmax in place."""
    most = max(scores[0], scores[1], scores[2])
    for of in range(CLASSES):
        scores[of] = math.exp(scores[of] - most)
    total = scores[0] + scores[1] + scores[2]
    for of in range(CLASSES):
        scores[of] /= total


@compiled
def set_dense(praise: float, blame: float, last: float, words: int, wishes: int, dense: Any) -> None:
    """Set the dense values from what the opinion words sum up to: small numbers, beside n-grams of norm 1."""
    mean = (praise - blame) / words if words else 0.0
    dense[0], dense[1] = min(praise, 3.0) / 2.0, min(blame, 3.0) / 2.0
    dense[2], dense[3] = max(mean, 0.0), max(-mean, 0.0)
    dense[4], dense[5] = max(last, 0.0), max(-last, 0.0)
    dense[6], dense[7] = 1.0 if words == 0 else 0.0, min(wishes, 2) / 2.0
    for at in range(DENSE_VALUES):
        dense[at] *= DENSE_SCALE


@compiled
def classify(points: Any, lengths: Any, bits: int, work: Any, table: Any, head: Any, praise: float, blame: float,
             last: float, words: int, wishes: int) -> tuple[float, float, float]:  # fmt: skip
    """The probabilities of a text's classes; neutral for certain if neither an opinion nor its n-grams are known.

    ``table``: by place idf and the three weights times idf and ratio. Places that two n-grams share make a few unknown
    ones look known, so a quarter of them has to be. ``head``: by class the weights of the dense values, bias and
    offset; ``work``: room for the places.
    """
    count = gather(points, lengths, bits, work)
    norm, known = 0.0, 0
    sums = (0.0, 0.0, 0.0)
    for at in range(count):
        place = work[at]
        idf = np.float64(table[place, 0])
        if idf != 0.0:
            norm += idf * idf
            known += 1
            sums = (sums[0] + table[place, 1], sums[1] + table[place, 2], sums[2] + table[place, 3])
    if words == 0 and 4 * known < max(count, 1):
        return 0.0, 0.0, 1.0
    inverse = 1.0 / math.sqrt(norm) if norm > 0.0 else 0.0
    dense, scores = np.empty(DENSE_VALUES), np.empty(CLASSES)
    set_dense(praise, blame, last, words, wishes, dense)
    for of in range(CLASSES):
        scores[of] = sums[of] * inverse + head[DENSE_VALUES, of] + head[DENSE_VALUES + 1, of]
        for at in range(DENSE_VALUES):
            scores[of] += dense[at] * head[at, of]
    to_probabilities(scores)
    return scores[0], scores[1], scores[2]


@compiled
def count_texts(begins: Any, places: Any, classes: Any, rows: Any, counts: Any, class_counts: Any) -> None:
    """Count the features of some texts by class."""
    for at in range(len(rows)):
        row = rows[at]
        of = classes[row]
        class_counts[of] += 1.0
        for cell in range(begins[row], begins[row + 1]):
            counts[places[cell], of] += 1.0


@compiled
def weigh(place: int, counts: Any, class_counts: Any, power: float, least: float, idf: Any, ratio: Any) -> None:
    """Set a feature's idf and ratios from the counts; a feature of fewer than ``least`` texts counts for nothing."""
    total = class_counts[0] + class_counts[1] + class_counts[2]
    seen = counts[place, 0] + counts[place, 1] + counts[place, 2]
    if seen < least:
        idf[place] = 0.0
        return
    idf[place] = 1.0 + math.log((1.0 + total) / (1.0 + seen))
    for of in range(CLASSES):
        inside = (counts[place, of] + 1.0) / (class_counts[of] + 2.0)
        outside = (seen - counts[place, of] + 1.0) / (total - class_counts[of] + 2.0)
        ratio[place, of] = abs(math.log(inside / outside)) ** power


@compiled
def weigh_all(counts: Any, class_counts: Any, power: float, least: float, idf: Any, ratio: Any) -> None:
    """``weigh`` every feature that was seen."""
    for place in range(len(idf)):
        if counts[place, 0] + counts[place, 1] + counts[place, 2] > 0.0:
            weigh(place, counts, class_counts, power, least, idf, ratio)


@compiled
def scores_of(places: Any, begin: int, end: int, dense: Any, idf: Any, ratio: Any, weights: Any, dense_weights: Any,
              bias: Any, scale: float, out: Any) -> float:  # fmt: skip
    """Write the scores of a text's classes while weights are learned, and give 1/norm."""
    out[0] = out[1] = out[2] = 0.0
    norm = 0.0
    for cell in range(begin, end):
        place = places[cell]
        factor = idf[place]
        norm += factor * factor
        factor *= scale
        for of in range(CLASSES):
            out[of] += factor * ratio[place, of] * weights[place, of]
    inverse = 1.0 / math.sqrt(norm) if norm > 0.0 else 0.0
    for of in range(CLASSES):
        out[of] = out[of] * inverse + bias[of]
        for at in range(len(dense)):
            out[of] += dense[at] * dense_weights[at, of]
    return inverse


@compiled
def step(places: Any, begin: int, end: int, dense: Any, idf: Any, ratio: Any, weights: Any, dense_weights: Any,
         bias: Any, inverse: float, scale: float, errors: Any) -> None:  # fmt: skip
    """Go down the gradient: ``errors`` are probability minus truth by class, times the rate."""
    for of in range(CLASSES):
        bias[of] -= 0.1 * errors[of]
        for at in range(len(dense)):
            dense_weights[at, of] -= errors[of] * dense[at]
    for cell in range(begin, end):
        place = places[cell]
        factor = idf[place] * inverse / scale
        for of in range(CLASSES):
            weights[place, of] -= errors[of] * factor * ratio[place, of]


@compiled
def descend(begins: Any, places: Any, dense: Any, classes: Any, rows: Any, idf: Any, ratio: Any, class_weight: Any,
            rate: float, rate_end: float, decay: float, weights: Any, dense_weights: Any, bias: Any,
            ) -> None:  # fmt: skip
    """One pass over ``rows`` with a rate that falls from ``rate`` to ``rate_end``; ``decay`` shrinks the weights."""
    errors = np.empty(CLASSES)
    scale = 1.0
    for at in range(len(rows)):
        row = rows[at]
        now = rate + (rate_end - rate) * at / len(rows)
        inverse = scores_of(places, begins[row], begins[row + 1], dense[row], idf, ratio, weights, dense_weights,
                            bias, scale, errors)  # fmt: skip
        to_probabilities(errors)
        errors[classes[row]] -= 1.0
        for of in range(CLASSES):
            errors[of] *= now * class_weight[classes[row]]
        scale *= 1.0 - now * decay
        for value in range(dense_weights.shape[0]):
            for of in range(CLASSES):
                dense_weights[value, of] *= 1.0 - now * decay
        step(places, begins[row], begins[row + 1], dense[row], idf, ratio, weights, dense_weights, bias, inverse,
             scale, errors)  # fmt: skip
    for place in range(len(weights)):
        for of in range(CLASSES):
            weights[place, of] *= scale


@compiled
def follow(begins: Any, places: Any, dense: Any, classes: Any, counts: Any, class_counts: Any, power: float, idf: Any,
           ratio: Any, rate: float, rarity: float, weights: Any, dense_weights: Any, bias: Any, out: Any,
           ) -> None:  # fmt: skip
    """One pass in the order of the texts: each is classified (``out``, probabilities), then learned from."""
    errors = np.empty(CLASSES)
    weight = np.empty(CLASSES)
    for row in range(len(classes)):
        begin, end, of = begins[row], begins[row + 1], classes[row]
        for cell in range(begin, end):
            weigh(places[cell], counts, class_counts, power, 1.0, idf, ratio)
        scores_of(places, begin, end, dense[row], idf, ratio, weights, dense_weights, bias, 1.0, errors)
        to_probabilities(errors)
        out[row] = errors
        class_counts[of] += 1.0
        for cell in range(begin, end):
            counts[places[cell], of] += 1.0
            weigh(places[cell], counts, class_counts, power, 1.0, idf, ratio)
        inverse = scores_of(places, begin, end, dense[row], idf, ratio, weights, dense_weights, bias, 1.0, errors)
        to_probabilities(errors)
        errors[of] -= 1.0
        balance(class_counts, rarity, weight)
        for each in range(CLASSES):
            errors[each] *= rate * weight[of]
        step(places, begin, end, dense[row], idf, ratio, weights, dense_weights, bias, inverse, 1.0, errors)


@compiled
def balance(class_counts: Any, power: float, weight: Any) -> None:
    """Set the weights of the classes: rarer ones count more, by ``power`` of their rarity; the mean text counts 1."""
    total = class_counts[0] + class_counts[1] + class_counts[2]
    mean = 0.0
    for of in range(CLASSES):
        weight[of] = (total / max(class_counts[of], 1.0)) ** power
        mean += weight[of] * class_counts[of] / max(total, 1.0)
    for of in range(CLASSES):
        weight[of] /= mean
