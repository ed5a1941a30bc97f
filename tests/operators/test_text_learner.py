"""Training the classifier of customers' words."""

import numpy as np
import pytest

from config.lexicon import load_lexicon
from flows.text_corpus import own_sentences
from operators.annotate import SentimentModel, TextAnnotator, default_annotator, shipped_model
from operators.text_learner import TextSet, Training, classes_of, cross_validate, fit, folds, offsets_for, stream, train
from operators.text_reading import TextReader
from operators.text_scores import TextScores
from state.text_model import TextModel, TextModelError

LEXICON = load_lexicon()
READER = TextReader(LEXICON)
HOW = Training(bits=14, passes=4)


def made_up(count, seed=1):
    """Texts that no lexicon knows: a syllable tells the class."""
    chance = np.random.default_rng(seed)
    classes = chance.choice(3, count, p=(0.2, 0.2, 0.6))
    signs = ("甲", "乙", "丙")
    noise = "子丑寅卯辰巳午未申酉戌亥"
    said = chance.random(count) < 0.95
    texts = ["".join(chance.choice(list(noise), 5)) + signs[of] * int(said[at]) for at, of in enumerate(classes)]
    return texts, classes.tolist()


@pytest.fixture(scope="module")
def texts():
    return TextSet(READER, *made_up(900), HOW.bits)


def test_it_learns_what_the_lexicon_does_not_know(texts):
    found, fold_of = cross_validate(texts, 3, HOW)
    assert TextScores.of(texts.classes, found).kappa > 0.8
    assert set(fold_of.tolist()) == {0, 1, 2}


def test_a_fold_is_judged_without_its_own_labels(texts):
    """Labels that are drawn by chance cannot be found out."""
    other = TextSet(READER, *made_up(900), HOW.bits)
    other.classes = np.random.default_rng(9).permutation(other.classes)
    assert abs(TextScores.of(other.classes, cross_validate(other, 3, HOW)[0]).kappa) < 0.15


def test_one_pass_judges_each_text_before_it_learns_from_it(texts):
    found = stream(texts, HOW)
    assert TextScores.of(texts.classes[300:], found[300:].argmax(1)).accuracy > 0.9
    # what comes later changes nothing before it
    other = TextSet(READER, *made_up(900), HOW.bits)
    other.classes[500:] = 0
    assert np.array_equal(stream(other, HOW)[:501], found[:501])
    assert not np.array_equal(stream(other, HOW)[501:], found[501:])


def test_the_same_seed_gives_the_same_model_and_another_one_another(texts):
    rows = np.arange(len(texts))
    first, again, other = (
        fit(texts, rows, how).model(np.zeros(3), {}).to_bytes()
        for how in (HOW, HOW, Training(bits=14, passes=4, seed=2))
    )
    assert first == again != other


def test_a_model_judges_as_it_did_before_it_was_written(texts):
    sentences, classes = made_up(200, seed=4)
    learned, offsets = train(texts, np.arange(len(texts)), HOW)
    model = TextModel.from_bytes(learned.model(offsets, {}).to_bytes(), "m")
    held = TextSet(READER, sentences, classes, HOW.bits)
    wanted = np.log(learned.probabilities(held, np.arange(200))) + offsets
    wanted = np.exp(wanted) / np.exp(wanted).sum(1, keepdims=True)
    sentiment = SentimentModel(model)
    found = np.array([sentiment.probabilities(READER(text)) for text in sentences])
    assert np.abs(found - wanted).max() < 0.02  # weights are kept as 16-bit floats
    assert TextScores.of(held.classes, classes_of(model, LEXICON, sentences)).kappa > 0.8


def test_a_model_of_other_dense_values_is_refused(texts):
    model = fit(texts, np.arange(50), HOW).model(np.zeros(3), {})
    fewer = TextModel(model.bits, model.places, model.values, model.dense_weights[1:], model.bias, model.offsets, {})
    with pytest.raises(TextModelError, match="train it again"):
        TextAnnotator(LEXICON, fewer)


def test_poison_moves_the_others_little(texts):
    """One long text with a wrong class among many: the classifier stays what it was."""
    sentences, classes = made_up(900)
    bad = TextSet(READER, [*sentences, "甲" * 1_000 + "子丑寅卯辰巳午未申酉戌亥" * 80], [*classes, 1], HOW.bits)
    held = TextSet(READER, *made_up(300, seed=5), HOW.bits)
    rows = np.arange(300)
    scores = [
        TextScores.of(held.classes, fit(some, np.arange(len(some)), HOW).probabilities(held, rows).argmax(1)).accuracy
        for some in (texts, bad)
    ]
    assert scores[1] > scores[0] - 0.02


def test_empty_and_repeated_texts_can_be_learned_from():
    odd = TextSet(READER, ["", " ", "好" * 5_000, "", "差", "x"] * 4, [2, 2, 1, 2, 0, 2] * 4, HOW.bits)
    learned, offsets = train(odd, np.arange(len(odd)), HOW)
    assert np.isfinite(learned.weights).all()
    assert np.isfinite(offsets).all()
    assert np.isfinite(stream(odd, HOW)).all()


def test_folds_spread_every_class():
    classes = np.array([0] * 10 + [1] * 5 + [2] * 85)
    found = folds(classes, 5, 1)
    for of, each in ((0, 2), (1, 1), (2, 17)):
        assert np.bincount(found[classes == of]).tolist() == [each] * 5


def test_offsets_bring_rare_classes_up():
    chance = np.random.default_rng(1)
    classes = np.array([0] * 20 + [1] * 20 + [2] * 160)
    probabilities = np.full((200, 3), 0.05)
    probabilities[:, 2] = 0.9
    probabilities[np.arange(200), classes] += chance.random(200) * 0.4
    probabilities /= probabilities.sum(1, keepdims=True)
    offsets = offsets_for(probabilities, classes)
    assert offsets[0] > 0 < offsets[1]
    after = TextScores.of(classes, (np.log(probabilities) + offsets).argmax(1))
    assert after.kappa > TextScores.of(classes, probabilities.argmax(1)).kappa + 0.2


def test_the_model_that_is_shipped_knows_its_own_sentences():
    sentences, classes = own_sentences(LEXICON)
    assert TextScores.of(np.array(classes), classes_of(shipped_model(), LEXICON, sentences)).kappa > 0.9
    assert default_annotator()("客服耐心解答，问题马上就解决了").sentiment > 0.3


def test_scores_by_hand():
    scores = TextScores.of(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 2, 1, 2, 2, 0]))
    assert scores.confusion.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 2]]
    assert scores.accuracy == pytest.approx(4 / 6)
    chance = (2 * 2 + 1 * 1 + 3 * 3) / 36
    assert scores.kappa == pytest.approx((4 / 6 - chance) / (1 - chance))
    assert scores.f1 == pytest.approx((0.5, 1.0, 2 / 3))
    assert scores.macro_f1 == pytest.approx((0.5 + 1 + 2 / 3) / 3)
    assert TextScores.of(np.array([], np.int64), np.array([], np.int64)).kappa == 0
