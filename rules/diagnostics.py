"""Problems found in rule and policy files: stable codes, places, and hints.

Every kind of problem has one code, listed in ``CODES``. Codes that begin with ``E`` are errors (the files are
refused), those that begin with ``W`` are warnings.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.model import Position

CODES: dict[str, str] = {
    # files and YAML
    "E001": "the file can't be read",
    "E002": "the file is not UTF-8",
    "E003": "the file is not well-formed YAML",
    "E004": "the file is empty",
    "E005": "the file holds more than one YAML document",
    "E006": "a key is written twice in one mapping",
    "E007": "a YAML tag that the language does not know",
    "E008": "the YAML is nested too deeply, refers to itself or is too large",
    "E009": "a mapping key is not text",
    "E010": "text holds half of a surrogate pair",
    "E011": "a value does not fit its YAML tag",
    # structure
    "E101": "a value of the wrong shape or type",
    "E102": "an unknown key",
    "E103": "a required key is missing",
    "E104": "the file's version is not 1",
    "E105": "an unknown time zone",
    "E106": "a rule id that is not made of a-z, 0-9 and -",
    "E107": "two rules of the set have the same id",
    "E108": "a value that is not one of those allowed",
    "E109": "a number out of its range",
    "E110": "not a duration",
    "E111": "not a local time of day",
    "E112": "a let name that can't be used",
    "E113": "a key that does not go with this kind of trigger",
    "E114": "an entry of `then` is not one action",
    "E115": "an unknown kind of action",
    "E116": "a list or name that must not be empty",
    "E117": "an escalation that is called as tickets' own",
    # expressions
    "E201": "the expression does not parse",
    "E202": "Python that is not part of the language",
    "E203": "an unknown name",
    "E204": "an unknown function",
    "E205": "a function's arguments are wrong",
    "E206": "a comparison with None",
    "E207": "`holding` outside a rule with `each: holdings`",
    "E208": "a literal that the language does not have",
    "E209": "a pattern that is not a literal in RE2 syntax",
    "E210": "something that a selector can't use",
    "E211": "a comment inside an expression",
    "E212": "the expression is too long or nested too deeply",
    "E213": "a stream where a value is needed",
    "E214": "`rises` where it can't be",
    "E215": "not a selector",
    "E216": "the expression is empty",
    # aggregates
    "E301": "a keyword that the function does not have",
    "E302": "more than one window",
    "E303": "a window is required",
    "E304": "`per` is not the name of a field",
    "E305": "`per` in a date rule",
    "E306": "a streak's argument is not of the form allowed",
    "E307": "an aggregate's argument must be a selector, or a selector's field",
    "E308": "a window or period that is not a literal of the form allowed",
    # templates
    "E401": "braces that don't match",
    "E402": "a template slot with no expression",
    "E403": "a format with a width or precision over 999",
    # policy
    "E501": "a holdout percentage that is not 0 to 100 with at most two decimals",
    "E502": "a calendar that there is not",
    "E503": "two service levels with the same name",
    "E504": "a warning's share that is no percentage",
    "E505": "an extension that does not fit the statutory limit",
    "E506": "a ticket's limit that can't be read",
    # calendars
    "E511": "a value that is not a date",
    "E512": "a text that is not opening hours",
    "E513": "opening hours that overlap",
    "E514": "a date that is a holiday or make-up workday twice",
    "E515": "a date that the calendar does not cover",
    "E516": "a year of which the calendar names no source",
    "E517": "a week that is never open",
    "E518": "a make-up workday with no opening hours",
    # models
    "E601": "a model's name that is not made of a-z, 0-9 and _",
    "E602": "two models have the same name",
    "E603": "a model's feature that can't be computed",
    "E604": "a parameter that the model's kind does not have",
    "E605": "labels that a model can't learn from",
    # tests of rules
    "E701": "a time that a test can't have",
    "E702": "an entry of `events` is not one event",
    "E703": "an entry of `expect` is not one decision of the rule",
    "E704": "an expected feature that the rule does not have",
    # warnings: files
    "W101": "the file has no rules",
    # warnings: values that are always null or false
    "W201": "a field's name is close to a standard field's",
    "W202": "arithmetic that is always null",
    "W203": "a comparison that is always false",
    "W204": "a function that is always null",
    "W205": "a list element that equals nothing",
    "W206": "a condition that is always true",
    "W207": "a selector that can never match",
    "W208": "a name that is read as a field and is probably a text",
    # warnings: rules that do not do what they seem to
    "W301": "a rule that can never fire",
    "W302": "a value that is always null or false for this trigger",
    "W303": "a sum of amounts with no condition on the currency",
    "W304": "`restart: latest` can be put off for ever",
    "W305": "nothing limits how often customers are contacted",
    "W306": "a window longer than 400 days",
    "W307": "a score from a model that is not configured",
    "W308": "a window of no length",
    "W309": "a deadline at the very moment of arming",
    # warnings: templates
    "W401": "a format that fits no value",
    # policy
    "W501": "class `risk` in a control group, where it never is",
    "W502": "a service level that no ticket gets",
    "W503": "a condition that no ticket of the rules can meet",
    # calendars
    "W511": "a make-up workday on a day that is open anyway",
    # tests of rules
    "W701": "two tests of a rule have the same name",
}
"""Every code with a one-line meaning."""


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem: what, where, in which rule (None outside rules), and what to do about it."""

    code: str
    severity: str
    position: Position
    rule_id: str | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        tail = f" ({self.hint})" if self.hint else ""
        return f"{self.position}: {self.code} {self.rule_id or '-'}: {self.message}{tail}"

    @property
    def is_error(self) -> bool:
        """Whether the files are refused because of it."""
        return self.severity == "error"


@dataclass(slots=True)
class Problems:
    """Collects diagnostics; ``rule_id`` is the rule now being read, ``errors`` the number of errors so far."""

    found: list[Diagnostic] = field(default_factory=list)
    rule_id: str | None = None
    errors: int = 0

    def add(self, code: str, position: Position, message: str, hint: str | None = None) -> None:
        """Record one problem. Raises KeyError for a code that is not in ``CODES``."""
        assert CODES[code]
        severity = "error" if code.startswith("E") else "warning"
        self.errors += severity == "error"
        self.found.append(Diagnostic(code, severity, position, self.rule_id, message, hint))

    def in_order(self, files: Iterable[str]) -> list[Diagnostic]:
        """All problems once, by file (in the order given), then line, column and code."""
        rank = {name: number for number, name in reversed(list(enumerate(files)))}
        return sorted(
            dict.fromkeys(self.found),
            key=lambda d: (rank.get(d.position.file, -1), d.position.line, d.position.column, d.code),
        )


def nearest(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """The known word that ``word`` was probably meant to be, or None."""
    folded = {name.lower(): name for name in reversed(list(known))}
    swapped = next((name for name in folded if _is_swapped(word.lower(), name)), None)
    if swapped is not None:
        return folded[swapped]
    near = difflib.get_close_matches(word.lower(), list(folded), n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def _is_swapped(word: str, name: str) -> bool:
    """Whether ``word`` is ``name`` with two neighbouring letters swapped."""
    if len(word) != len(name) or len(word) < 3:
        return False
    differ = [at for at, (one, other) in enumerate(zip(word, name, strict=True)) if one != other]
    if len(differ) != 2 or differ[1] != differ[0] + 1:
        return False
    first, second = differ
    return word[first] == name[second] and word[second] == name[first]


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.7) -> str | None:
    """``did you mean `x`?`` for the known word nearest to ``word``, or None."""
    near = nearest(word, known, cutoff)
    return f"did you mean `{near}`?" if near else None


def shown(text: str, limit: int = 60) -> str:
    """``text`` in backquotes for a message: one line, control characters escaped, cut to ``limit``."""
    clean = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[: limit + 1])
    return f"`{clean[:limit]}…`" if len(text) > limit else f"`{clean}`"


def one_of(values: Iterable[str]) -> str:
    """``one of a, b, c`` for a hint."""
    return "one of " + ", ".join(values)
