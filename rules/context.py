"""What an expression sees while it is evaluated: the anchor, the customer's attributes, features and lets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

_UNREAD: Any = object()


class Anchor(Protocol):
    """The event that a rule is tried for."""

    @property
    def values(self) -> tuple[Any, ...]:
        """Its fields that the rules read."""


class Evaluation:
    """One evaluation of rules for one customer at one time.

    ``stream`` is the anchor's (−1 at a tick, which has no ``anchor``). ``profile`` are the values of the profile
    stream's fields that the plan reads, null if the customer has none; ``read_profile`` is called with the customer's
    ``row`` when they are asked for. ``features`` are the values of the customer's features that the rule reads, in the
    order of ``RulePlan.features``; ``entity`` gives that of an entity's by its ``per=`` field and number, and is
    null where the rule reads none. ``lets``, ``holding`` and the two lists of ``rises`` belong to the rule being
    evaluated: ``rose_before`` is what the conditions
    were at its previous evaluation, null at the first.
    """

    __slots__ = (
        "_profile",
        "_read_profile",
        "_row",
        "anchor",
        "entity",
        "features",
        "holding",
        "lets",
        "rises_now",
        "rose_before",
        "stream",
        "t_ms",
    )

    def __init__(
        self,
        t_ms: int,
        stream: int,
        anchor: Anchor | None,
        row: int,
        read_profile: Callable[[int], tuple[Any, ...] | None],
        features: Sequence[Any],
        entity: Callable[[tuple[str, int]], Any] | None,
    ) -> None:
        self.t_ms = t_ms
        self.stream = stream
        self.anchor = anchor
        self._row, self._read_profile = row, read_profile
        self._profile: tuple[Any, ...] | None = _UNREAD
        self.features = features
        self.entity = entity
        self.holding: dict[str, Any] | None = None
        self.lets: dict[str, Any] = {}
        self.rises_now: list[bool] = []
        self.rose_before: tuple[bool, ...] | None = None

    @property
    def profile(self) -> tuple[Any, ...] | None:
        """The customer's attributes."""
        if self._profile is _UNREAD:
            self._profile = self._read_profile(self._row)
        return self._profile
