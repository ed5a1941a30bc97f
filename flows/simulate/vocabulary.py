"""Names that appear in events: cities, pages, journeys, queries, error codes."""

from dataclasses import dataclass, field

import numpy as np

from flows.simulate.columns import Array

TIERS = ("mass", "gold", "platinum", "private")
SEGMENTS = ("salaried", "self_employed", "retired", "student", "business_owner")
SEGMENT_SHARES = (0.55, 0.18, 0.15, 0.06, 0.06)
RISK_LEVELS = ("R1", "R2", "R3", "R4", "R5")
HOLDING_KINDS = ("理财", "存单", "基金")
OPT_OUTS = ("[]", '["marketing"]', '["survey"]', '["marketing","survey"]', '"marketing"', '["sms"]', '["call","sms"]')
CITIES = (
    "上海", "北京", "深圳", "广州", "成都", "杭州", "重庆", "武汉", "苏州", "西安",
    "南京", "长沙", "天津", "郑州", "东莞", "青岛", "昆明", "宁波", "合肥", "佛山",
    "沈阳", "无锡", "济南", "厦门", "福州", "温州", "哈尔滨", "大连", "贵阳", "南宁",
    "泉州", "石家庄", "长春", "南昌", "常州", "嘉兴", "惠州", "太原", "海口", "兰州",
)  # fmt: skip
_weights = 1.0 / np.arange(3.0, 3.0 + len(CITIES))
CITY_SHARES: Array = _weights / _weights.sum()
MCCS = ("5411", "5812", "5814", "4121", "4111", "5912", "5311", "5541", "7832", "5999", "8062", "4814", "5651", "7011")
ERROR_CODES = ("E1001", "E2003", "E3104", "E5000", "TIMEOUT")
PREPAY_QUERIES = ("提前还款", "房贷提前还款", "提前还款怎么操作", "提前还款违约金", "如何申请提前还款", "提前还款预约")
QUERIES = ("转账限额", "大额存单", "理财产品", "信用卡账单", "修改手机号", "挂失", "开户行查询", "利率", "基金定投",
           "工资明细", "电子回单", "积分兑换", "人脸识别失败", "怎么注销账户", "网点地址", "外汇牌价", "公积金",
           "养老金账户", "贷款额度", "跨行手续费", "收入证明", "密码重置", "信用卡提额", "国债")  # fmt: skip
MORTGAGE_PAGES = ("loan/mortgage/rate", "loan/mortgage/calculator", "loan/mortgage/apply_guide", "loan/mortgage/faq")
CAR_PAGES = ("loan/car/rate", "loan/car/calculator", "loan/car/faq")

JOURNEYS: dict[str, tuple[str, ...]] = {
    "transfer": ("payee", "amount", "confirm", "verify"),
    "loan_apply": ("intro", "identity", "income", "face", "submit"),
    "wealth_buy": ("detail", "risk_test", "amount", "confirm"),
    "card_apply": ("intro", "identity", "contact", "face"),
}
"""Steps before the last one, which is always `done` with action `finish`."""


def step_fragment(journey: str, step: str, *, error: str | None = None) -> str:
    """The middle of a click's JSON for one journey step: tried in vain (`error`), taken, or finished (`done`)."""
    action = "finish" if step == "done" else "submit"
    fault = f',"error_code":"{error}"' if error else ""
    return (
        f'"journey":"{journey}","step":"{step}","page":"{journey}/{step}","action":"{action}",'
        f'"element":"btn_{step}"{fault}'
    )


def page_fragment(page: str, *, action: str = "view", query: str | None = None, element: str | None = None) -> str:
    """The middle of a click's JSON for a page outside journeys."""
    asked = f',"query":"{query}"' if query else ""
    on = f',"element":"{element}"' if element else ""
    return f'"page":"{page}","action":"{action}"{asked}{on}'


@dataclass(frozen=True, slots=True)
class Script:
    """What happens in one kind of session: its steps, each a list of fragments to choose from."""

    name: str
    weight: float
    steps: tuple[tuple[str, ...], ...]
    faults: tuple[tuple[str, ...], ...]  # error fragments by step, () where nothing can go wrong
    topic: str


def _pages(name: str, weight: float, topic: str, *steps: tuple[str, ...]) -> Script:
    return Script(name, weight, (*_START, *steps), _START_FAULTS + ((),) * len(steps), topic)


def _journey(name: str, weight: float, topic: str) -> Script:
    steps = JOURNEYS[name]
    taken = tuple((step_fragment(name, step),) for step in (*steps, "done"))
    faults = tuple(tuple(step_fragment(name, step, error=code) for code in ERROR_CODES) for step in steps)
    return Script(name, weight, _START + taken, (*_START_FAULTS, *faults, ()), topic)


_LOGIN = '"journey":"login","step":"verify","page":"login","action":"login","element":"'
_START: tuple[tuple[str, ...], ...] = (
    tuple(f'{_LOGIN}btn_{how}"' for how in ("face", "fingerprint", "password")),
    (page_fragment("home"),),
)
_START_FAULTS: tuple[tuple[str, ...], ...] = (
    tuple(f'{_LOGIN}btn_face","error_code":"{code}"' for code in ("FACE_MISMATCH", "E1001", "TIMEOUT")),
    (),
)
_SEARCH = tuple(page_fragment("search", action="search", query=q) for q in QUERIES)
_PREPAY = tuple(page_fragment("search", action="search", query=q) for q in PREPAY_QUERIES)
_HOT = tuple(page_fragment(p) for p in ("message", "activity/points", "me", "account/detail", "card/bill"))
_PRODUCTS = tuple(page_fragment("wealth/detail", element=f"product_{i}") for i in range(40))

SCRIPTS: tuple[Script, ...] = (
    _pages("balance", 30.0, "登录", (page_fragment("account/list"),), (page_fragment("account/detail"),)),
    _pages("browse", 16.0, "卡顿", _HOT, _HOT, _HOT),
    _pages("search", 9.0, "卡顿", (page_fragment("search"),), _SEARCH, _HOT),
    _pages("wealth_look", 10.0, "理财", (page_fragment("wealth/list"),), _PRODUCTS, _PRODUCTS, _PRODUCTS),
    _journey("transfer", 18.0, "转账"),
    _journey("wealth_buy", 5.0, "理财"),
    _journey("loan_apply", 2.5, "贷款"),
    _journey("card_apply", 2.5, "登录"),
    _pages("reset", 0.3, "登录", (page_fragment("login/reset", action="password_reset"),)),
    _pages("mortgage", 0.6, "贷款", (page_fragment("loan/list"),), tuple(page_fragment(p) for p in MORTGAGE_PAGES)),
    _pages("car", 0.5, "贷款", (page_fragment("loan/list"),), tuple(page_fragment(p) for p in CAR_PAGES)),
    _pages("prepay_look", 0.2, "提前还款", (page_fragment("search"),), _PREPAY),
    _pages(
        "prepay",
        0.3,
        "提前还款",
        (page_fragment("search"),),
        _PREPAY,
        (page_fragment("loan/repay"),),
        (page_fragment("loan/prepay", action="prepay_submit"),),
    ),
)
SCRIPT_NO = {script.name: number for number, script in enumerate(SCRIPTS)}
START_STEPS = len(_START)
SEARCH_SCRIPTS = tuple(SCRIPT_NO[name] for name in ("search", "prepay_look", "prepay"))
QUIET_SCRIPTS = tuple(SCRIPT_NO[name] for name in ("mortgage", "prepay_look", "prepay"))


@dataclass(slots=True)
class ScriptTable:
    """All scripts' steps in one row each, for vectorised expansion."""

    fragments: list[str] = field(default_factory=list)
    first_step: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    weight: Array = field(default_factory=lambda: np.zeros(0))
    ok_base: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    ok_count: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    error_base: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    error_count: Array = field(default_factory=lambda: np.zeros(0, np.int64))


def script_table() -> ScriptTable:
    """`SCRIPTS` as arrays; `fragments` is indexed by the `frag` column of the click table."""
    fragments: list[str] = []
    rows: list[tuple[int, int, int, int]] = []
    for script in SCRIPTS:
        for taken, faults in zip(script.steps, script.faults, strict=True):
            rows.append((len(fragments), len(taken), len(fragments) + len(taken), len(faults)))
            fragments += [*taken, *faults]
    steps = np.array([len(script.steps) for script in SCRIPTS], dtype=np.int64)
    weight = np.array([script.weight for script in SCRIPTS])
    ok_base, ok_count, error_base, error_count = np.array(rows, dtype=np.int64).T
    first = np.concatenate(([0], np.cumsum(steps)[:-1]))
    return ScriptTable(fragments, first, steps, weight / weight.sum(), ok_base, ok_count, error_base, error_count)
