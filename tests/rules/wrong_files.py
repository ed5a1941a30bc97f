"""Wrong rule, policy and models files with what must be said of them.

A file in ``wrong/``, ``wrong_policies/``, ``wrong_calendars/`` or ``wrong_models/`` ends with one line for each
problem, ``# expect: LINE:COLUMN CODE rule-id``.
The full messages stand in ``wrong_messages.txt``; ``python tests/rules/wrong_files.py`` writes that file anew.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
MESSAGES = HERE / "wrong_messages.txt"
RULE_FILES = sorted((HERE / "wrong").glob("*.yaml"))
POLICY_FILES = sorted((HERE / "wrong_policies").glob("*.yaml"))
MODEL_FILES = sorted((HERE / "wrong_models").glob("*.yaml"))
CALENDAR_FILES = sorted((HERE / "wrong_calendars").glob("*.yaml"))
ALL_FILES = RULE_FILES + POLICY_FILES + MODEL_FILES + CALENDAR_FILES

sys.path.insert(0, str(HERE.parent.parent))


def diagnose(path: Path):
    from flows.loading import load_model_files
    from rules.load import load_rules
    from rules.policy import load_policy
    from rules.work_calendar import load_calendar

    if path in MODEL_FILES:
        return load_model_files([path])
    if path in CALENDAR_FILES:
        return load_calendar(path)
    return load_policy(path) if path in POLICY_FILES else load_rules([path])


def messages() -> str:
    lines = []
    for path in ALL_FILES:
        folder = f"{path.parent}/"
        lines += [f"{path.parent.name}/{str(p).replace(folder, '')}" for p in diagnose(path)[1]]
    return "\n".join(lines) + "\n"


def expected(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]


if __name__ == "__main__":
    MESSAGES.write_text(messages(), encoding="utf-8")
