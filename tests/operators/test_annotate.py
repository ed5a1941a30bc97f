"""Topics, keywords and sentiment of feedback."""

import random

import pytest

from config.lexicon import LexiconError, load_lexicon
from operators.annotate import Annotation, TextAnnotator

annotate = TextAnnotator(load_lexicon())


@pytest.mark.parametrize(
    ("text", "topics", "keywords"),
    [
        ("提前还款找不到入口", ("贷款",), ("提前还款",)),
        ("转账没到账，客服态度差", ("转账", "客服态度"), ("转账", "到账", "客服", "态度")),
        ("登录后闪退，又登录又闪退", ("登录", "应用体验"), ("登录", "闪退")),
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
    assert annotate("不，满意").sentiment == annotate("满意").sentiment
    assert annotate("满意，但是慢").sentiment == 0


def test_a_modifier_inside_an_opinion_word_belongs_to_that_word():
    assert annotate("不理满意").sentiment == 0


def test_neutral_words_hide_the_opinion_in_them():
    assert annotate("你好，最好问问").sentiment == 0


def test_no_text_is_null_and_text_without_opinion_is_zero():
    assert annotate(None) == Annotation(None, (), ())
    assert annotate("办理业务").sentiment == 0.0


def test_any_text_is_in_range_and_gives_the_same_twice():
    chance = random.Random(3)
    lexicon = load_lexicon()
    words = [*lexicon.positive, *lexicon.negative, *lexicon.negations, *lexicon.degrees, "，", "x", "\0", "😀"]
    again = TextAnnotator(lexicon)
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
