"""Cutting texts into words."""

import random

import pytest

from config.lexicon import load_lexicon
from operators.text_words import MAX_CODE_POINTS, Segmenter, cleaned

LEXICON = load_lexicon()
cut = Segmenter(LEXICON.words())


@pytest.mark.parametrize("words", LEXICON.topics.values(), ids=LEXICON.topics)
def test_every_word_of_the_banking_dictionary_is_one_word(words):
    for word in words:
        assert cut(cleaned(word)) == [cleaned(word)]


@pytest.mark.parametrize("word", ["提前还款", "大额存单", "人脸识别", "卡顿", "转人工", "登不上"])
def test_a_banking_word_is_cut_out_of_a_sentence(word):
    assert word in cut(f"我昨天{word}的时候发现")


def test_words_make_up_the_text():
    chance = random.Random(5)
    letters = ["提前还款", "的", "A", "９", "。", "\n", " ", "😀", "é", "\0", "很", "好"]
    for _ in range(500):
        text = cleaned("".join(chance.choices(letters, k=chance.randrange(40))))
        assert "".join(cut(text)) == text


def test_without_the_dictionary_of_ours_it_is_two_words():
    assert Segmenter([])("提前还款") == ["提前", "还款"]


@pytest.mark.parametrize(
    ("text", "clean"),
    [("ＡＴＭ", "atm"), ("坏，好！", "坏,好!"), ("㈱①", "(株)1"), ("İ" * MAX_CODE_POINTS, "i̇" * (MAX_CODE_POINTS // 2)),
     ("", "")],
    ids=["full-width", "punctuation", "compatibility", "grows", "empty"],
)  # fmt: skip
def test_cleaning(text, clean):
    assert cleaned(text) == clean
