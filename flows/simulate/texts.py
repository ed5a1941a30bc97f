"""What customers write: Chinese feedback by topic and mood, put together from parts."""

from itertools import product

import numpy as np

from flows.simulate.columns import Array

NEGATIVE, NEUTRAL, POSITIVE = 0, 1, 2

_CORES: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "转账": (
        ("转账一直失败", "转账限额太低，根本不够用", "转账两天还没到账", "转账验证码收不到", "转错账号了没人帮我追回"),
        ("转账到账时间希望说明一下", "转账步骤跟以前差不多", "转账限额想了解怎么调整"),
        ("转账秒到账", "转账很方便，几步就完成", "跨行转账又快又免费", "转账提示很清楚，放心"),
    ),
    "登录": (
        (
            "人脸识别总是失败",
            "登录不上去，一直报错",
            "刷脸刷了十几次都不通过",
            "密码重置流程太麻烦",
            "每次登录都要重新验证",
        ),
        ("登录方式希望多几种", "人脸识别偶尔要试两次", "登录页面换了样子"),
        ("刷脸登录很快", "指纹登录方便又安全", "登录一次就成功，很顺畅"),
    ),
    "卡顿": (
        ("手机银行太卡了", "打开就闪退", "页面加载半天出不来", "更新以后经常闪退", "点哪里都没反应，卡死了"),
        ("页面速度一般", "希望首页简洁一点", "新版本还在适应"),
        ("新版本很流畅", "页面打开速度快", "界面清爽，操作顺手"),
    ),
    "费用": (
        ("莫名其妙扣了手续费", "年费扣得不明不白", "短信费没通知就扣了", "手续费太贵，不合理"),
        ("想问一下年费怎么减免", "手续费标准希望公示清楚", "短信费每月三元"),
        ("免手续费很实惠", "年费减免了，很满意", "收费透明，值得信赖"),
    ),
    "理财": (
        ("理财亏损严重", "收益跟宣传的差太多", "赎回要等好几天", "客户经理推荐的理财亏了没人管"),
        ("想了解一下新的理财产品", "理财收益一般般", "产品期限希望再灵活些"),
        ("理财收益稳定", "购买流程简单明了", "产品种类丰富，选择多", "赎回到账很快"),
    ),
    "贷款": (
        ("贷款审批太慢了", "贷款被拒也不说原因", "材料反复提交好几遍", "利率比别家高很多"),
        ("想咨询一下房贷利率", "贷款进度希望能随时查询", "贷款材料清单有点长"),
        ("贷款审批很快", "房贷经理很专业", "利率优惠，流程透明"),
    ),
    "提前还款": (
        ("提前还款预约要排三个月", "提前还款找不到入口", "提前还款还要收违约金，太坑", "提前还款申请一直没人处理"),
        ("想问提前还款怎么预约", "提前还款的流程不太了解"),
        ("提前还款在线就能办，很方便", "提前还款当天就处理好了，满意"),
    ),
    "客服": (
        ("客服态度很差", "电话等了半小时没人接", "客服一直推诿，不解决问题", "机器人答非所问，转不了人工"),
        ("客服回复速度一般", "人工客服入口希望明显一点"),
        ("客服态度很好，耐心解答", "客服小姐姐很专业", "问题很快就解决了，点赞"),
    ),
    "网点": (
        ("网点排队两个小时", "大厅没人引导，窗口只开一个", "柜员态度冷淡", "网点周末不开门，太不方便"),
        ("网点人有点多", "附近的网点搬走了"),
        ("网点环境好，服务热情", "大堂经理很周到，不用排队", "柜员办事效率高"),
    ),
}
_OPENINGS = (
    ("", "真的很失望，", "气死了，", "用了这么多年，现在", "没想到", "连续几天", "再次反馈："),
    ("", "提个建议，", "反馈一下，", "总体还行，", "一般吧，"),
    ("", "很满意，", "点个赞，", "一直用你们银行，", "体验不错，", "没想到这么好，"),
)
_ENDINGS = (
    ("。", "，太差了！", "，非常不满意。", "，要投诉！", "，浪费时间。", "，再这样就换银行了。", "，请尽快处理！"),
    ("。", "，谢谢。", "，没什么特别的。", "，请说明一下。"),
    ("。", "，会推荐给朋友。", "，继续保持！", "，谢谢你们。", "，好评。", "，省心。"),
)
TOPICS = tuple(_CORES)
TOPIC_NO = {topic: number for number, topic in enumerate(TOPICS)}


def text_of(rng: np.random.Generator, topic: str, mood: int) -> str:
    """One text for a story."""
    choices = (_OPENINGS[mood], _CORES[topic][mood], _ENDINGS[mood])
    return "".join(part[int(rng.integers(len(part)))] for part in choices)


class Texts:
    """All texts as JSON fragments (`,"text":"…"`); number 0 is no text at all."""

    def __init__(self) -> None:
        self.fragments = [""]
        first, count = [], []
        for topic in TOPICS:
            for mood in (NEGATIVE, NEUTRAL, POSITIVE):
                first.append(len(self.fragments))
                parts = product(_OPENINGS[mood], _CORES[topic][mood], _ENDINGS[mood])
                self.fragments += [f',"text":"{"".join(words)}"' for words in parts]
                count.append(len(self.fragments) - first[-1])
        self._first = np.array(first, dtype=np.int64)
        self._count = np.array(count, dtype=np.int64)

    def choose(self, rng: np.random.Generator, topic: Array, mood: Array) -> Array:
        """A text number for each pair of topic number and mood."""
        cell = topic * 3 + mood
        chosen: Array = self._first[cell] + (rng.random(len(topic)) * self._count[cell]).astype(np.int64)
        return chosen
