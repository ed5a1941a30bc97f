"""What happens in the benchmark's population: visits as scripts of events, from JSON fragments made once.

A visit follows one script: its steps are taken in order, each drawn from a few forms. The names (journeys, pages,
queries, …) are shared with the generator of rules, so that rules made for a product find events about it.
"""

from __future__ import annotations

from dataclasses import dataclass

from flows.simulate.vocabulary import ERROR_CODES, QUERIES, page_fragment, step_fragment

(
    CLICK, POS, ONLINE, TRANSFER_OUT, TRANSFER_IN, SALARY, WITHDRAWAL, DEPOSIT, REPAYMENT, FEE, INVESTMENT,
    FEEDBACK, TICKET, LABEL, PROFILE,
) = range(15)  # fmt: skip
"""Kinds of lines: each is formatted in its own way."""

TXN_KINDS = {
    POS: "purchase", ONLINE: "purchase", TRANSFER_OUT: "transfer", TRANSFER_IN: "transfer", SALARY: "salary",
    WITHDRAWAL: "withdrawal", DEPOSIT: "deposit", REPAYMENT: "repayment", FEE: "fee", INVESTMENT: "investment",
}  # fmt: skip
INFLOWS = (TRANSFER_IN, SALARY, DEPOSIT)

JOURNEYS: dict[str, tuple[str, ...]] = {
    "transfer": ("payee", "amount", "confirm", "verify"),
    "loan_apply": ("intro", "identity", "income", "face", "submit"),
    "wealth_buy": ("detail", "risk_test", "amount", "confirm"),
    "card_apply": ("intro", "identity", "contact", "face"),
    "deposit_open": ("product", "amount", "confirm"),
    "insurance_buy": ("detail", "health", "beneficiary", "confirm"),
    "prepay": ("loan", "trial", "amount", "confirm"),
    "limit_change": ("card", "limit", "face"),
    "phone_change": ("identity", "face", "sms"),
    "card_activate": ("card", "password", "confirm"),
    "fund_redeem": ("holding", "amount", "confirm"),
    "fx_exchange": ("currency", "amount", "purpose", "confirm"),
    "bill_pay": ("biller", "amount", "confirm"),
    "pension_open": ("intro", "identity", "confirm"),
}
"""Journeys with their steps before the last one, ``done``."""

PRODUCT_LINES = ("fund", "deposit", "insurance", "gold", "bond", "pension", "fx", "trust")
PRODUCT_PAGES = tuple(f"wealth/{line}/{number:02d}" for line in PRODUCT_LINES for number in range(8))
LOAN_LINES = ("mortgage", "car", "education", "renovation", "business", "credit")
LOAN_PAGES = tuple(f"loan/{line}/{page}" for line in LOAN_LINES for page in ("rate", "calculator", "guide", "faq"))
HOME_PAGES = ("home", "account/list", "account/detail", "card/bill", "message", "activity/points", "me")
PREPAY_QUERIES = ("提前还款", "房贷提前还款", "提前还款怎么操作", "提前还款违约金", "如何申请提前还款", "提前还款预约")
ALL_QUERIES = QUERIES
ERRORS = (*ERROR_CODES, "E4101", "E4290", "FACE_MISMATCH", "SMS_TIMEOUT", "LIMIT_EXCEEDED")
MCCS = ("5411", "5812", "5814", "4121", "4111", "5912", "5311", "5541", "7832", "5999", "8062", "4814", "5651", "7011")
TOUCHPOINTS = ("app", "call", "branch", "wechat", "loan", "card")
TOPICS = ("登录", "转账", "费用", "还款", "理财", "排队", "客服", "卡顿", "利率", "贷款")
_MOANS = ("{}太慢了，等了很久", "{}总是失败，很失望", "{}有问题，要投诉", "{}太复杂，不满意", "{}不合理，气愤")
_PRAISE = ("{}很方便，满意", "{}很快，点赞", "{}还行", "{}服务好，感谢")

Form = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Script:
    """One kind of visit. ``faults``: what a step can be instead when the visit is a troubled one."""

    name: str
    weight: float
    steps: tuple[tuple[Form, ...], ...]
    faults: tuple[tuple[Form, ...], ...] = ()
    strange_device: bool = False


def _page(page: str, query: str | None = None, action: str = "view") -> Form:
    return CLICK, page_fragment(page, action=action, query=query)


_LOGIN = '"journey":"login","step":"verify","page":"login","action":"login","element":"'
LOGINS: tuple[Form, ...] = tuple((CLICK, f'{_LOGIN}btn_{how}"') for how in ("face", "fingerprint", "password"))
_LOGIN_FAULTS: tuple[Form, ...] = tuple(
    (CLICK, f'{_LOGIN}btn_face","error_code":"{code}"') for code in ("FACE_MISMATCH", "E1001", "TIMEOUT")
)
HOME: tuple[Form, ...] = tuple(_page(page) for page in HOME_PAGES)
_PREPAY = tuple(_page("search", query, "search") for query in PREPAY_QUERIES)
_SEARCH = tuple(_page("search", query, "search") for query in ALL_QUERIES)


def _said(metric: str, score: int | None, text: str | None) -> tuple[Form, ...]:
    shown = "" if score is None else f',"score":{score}'
    said = "" if text is None else f',"text":"{text}"'
    return tuple((FEEDBACK, f'"metric":"{metric}"{shown}{said},"touchpoint":"{place}"') for place in TOUCHPOINTS)


def _voices(metric: str, scores: tuple[int, ...], good_from: int) -> tuple[Form, ...]:
    forms: list[Form] = []
    for number, score in enumerate(scores):
        kinds = _PRAISE if score >= good_from else _MOANS
        topic = TOPICS[number % len(TOPICS)]
        forms += _said(metric, score, kinds[number % len(kinds)].format(topic))
    return tuple(forms)


NPS = _voices("nps", (10, 9, 9, 8, 8, 8, 7, 7, 7, 6, 6, 5, 4, 3, 2, 0), 7)
CSAT = _voices("csat", (5, 5, 5, 4, 4, 4, 3, 3, 2, 1), 4)
COMPLAINTS = tuple(form for moan in _MOANS for topic in TOPICS for form in _said("complaint", None, moan.format(topic)))
_STAGES: tuple[tuple[Form, ...], ...] = tuple(
    ((TICKET, f'"stage":"{stage}"'),) for stage in ("accepted", "analysing", "resolved")
)
_FOLLOWED_UP = tuple((TICKET, f'"stage":"followed_up","satisfaction":{n}') for n in (5, 5, 4, 4, 3, 2, 1))


def _journey(name: str, weight: float, *after: tuple[Form, ...]) -> Script:
    steps = JOURNEYS[name]
    taken = tuple(((CLICK, step_fragment(name, step)),) for step in (*steps, "done"))
    failed = tuple(tuple((CLICK, step_fragment(name, step, error=code)) for code in ERRORS) for step in steps)
    return Script(name, weight, (LOGINS, *taken, *after), (_LOGIN_FAULTS, *failed, failed[-1], *((),) * len(after)))


def _money(name: str, weight: float, *kinds: int) -> Script:
    return Script(name, weight, tuple(((kind, ""),) for kind in kinds))


_JOURNEY_WEIGHTS = dict(zip(JOURNEYS, (0, 3, 3, 2, 2, 1.5, 1, 1.5, 1, 1, 1.5, 1, 3, 0.7), strict=True))

SCRIPTS: tuple[Script, ...] = (
    Script("balance", 12.0, (LOGINS, HOME, HOME, HOME), (_LOGIN_FAULTS,)),
    Script("search", 6.0, (LOGINS, HOME, _SEARCH, HOME), (_LOGIN_FAULTS,)),
    Script("products", 6.0, (LOGINS, *(tuple(_page(page) for page in PRODUCT_PAGES),) * 5), (_LOGIN_FAULTS,)),
    Script("loans", 3.0, (LOGINS, *(tuple(_page(page) for page in LOAN_PAGES),) * 4), (_LOGIN_FAULTS,)),
    Script("prepay_search", 0.8, (LOGINS, _PREPAY, _PREPAY, _PREPAY, (_page("loan/prepay", action="prepay_submit"),))),
    *(_journey(name, weight) for name, weight in _JOURNEY_WEIGHTS.items() if weight),
    _journey("transfer", 5.0, ((TRANSFER_OUT, ""),)),
    Script("payees", 2.0, (LOGINS, *(((TRANSFER_OUT, ""),),) * 5)),
    _money("shops", 14.0, POS, POS, POS, POS),
    _money("online", 7.0, ONLINE, ONLINE, ONLINE),
    _money("salary", 4.0, SALARY, WITHDRAWAL, POS),
    _money("received", 4.0, TRANSFER_IN, TRANSFER_OUT, INVESTMENT),
    _money("cash", 3.0, WITHDRAWAL, DEPOSIT),
    _money("loan_due", 3.0, DEPOSIT, REPAYMENT, FEE),
    _money("fees", 1.5, FEE, FEE),
    _money("invest", 2.0, INVESTMENT, INVESTMENT),
    Script("upset", 1.2, (_LOGIN_FAULTS, _LOGIN_FAULTS, (*COMPLAINTS, *NPS[-30:]))),
    Script("nps", 4.0, (NPS,)),
    Script("case", 1.5, (*_STAGES, _FOLLOWED_UP, CSAT)),
    Script("reopened", 0.2, (((TICKET, '"stage":"reopened"'),), CSAT, ((TICKET, '"stage":"closed"'),))),
    Script("label", 0.6, (((LABEL, '"label":true'), (LABEL, '"label":false')),)),
    Script("locked_out", 0.7, (_LOGIN_FAULTS,) * 6),
    Script(
        "takeover",
        0.4,
        (((CLICK, page_fragment("login/reset", action="password_reset")),), LOGINS, *(((TRANSFER_OUT, ""),),) * 3),
        strange_device=True,
    ),
    Script("moved", 0.5, (((PROFILE, ""),),)),
)  # fmt: skip
