"""The plain way from decoded messages to rows and masks, to test the columns against."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rows:
    """Events in arrival order; every list has one entry per event."""

    stream: list[int] = field(default_factory=list)
    event_id: list[str] = field(default_factory=list)
    customer_id: list[str] = field(default_factory=list)
    ts_ms: list[int] = field(default_factory=list)
    effective_ms: list[int] = field(default_factory=list)
    late: list[bool] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    values: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self):
        return len(self.stream)


def rows_of(decoded):
    """The events of a ``Decoded``."""
    layouts = [decoded.layouts[type(event)] for event in decoded.events]
    return Rows(
        stream=[layout.code for layout in layouts],
        event_id=[event.event_id for event in decoded.events],
        customer_id=[event.customer_id for event in decoded.events],
        ts_ms=decoded.ts_ms.tolist(),
        effective_ms=decoded.effective_ms.tolist(),
        late=(decoded.ts_ms < decoded.effective_ms).tolist(),
        raw=decoded.raw,
        values=[layout.values(event) for layout, event in zip(layouts, decoded.events, strict=True)],
    )


def plain_mask(matchers, stream, values):
    """The bits of the matchers that match one event."""
    return sum(
        1 << number
        for number, matcher in enumerate(matchers)
        if matcher.stream == stream and all(part.test(values) for part in matcher.parts)
    )
