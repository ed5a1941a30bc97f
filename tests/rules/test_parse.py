"""Expressions become the nodes that the contract describes."""

import pytest
from rule_files import codes, expr, load_text, rule

from rules.model import (
    Age,
    Aggregate,
    AnchorField,
    Arithmetic,
    Call,
    Compare,
    EvalTime,
    Field,
    HoldingField,
    Latest,
    LetRef,
    ListExpr,
    Literal,
    Logic,
    Novel,
    ProfileField,
    Rises,
    Score,
    Selector,
    Sequence,
    Streak,
    Unary,
    Window,
)

lit = Literal.of
AMOUNT = AnchorField("txn", "amount")
IN = Selector("txn", Compare(("==",), (Field("direction"), lit("in"))))
EVER = Window("ever")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", lit(1)),
        ("1.0", lit(1.0)),
        ("True", lit(True)),
        ("None", lit(None)),
        ("'a'", lit("a")),
        ('r"\\d"', lit("\\d")),
        ("-5", lit(-5)),
        ("-0.5", lit(-0.5)),
        ("-True", Unary("-", lit(True))),
        ("-txn.amount", Unary("-", AMOUNT)),
        ("[1, 'a', ts]", ListExpr((lit(1), lit("a"), EvalTime()))),
        ("ts", EvalTime()),
        ("txn.ts", AnchorField("txn", "ts")),
        ("profile.tier", ProfileField("tier")),
        ("not ts", Unary("not", EvalTime())),
        ("1 + 2 * 3", Arithmetic("+", lit(1), Arithmetic("*", lit(2), lit(3)))),
        ("(1 - 2) % 3 / 4", Arithmetic("/", Arithmetic("%", Arithmetic("-", lit(1), lit(2)), lit(3)), lit(4))),
        ("1 < ts <= 3", Compare(("<", "<="), (lit(1), EvalTime(), lit(3)))),
        ("'a' not in txn.kind", Compare(("not in",), (lit("a"), AnchorField("txn", "kind")))),
        ("ts and 1 or 2", Logic("or", (Logic("and", (EvalTime(), lit(1))), lit(2)))),
        ("ts and 1 and 2", Logic("and", (EvalTime(), lit(1), lit(2)))),
    ],
)
def test_operators_and_names(text: str, expected: object) -> None:
    assert expr(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(ts)", Call("abs", (EvalTime(),))),
        ("max(txn.amount, 100, 3)", Call("max", (AMOUNT, lit(100), lit(3)))),
        ("min(1, 2)", Call("min", (lit(1), lit(2)))),
        ("round(ts)", Call("round", (EvalTime(),))),
        ("round(ts, 2)", Call("round", (EvalTime(), lit(2)))),
        ("coalesce(txn.kind, 'x')", Call("coalesce", (AnchorField("txn", "kind"), lit("x")))),
        ("hour(ts)", Call("hour", (EvalTime(),), "Asia/Shanghai")),
        ("days_until(profile.birthday)", Call("days_until", (ProfileField("birthday"),), "Asia/Shanghai")),
        (
            "days_until(profile.birthday, yearly=True)",
            Call("days_until_yearly", (ProfileField("birthday"),), "Asia/Shanghai"),
        ),
        (
            "days_until(profile.birthday, yearly=False)",
            Call("days_until", (ProfileField("birthday"),), "Asia/Shanghai"),
        ),
        ("matches(txn.kind, '^a|b$')", Call("matches", (AnchorField("txn", "kind"), lit("^a|b$")))),
        ("seconds('24h')", lit(86400)),
        ("seconds('1500ms')", lit(1.5)),
        ("is_null(txn.kind)", Call("is_null", (AnchorField("txn", "kind"),))),
    ],
)
def test_scalar_functions(text: str, expected: object) -> None:
    assert expr(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count(txn)", Aggregate("count", Selector("txn"), None, EVER)),
        ("count(txn[direction == 'in'], last='7d')", Aggregate("count", IN, None, Window("last", 7 * 86_400_000))),
        ("sum(txn[direction == 'in'].amount, prior='1h')", Aggregate("sum", IN, "amount", Window("prior", 3_600_000))),
        (
            "mean(txn.amount, this='week')",
            Aggregate("mean", Selector("txn"), "amount", Window("this", period="week", timezone="Asia/Shanghai")),
        ),
        ("max(txn.amount)", Aggregate("max", Selector("txn"), "amount", EVER)),
        ("min(profile.aum)", Aggregate("min", Selector("profile"), "aum", EVER)),
        (
            "distinct(txn.customer_id, last='1d', per='terminal_id')",
            Aggregate("distinct", Selector("txn"), "customer_id", Window("last", 86_400_000), "terminal_id"),
        ),
        ("last(profile.aum)", Latest("last", Selector("profile"), "aum")),
        ("prev(txn[direction == 'in'].amount)", Latest("prev", IN, "amount")),
        ("age(click)", Age(Selector("click"))),
        ("novel(txn.city, prior='90d')", Novel(Selector("txn"), "city", 90 * 86_400_000)),
        ("seq(click, txn[direction == 'in'], last='1h')", Sequence((Selector("click"), IN), 3_600_000)),
        ("streak(click, by='day')", Streak(Selector("click"), None, "day", "Asia/Shanghai")),
        (
            "streak(sum(txn.amount) - 2 * count(txn) > -1, by='month')",
            Streak(
                None,
                Compare(
                    (">",),
                    (
                        Arithmetic(
                            "-",
                            Aggregate("sum", Selector("txn"), "amount", EVER),
                            Arithmetic("*", lit(2), Aggregate("count", Selector("txn"), None, EVER)),
                        ),
                        lit(-1),
                    ),
                ),
                "month",
                "Asia/Shanghai",
            ),
        ),
        ("score('fraud')", Score("fraud")),
    ],
)
def test_aggregates(text: str, expected: object) -> None:
    assert expr(text) == expected


def test_literals_of_different_types_differ() -> None:
    assert len({expr("1"), expr("1.0"), expr("True")}) == 3


def test_inside_brackets_names_are_fields() -> None:
    got = expr("count(label[label and ts > 5 and hour(ts) == 3 and 'x' in source])")
    assert isinstance(got, Aggregate)
    assert got.selector == Selector(
        "label",
        Logic(
            "and",
            (
                Field("label"),
                Compare((">",), (Field("ts"), lit(5))),
                Compare(("==",), (Call("hour", (Field("ts"),), "Asia/Shanghai"), lit(3))),
                Compare(("in",), (lit("x"), Field("source"))),
            ),
        ),
    )


def test_a_let_with_a_standard_fields_name_does_not_touch_selectors() -> None:
    got = rule("let: {amount: txn.amount, n: 'count(txn[amount > 3])'}").lets[1][1]
    assert isinstance(got, Aggregate)
    assert got.selector.predicate == Compare((">",), (Field("amount"), lit(3)))


def test_lets_refer_to_earlier_ones() -> None:
    got = rule("let: {a: ts, b: a + 1}\nwhen: b > a")
    assert got.lets == (("a", EvalTime()), ("b", Arithmetic("+", LetRef("a"), lit(1))))
    assert got.when == Compare((">",), (LetRef("b"), LetRef("a")))


def test_chinese_and_compatibility_names() -> None:
    got = rule("let: {次数: count(txn), ｎ: 次数 + 1}\nwhen: ｎ > 次数")
    assert got.when == Compare((">",), (LetRef("ｎ"), LetRef("次数")))


def test_rises_slots_go_by_the_text_and_inner_first() -> None:
    got = rule("let: {a: rises(rises(ts > 1)), b: rises(ts > 2)}\nwhen: rises(a) or rises(b)")
    slots = [got.lets[0][1].slot, got.lets[0][1].condition.slot, got.lets[1][1].slot]  # type: ignore[attr-defined]
    assert slots == [1, 0, 2]
    assert isinstance(got.when, Logic)
    assert got.when.operands == (Rises(LetRef("a"), 3), Rises(LetRef("b"), 4))


def test_holding_in_a_rule_for_each_holding() -> None:
    got = rule('trigger: {daily: "09:30"}\neach: holdings\nwhen: days_until(holding.matures_on) == 7')
    assert got.each_holding
    assert (got.daily.hour, got.daily.minute) == (9, 30)  # type: ignore[union-attr]
    assert got.when == Compare(("==",), (Call("days_until", (HoldingField("matures_on"),), "Asia/Shanghai"), lit(7)))


def test_the_files_timezone_goes_into_the_nodes() -> None:
    head = "version: 1\ntimezone: Europe/Zurich\n"
    got = rule("let: {a: hour(ts), b: 'count(txn, this=\"day\")', c: 'streak(txn, by=\"day\")'}", head)
    assert got.timezone == "Europe/Zurich"
    a, b, c = (value for _, value in got.lets)
    assert (a.timezone, b.window.timezone, c.timezone) == ("Europe/Zurich",) * 3  # type: ignore[attr-defined]


def test_expressions_over_several_lines() -> None:
    folded = rule("when: >-\n  ts > 1\n  and ts < 9\n")
    literal = rule("when: |\n  ts > 1\n\n    and ts < 9\n")
    assert folded.when == literal.when == expr("ts > 1 and ts < 9")


def test_all_problems_of_one_expression() -> None:
    text = (
        "version: 1\nrules:\n  - {id: a, trigger: click, when: 'aa > 1 and bb(1) and ts == None', then: [{tag: {}}]}\n"
    )
    rules, found = load_text(text)
    assert rules is None
    assert codes(found) == ["E203", "E204", "E206"]
    assert [problem.position.column for problem in found] == [36, 47, 63]
