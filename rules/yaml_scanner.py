"""YAML with one addition: selectors need no quotes inside ``{…}`` and ``[…]``.

In YAML's flow style a plain scalar ends at a bracket, so ``{event: click[page == "a"], within: 1h}`` would be an
error. A bracket that follows a plain scalar without a space between has no other meaning there: it and everything up
to its partner are taken as part of the scalar. Files that are valid YAML read as ever.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import ScalarToken

_ENDS = "\0\n\r\x85\u2028\u2029"


class SelectorScanner(Scanner):
    """Scans plain scalars with brackets in flow style."""

    def scan_plain(self) -> Any:
        """A plain scalar, with the brackets that belong to it."""
        token = super().scan_plain()
        while self.flow_level and self.reader.peek() == "[" and token.end_mark.index == self.reader.index:
            length = self._to_partner()
            if not length:
                break
            value = token.value + self.reader.prefix(length)
            self.reader.forward(length)
            end_mark = self.reader.get_mark()
            spaces = self.scan_plain_spaces(self.indent + 1, token.start_mark)
            if self.reader.peek() not in _ENDS + ",]}#:":
                rest = super().scan_plain()
                value += "".join(spaces) + rest.value
                end_mark = rest.end_mark
            token = ScalarToken(value, True, token.start_mark, end_mark)
        return token

    def _to_partner(self) -> int:
        """How long the text is from the bracket here to its partner on the same line; 0 if there is none."""
        depth, length, quote = 0, 0, ""
        while (ch := self.reader.peek(length)) not in _ENDS:
            length += 1
            if quote:
                quote = "" if ch == quote else quote
            elif ch in "\"'":
                quote = ch
            elif ch in "[]":
                depth += 1 if ch == "[" else -1
                if depth == 0:
                    return length
        return 0
