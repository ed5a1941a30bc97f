"""Whether what the scanner found in a line is an event of its stream."""

from __future__ import annotations

from operators.event_schema import CUSTOMER_ID_MAX_CODE_POINTS, EVENT_ID_MAX_CODE_POINTS
from operators.scan import IDENTITY_BYTES, Identities, Integers, Kinds, Lengths, identity
from operators.scan_values import TEXT
from state.compiled import compiled
from state.exact import SCALE
from state.words import KIND_BITS, KIND_MASK, WHOLE


@compiled
def check(
    base: int, stream_names: Identities, stream_sizes: Integers, allowed: Kinds, ranges: Integers,
    choice_keys: Integers, choices: Identities, choice_streams: Integers, choice_sizes: Integers, taken: Kinds,
    kinds: Kinds, values: Integers, sizes: Lengths, stream: Kinds, ts_ms: Integers,
) -> None:  # fmt: skip
    """Leave to the decoders (``taken`` 0) every line that has not what its stream requires; find streams and times.

    The first names are the stream, the time, the event's id and the customer's. ``allowed`` (streams, names) has bit k
    for kind k. ``ranges`` (streams, 3): a number's key (or -1) and its least and highest payload. ``choice_keys`` by
    stream: the key of a text (or -1) that must be one of those ``choices`` whose ``choice_streams`` is the stream.
    """
    for i in range(len(taken)):
        if not taken[i]:
            continue
        taken[i] = 0
        code = -1
        if kinds[0, i] == TEXT and sizes[0, i] <= IDENTITY_BYTES:
            first, last = identity(base + values[0, i], sizes[0, i])
            for k in range(len(stream_sizes)):
                if stream_names[k, 0] == first and stream_names[k, 1] == last and stream_sizes[k] == sizes[0, i]:
                    code = k
        if code < 0:
            continue
        good = True
        for key in range(kinds.shape[0]):
            if not (allowed[code, key] >> kinds[key, i]) & 1:
                good = False
        if not good or values[1, i] & KIND_MASK != WHOLE or values[1, i] < 0:
            continue
        if not (1 <= sizes[2, i] <= EVENT_ID_MAX_CODE_POINTS and 1 <= sizes[3, i] <= CUSTOMER_ID_MAX_CODE_POINTS):
            continue  # the limits are code points: a longer text may do, the decoders say
        key = ranges[code, 0]
        if key >= 0 and not ranges[code, 1] <= values[key, i] >> KIND_BITS <= ranges[code, 2]:
            continue
        key = choice_keys[code]
        if key >= 0:
            good = False
            if sizes[key, i] <= IDENTITY_BYTES:
                first, last = identity(base + values[key, i], sizes[key, i])
                for k in range(len(choice_sizes)):
                    if choice_streams[k] == code and choice_sizes[k] == sizes[key, i]:
                        good = good or (choices[k, 0] == first and choices[k, 1] == last)
        if good:
            stream[i], taken[i] = code, 1
            ts_ms[i] = (values[1, i] >> KIND_BITS) // SCALE
