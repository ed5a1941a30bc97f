"""Topics, keywords and sentiment of feedback."""

import random
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from config.lexicon import LexiconError, load_lexicon
from operators.annotate import Annotation, TextAnnotator, annotator_for, default_annotator, shipped_model
from operators.text_words import MAX_CODE_POINTS

annotate = default_annotator()
by_words = TextAnnotator(load_lexicon())
PAIRS = YAML(typ="safe", pure=True).load(Path(__file__).with_name("negation_pairs.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "topics", "keywords"),
    [
        ("提前还款找不到入口", ("贷款", "提前还款", "应用体验", "界面功能"), ("提前还款", "入口")),
        ("转账没到账，客服态度差", ("转账", "客服态度"), ("转账", "没到账", "客服", "态度")),
        ("登录后闪退，又登录又闪退", ("登录", "应用体验", "卡顿闪退"), ("登录", "闪退")),
        ("手续费太贵", ("费用",), ("手续费",)),
        ("理财到期了", ("理财",), ("理财", "到期")),
        ("网点排队很久", ("网点",), ("网点", "排队")),
        ("担心隐私泄露", ("安全与隐私",), ("隐私", "泄露")),
        ("ATM吞卡", ("网点",), ("atm",)),
        ("今天天气", (), ()),
        ("", (), ()),
    ],
)
def test_topics_and_keywords_by_first_appearance(text, topics, keywords):
    found = annotate(text)
    assert (found.topics, found.keywords) == (topics, keywords)


def test_the_longer_word_wins():
    assert annotate("提前还款").keywords == ("提前还款",)
    assert annotate("还款").keywords == ("还款",)


@pytest.mark.parametrize("text", ["很满意", "办事方便", "没有问题", "不麻烦", "谢谢", "还不错", "客服很好"])
def test_good(text):
    assert annotate(text).sentiment > 0


@pytest.mark.parametrize("text", ["不满意", "太差了", "闪退", "不是很方便", "等了好久", "不好用", "投诉你们"])
def test_bad(text):
    assert annotate(text).sentiment < 0


def test_degrees_scale_and_negations_reach_no_further_than_their_clause():
    assert annotate("非常满意").sentiment > annotate("满意").sentiment > annotate("有点满意").sentiment > 0
    assert by_words("不，满意").sentiment == by_words("满意").sentiment
    assert by_words("满意，但是慢").sentiment == 0
    assert by_words("不是很好").sentiment > by_words("不好").sentiment > by_words("非常不好").sentiment


@pytest.mark.parametrize(("good", "bad"), PAIRS["opposite"])
def test_a_negation_turns_the_sentiment(good, bad):
    assert annotate(good).sentiment > 0 > annotate(bad).sentiment


@pytest.mark.parametrize(("stronger", "weaker"), PAIRS["stronger"])
def test_a_degree_makes_the_sentiment_stronger(stronger, weaker):
    first, second = annotate(stronger).sentiment, annotate(weaker).sentiment
    assert abs(first) > abs(second)
    assert first * second > 0


@pytest.mark.parametrize(("meant", "negated", "keyword"), PAIRS["keyword"])
def test_a_negated_keyword_is_another_keyword_of_the_same_topic(meant, negated, keyword):
    assert keyword in annotate(meant).keywords
    assert keyword not in annotate(negated).keywords
    assert any(found.endswith(keyword) for found in annotate(negated).keywords)
    assert annotate(meant).topics == annotate(negated).topics


def test_there_are_fifty_pairs():
    assert sum(map(len, PAIRS.values())) == 50


def test_neutral_words_hide_the_opinion_in_them():
    assert by_words("你好，最好问问").sentiment == 0


def test_what_is_wished_for_or_asked_is_no_praise():
    assert by_words("希望转账方便").sentiment < 0
    assert abs(by_words("转账方便吗").sentiment) < 0.1


def test_an_opinion_word_that_is_something_else_too_needs_a_degree():
    assert by_words("我的卡在哪里").sentiment == 0
    assert by_words("软件太卡").sentiment < 0 < by_words("软件不卡").sentiment


def test_no_text_is_null_and_text_of_which_nothing_is_known_is_zero():
    assert annotate(None) == Annotation(None, (), ())
    for text in ("", " \n\t", "\0\0", "🐶🐱", "\u200b"):
        assert annotate(text) == Annotation(0.0, (), ()), text


def test_emoji_alone_have_a_sentiment():
    assert annotate("😡😡").sentiment < -0.3
    assert annotate("👍👍").sentiment > 0.3


def test_what_follows_the_first_code_points_is_not_read():
    text = "很满意。" * (MAX_CODE_POINTS // 4)
    assert len(text) == MAX_CODE_POINTS
    assert annotate(text + "提前还款太差" * 20_000) == annotate(text)
    # a code point that is many in the cleaned text is no way round it
    assert annotate("\ufdfa" * 100_000).topics == ()


@pytest.mark.parametrize(
    "text",
    ["太" * 100_000, "不" * 100_000, "提前还款" * 25_000, "\ud800\udfff坏", "\ud83d", "\0" * 100_000, "a" * 100_000,
     "😡" * 30_000, "，" * 100_000, "'; DROP TABLE x; --{}%s\\", "\u202e满意\u202c", "e\u0301" * 50_000],
)  # fmt: skip
def test_any_text_has_a_result(text):
    found = annotate(text)
    assert -1 <= found.sentiment <= 1
    assert all(isinstance(value, str) for value in found.topics + found.keywords)
    assert len(found.keywords) < 100


def test_full_width_letters_and_capitals_are_read_alike():
    assert annotate("ＡＰＰ闪退！") == annotate("app闪退!")


def test_any_text_is_in_range_and_gives_the_same_twice():
    chance = random.Random(3)
    lexicon = load_lexicon()
    words = [*lexicon.positive, *lexicon.negative, *lexicon.negations, *lexicon.degrees, "，", "x", "\0", "😀"]
    again = TextAnnotator(load_lexicon(), shipped_model())
    for _ in range(2000):
        text = "".join(chance.choices(words, k=chance.randrange(12)))
        found = annotate(text)
        assert -1 <= found.sentiment <= 1
        assert found == again(text)


@pytest.mark.parametrize(
    "content",
    [
        "[1]",
        "topics: [a]",
        "topics: {a: [1]}\npositive: []\nnegative: []\nneutral: []\nnegations: []",
        "topics: {}\nnegative: []\nneutral: []\nnegations: []",
        "topics: {}\npositive: []\nnegative: []\nneutral: []\nnegations: []\ndegrees: {很: true}",
        "topics: {",
    ],
)
def test_a_lexicon_that_is_wrong_is_refused_by_name(tmp_path, content):
    path = tmp_path / "my.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LexiconError, match=r"my\.yaml"):
        load_lexicon(path)


def test_an_own_lexicon(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("topics: {T: [a+]}\npositive: []\nnegative: []\nneutral: []\nnegations: []\n", encoding="utf-8")
    assert TextAnnotator(load_lexicon(path))("aaa a+ b") == Annotation(0.0, ("T",), ("a+",))


def test_nobody_who_reads_no_annotation_waits_for_the_dictionary():
    assert annotator_for({"feedback": ("score", "text"), "txn": ("topics",)}) is None
    assert annotator_for({"feedback": ("score", "topics")}) is default_annotator()
