"""Keys of the shards, chosen so that they spread evenly over 1, 2, 4, 8 or 16 workers."""

from __future__ import annotations

from functools import cache
from itertools import count

from operators.delivery import SHARDS
from state.hashing import sip_hashes
from state.texts import Texts

LIVE_PROCESSES = frozenset({*range(1, 9), 16})
"""So many processes have a shard each. One without any would never hear how far the others are: its reader would wait
for that, and event time for its reader."""


@cache
def shard_key(shard: int) -> str:
    """The key of a shard.

    Bytewax gives a key to worker ``hash % workers``, where the hash is Rust's of the text: SipHash-1-3 with a zero key
    of the text's bytes and one of 255. Here the hash is the shard's number, modulo the number of shards.
    """
    for attempt in count():
        key = f"{shard:02d}-{attempt}"
        if int(sip_hashes(Texts.from_lines([key.encode() + b"\xff"]), (0, 0))[0]) % SHARDS == shard:
            return key
    raise AssertionError(shard)
