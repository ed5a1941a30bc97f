"""How the events of one stream are decoded: a typed struct of just what is needed, and the way to its values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from operators import event_schema as schema
from operators.annotate import Annotation
from rules.fields import TS_MAX_MS
from rules.model import STREAMS

_Scalar = str | int | float | bool | None
_Number = int | float | None

# What the typed decoder lets through, by kind; anything else is left to the careful reader.
_OPTIONAL_TYPES: dict[str | None, Any] = {
    schema.STRING: str | None,
    schema.NUMBER: _Number,
    schema.STRINGS: list[str] | None,
    schema.STRING_OR_STRINGS: str | list[str] | None,
    schema.OBJECTS: list[dict[str, _Scalar]] | None,
    None: _Scalar | list[_Scalar],
}

_ENVELOPE_TYPES: dict[str, Any] = {
    "event_id": Annotated[str, Meta(min_length=1, max_length=schema.EVENT_ID_MAX_CODE_POINTS)],
    "customer_id": Annotated[str, Meta(min_length=1, max_length=schema.CUSTOMER_ID_MAX_CODE_POINTS)],
    "ts": Annotated[int, Meta(ge=0, le=TS_MAX_MS)],
}


class StreamLayout:
    """What the decoder needs to know of one stream.

    Attributes
    ----------
    struct
        The type to decode into. Its fields are ``event_id``, ``customer_id``, ``ts``, and then ``names``; its class
        attribute ``stream`` is the stream's name.
    code
        The stream's index in ``rules.model.STREAMS``.
    names
        The fields beyond the envelope: those required and those wanted.
    values
        The function from an event's struct to its ``values``.
    """

    def __init__(
        self, stream: str, wanted: tuple[str, ...], annotate: Callable[[str | None], Annotation] | None
    ) -> None:
        self.stream = stream
        self.code = STREAMS.index(stream)
        self.wanted = wanted
        self.annotate = annotate
        self.annotated = stream == "feedback" and any(name in schema.ANNOTATED for name in wanted)
        required = {item.name: item for item in schema.REQUIRED[stream]}
        optional = [name for name in wanted if name not in required and name not in schema.ENVELOPE]
        if self.annotated:
            optional += [*schema.ANNOTATED, "text"]
        self.names = tuple(dict.fromkeys([*required, *optional]))
        # A rule's field may have any name, so the attributes are numbered.
        self.attributes = {name: f"v{index}" for index, name in enumerate(self.names)}
        members: list[Any] = list(_ENVELOPE_TYPES.items())
        for name, attribute in self.attributes.items():
            if name in required:
                members.append((attribute, _required_type(required[name])))
            else:
                members.append((attribute, _OPTIONAL_TYPES[schema.OPTIONAL[stream].get(name)], None))
        self.struct = msgspec.defstruct(
            f"{stream.title()}Event",
            members,
            tag_field="stream",
            tag=stream,
            rename={attribute: name for name, attribute in self.attributes.items()},
            namespace={"stream": stream},
            gc=False,
        )
        self.values = self._make_values()
        self._read = [_column_reader(self.attributes.get(name, name)) for name in wanted]

    def columns(self, rows: Sequence[Any], wanted: Sequence[int]) -> dict[int, list[Any]]:
        """Some of the ``values`` of events (structs), as lists by their index."""
        if self.annotated:
            every = list(zip(*map(self.values, rows), strict=True))
            return {index: list(every[index]) for index in wanted}
        columns = {}
        for index in wanted:
            column = self._read[index](rows)
            key = self._change(self.wanted[index])
            columns[index] = list(map(_CHANGES[key], column)) if key else column
        return columns

    def _make_values(self) -> Callable[[Any], tuple[Any, ...]]:
        attributes = [self.attributes.get(name, name) for name in self.wanted]
        if self.annotated:
            return self._annotated_values(attributes)
        read = _reader(attributes)
        changes = [(index, _CHANGES[key]) for index, name in enumerate(self.wanted) if (key := self._change(name))]
        if not changes:
            return read

        def changed(row: Any) -> tuple[Any, ...]:
            row_values = list(read(row))
            for index, change in changes:
                row_values[index] = change(row_values[index])
            return tuple(row_values)

        return changed

    def _change(self, name: str) -> str | None:
        if (self.stream, name) == ("txn", "currency"):
            return "currency"
        kind = schema.OPTIONAL[self.stream].get(name)
        return kind if kind in _CHANGES else None

    def _annotated_values(self, attributes: list[str]) -> Callable[[Any], tuple[Any, ...]]:
        read = _reader(attributes)
        own = _reader([self.attributes[name] for name in (*schema.ANNOTATED, "text")])
        places = [(i, schema.ANNOTATED.index(name)) for i, name in enumerate(self.wanted) if name in schema.ANNOTATED]
        annotate = self.annotate or _no_annotation

        def annotated(row: Any) -> tuple[Any, ...]:
            sentiment, topics, keywords, text = own(row)
            if sentiment is None or topics is None or keywords is None:
                made = annotate(text)
                sentiment = made.sentiment if sentiment is None else sentiment
                topics = made.topics if topics is None else topics
                keywords = made.keywords if keywords is None else keywords
            result = (sentiment, list(topics), list(keywords))
            row_values = list(read(row))
            for index, place in places:
                row_values[index] = result[place]
            return tuple(row_values)

        return annotated


def _required_type(required: schema.Required) -> Any:
    if required.choices:
        return Literal[required.choices]
    if required.kind == schema.NUMBER:
        limits = Meta(ge=required.least, le=required.most)
        return Annotated[int, limits] | Annotated[float, limits]
    return bool if required.kind == schema.BOOLEAN else str


def _reader(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if not attributes:
        return lambda row: ()
    if len(attributes) == 1:
        only = attrgetter(attributes[0])
        return lambda row: (only(row),)
    return attrgetter(*attributes)


def _column_reader(attribute: str) -> Callable[[Sequence[Any]], list[Any]]:
    # Code of its own for each attribute takes half the time of `attrgetter`. The attribute is a name of ours.
    read: Callable[[Sequence[Any]], list[Any]] = eval(f"lambda rows: [row.{attribute} for row in rows]")
    return read


def _strings(value: str | list[str] | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


_CHANGES: dict[str, Callable[[Any], Any]] = {
    "currency": lambda value: schema.DEFAULT_CURRENCY if value is None else value,
    schema.STRING_OR_STRINGS: _strings,
}


def _no_annotation(text: str | None) -> Annotation:
    return Annotation(None, (), ())
