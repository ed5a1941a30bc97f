"""Python's syntax tree of an expression's text, or the reason why there is none."""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from dataclasses import dataclass

from rules.foreign_syntax import foreign_syntax

MAX_CHARS = 100_000


@dataclass(slots=True)
class ExpressionSyntaxError(Exception):
    """``offset`` is a character of the text that was parsed."""

    code: str
    offset: int
    message: str
    hint: str | None = None


def python_tree(text: str) -> ast.expr:
    """The tree of ``text``: one line without space at its ends. Raises ExpressionSyntaxError."""
    if not text:
        raise ExpressionSyntaxError("E216", 0, "the expression is empty")
    if len(text) > MAX_CHARS:
        raise ExpressionSyntaxError("E212", 0, f"the expression is longer than {MAX_CHARS} characters")
    comment = _comment_at(text)
    if comment is not None:
        hint = "put it on a line of its own in the YAML"
        raise ExpressionSyntaxError("E211", comment, "a comment inside an expression", hint)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _explained(error, text) from None
    except (RecursionError, MemoryError):
        raise too_deep() from None
    except ValueError as error:
        raise ExpressionSyntaxError("E201", 0, f"the expression does not parse: {error}") from None


def too_deep() -> ExpressionSyntaxError:
    """The error for an expression that no recursive pass could take."""
    return ExpressionSyntaxError("E212", 0, "the expression is nested too deeply", "split it with lets")


def _comment_at(text: str) -> int | None:
    """The offset of a ``#`` that Python reads as a comment: all that follows it would be lost silently."""
    if "#" not in text:
        return None
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                return token.start[1]
    except (tokenize.TokenError, SyntaxError):
        pass
    return None


def _explained(error: SyntaxError, text: str) -> ExpressionSyntaxError:
    message = str(error.msg).split("; use ")[0].removesuffix(" (detected at line 1)")
    if message.startswith("Exceeds the limit"):
        return ExpressionSyntaxError("E208", 0, "a number with too many digits")
    if message.startswith("too many nested"):
        return too_deep()
    foreign = foreign_syntax(text)
    if foreign is not None:
        return ExpressionSyntaxError(
            "E201", foreign.offset, f"the expression does not parse: {foreign.message}", foreign.hint
        )
    # Python gives no offset, or 0, where the text ends too early.
    offset = min(error.offset - 1, len(text)) if error.offset else len(text)
    rest = text[offset:]
    hint = None
    if message.endswith("Perhaps you forgot a comma?"):
        message, hint = "invalid syntax", "is a comma or an operator missing?"
    elif message.startswith("invalid character"):
        hint = "use the plain ASCII character"
    elif "Maybe you meant '=='" in message or rest.startswith("= "):
        message, hint = "invalid syntax", "a comparison is written `==`"
    elif rest.startswith("!"):
        hint = "a negation is written `not`"
    return ExpressionSyntaxError("E201", offset, f"the expression does not parse: {message}", hint)
