"""The project's own sentences, which the classifier that is shipped is trained on: written, and put together."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
from ruamel.yaml import YAML

from config.lexicon import Lexicon
from flows.simulate.texts import NEGATIVE as BAD
from flows.simulate.texts import NEUTRAL as SO_SO
from flows.simulate.texts import POSITIVE as GOOD
from flows.simulate.texts import TOPICS, text_of
from operators.annotate import NEGATIVE, NEUTRAL, POSITIVE

_DEGREES = ("", "", "", "很", "太", "非常", "特别", "真", "有点", "比较", "实在是", "越来越", "挺", "更", "十分")
_NEGATIONS = ("不", "不太", "一点也不", "一点都不", "并不", "不是很", "没有", "不够", "从来不", "完全不",
              "根本不", "谈不上", "不怎么")  # fmt: skip
_ENDINGS = ("", "", "", "了", "啊", "。", "！", "，谢谢", "吧")
_ASKED = ("请问{}怎么办理", "{}在哪里查", "想了解一下{}", "{}需要什么材料", "不想{}", "没有{}", "我要{}", "{}是多少",
          "昨天办了{}", "{}什么时候可以", "可以{}吗", "{}", "打算{}", "听说过{}", "先{}再说",
          "{}的事情我问一下")  # fmt: skip
_SUBJECTS = ("", "", "你们", "这个", "我觉得", "这家银行的", "现在的")


def own_sentences(lexicon: Lexicon, seed: int = 1) -> tuple[list[str], list[int]]:
    """Texts and their classes; the same lexicon and seed give the same."""
    chance = np.random.default_rng(seed)
    pairs = [*_written(), *_simulated(chance), *_opinions(lexicon, chance), *_neutral(lexicon, chance)]
    order = chance.permutation(len(pairs)).tolist()
    return [pairs[at][0] for at in order], [pairs[at][1] for at in order]


def _written() -> Iterator[tuple[str, int]]:
    text = (files("config") / "text_phrases.yaml").read_text(encoding="utf-8")
    phrases = YAML(typ="safe", pure=True).load(text)
    for name, of in (("negative", NEGATIVE), ("positive", POSITIVE), ("neutral", NEUTRAL)):
        for phrase in phrases[name]:
            yield phrase, of


def _simulated(chance: np.random.Generator) -> Iterator[tuple[str, int]]:
    for topic in TOPICS:
        for mood, of in ((BAD, NEGATIVE), (GOOD, POSITIVE), (SO_SO, NEUTRAL)):
            for _ in range(20):
                yield text_of(chance, topic, mood), of


def _opinions(lexicon: Lexicon, chance: np.random.Generator) -> Iterator[tuple[str, int]]:
    """Every opinion word with topics, degrees and negations around it: only the opinion tells the class."""
    nouns = [word for words in lexicon.topics.values() for word in words]
    weak = {*lexicon.weak, *lexicon.guarded}

    def pick(words: tuple[str, ...] | list[str]) -> str:
        return words[int(chance.integers(len(words)))]

    for words, of, opposite in ((lexicon.positive, POSITIVE, NEGATIVE), (lexicon.negative, NEGATIVE, POSITIVE)):
        for word in words:
            if word in weak:
                continue
            for _ in range(4):
                yield f"{pick(_SUBJECTS)}{pick(nouns)}{pick(_DEGREES)}{word}{pick(_ENDINGS)}", of
            if not word.startswith(("不", "没", "无")):
                for _ in range(2):
                    yield f"{pick(_SUBJECTS)}{pick(nouns)}{pick(_NEGATIONS)}{word}{pick(_ENDINGS)}", opposite


def _neutral(lexicon: Lexicon, chance: np.random.Generator) -> Iterator[tuple[str, int]]:
    opinions = {*lexicon.positive, *lexicon.negative}
    for words in lexicon.topics.values():
        for word in words:
            if word not in opinions:
                for _ in range(4):
                    yield _ASKED[int(chance.integers(len(_ASKED)))].format(word), NEUTRAL
