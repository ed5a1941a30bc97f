"""What an expression sees while it is evaluated: the anchor, the customer's attributes, features and lets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Anchor(Protocol):
    """The event that a rule is tried for."""

    @property
    def values(self) -> tuple[Any, ...]:
        """Its fields that the rules read."""


class Evaluation:
    """One evaluation of rules for one customer at one time.

    ``stream`` is the anchor's (−1 at a tick, which has no ``anchor``). ``profile`` are the values of the profile
    stream's fields that the plan reads, null if the customer has none; ``read_profile`` is called when they are asked
    for. ``feature`` gives the value of a customer's feature by its number, ``entity`` that of an entity's by its
    ``per=`` field and number. ``lets``, ``holding`` and the two lists of ``rises`` belong to the rule being evaluated:
    ``rose_before`` is what the conditions were at its previous evaluation, null at the first.
    """

    __slots__ = (
        "_profile",
        "anchor",
        "entity",
        "feature",
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
        read_profile: Callable[[], tuple[Any, ...] | None],
        feature: Callable[[int], Any],
        entity: Callable[[tuple[str, int]], Any],
    ) -> None:
        self.t_ms = t_ms
        self.stream = stream
        self.anchor = anchor
        self._profile: Any = read_profile
        self.feature = feature
        self.entity = entity
        self.holding: dict[str, Any] | None = None
        self.lets: dict[str, Any] = {}
        self.rises_now: list[bool] = []
        self.rose_before: tuple[bool, ...] | None = None

    @property
    def profile(self) -> tuple[Any, ...] | None:
        """The customer's attributes."""
        if callable(self._profile):
            self._profile = self._profile()
        profile: tuple[Any, ...] | None = self._profile
        return profile
