"""``min`` and ``max`` over a window of a long log: the records that no later one undercuts, in order.

From the first of them inside a window on, the numbers rise (for ``max``, fall), so the first is the extreme. The stack
holds positions (``state.log.Log``) of records from ``X_FROM`` to ``X_TO``; like a tail it follows when it is read.
``prior`` windows want it without the record of the event at hand, so that one may be left out until the next is added.
"""

from __future__ import annotations

from state.cells import get, put
from state.compiled import compiled
from state.log import Log, Memory, allocate, has_bit, has_room, lower_bound, release, size_class, time_word
from state.tables import F_BIT, F_OP, F_VALUE, F_WORD, I_OWN, I_PENDING, MIN
from state.values import NULL, UNKNOWN, Value, is_less, is_number, word_value

X_FROM, X_TO, X_BLOCK, X_FIRST, X_END, X_PENDING, X_DOUBT = range(7)
"""Words. ``X_BLOCK``: ``offset << 8 | size class``; the stack is there from ``X_FIRST`` to ``X_END``. ``X_PENDING``:
whether the log's last inserted record (``I_OWN``) is left out. ``X_DOUBT``: 1 + the last position up to which an equal
number of another type may be the earlier one (1 and 1.0), since a late record came between two that are one in the
stack."""
FIRST_CLASS_WORDS = 16


@compiled
def new_stack(memory: Memory, tail: int, words: int) -> None:
    """Give a feature an empty stack; there must be room."""
    block_class = size_class(memory, words)
    put(tail, X_BLOCK, allocate(memory, block_class) << 8 | block_class)
    put(tail, X_FIRST, 0)
    put(tail, X_END, 0)


@compiled
def stack_address(memory: Memory, tail: int) -> int:
    """Where a feature's stack is."""
    return memory.pool + 8 * (get(tail, X_BLOCK) >> 8)


@compiled
def number_at(feature: int, log: Log, position: int) -> int:
    """The scalar word of the record at a position."""
    return get(log.at, (position - log.base) * log.width + get(feature, F_VALUE))


@compiled
def undercuts(memory: Memory, lowest: bool, later: int, earlier: int) -> bool:
    """Whether a record is never an extreme any more, for a later one."""
    if later == earlier:
        return True
    # of 1 and 1.0 both stay: the earlier one is the extreme of a window that holds both
    return is_less(memory, later, earlier) if lowest else is_less(memory, earlier, later)


@compiled
def insert(memory: Memory, feature: int, tail: int, log: Log, position: int) -> None:
    """Put a record into the stack if it may be an extreme."""
    record = position - log.base
    word = get(log.at, record * log.width + get(feature, F_VALUE))
    if not has_bit(log, record, get(feature, F_WORD), get(feature, F_BIT)) or not is_number(memory, word):
        return
    stack, lowest = stack_address(memory, tail), get(feature, F_OP) == MIN
    first, end = get(tail, X_FIRST), get(tail, X_END)
    place = end
    while place > first and get(stack, place - 1) > position:
        place -= 1
    if place < end:
        later = number_at(feature, log, get(stack, place))
        if undercuts(memory, lowest, later, word):
            return
        if not undercuts(memory, lowest, word, later):  # equal, but for the type
            put(tail, X_DOUBT, max(get(tail, X_DOUBT), position + 1))
    begin = place
    while begin > first and undercuts(memory, lowest, word, number_at(feature, log, get(stack, begin - 1))):
        begin -= 1
    if begin == place:
        for k in range(end, place, -1):
            put(stack, k, get(stack, k - 1))
    elif begin + 1 < place:
        for k in range(place, end):
            put(stack, begin + 1 + k - place, get(stack, k))
    put(stack, begin, position)
    put(tail, X_END, end + 1 - (place - begin))


@compiled
def follow(memory: Memory, feature: int, tail: int, log: Log, skip: int) -> None:
    """Take the records that have come, but leave out record ``skip``, the last inserted one (−1: none)."""
    to = get(tail, X_TO) - log.base
    while to < log.end:
        if to == skip:
            put(tail, X_PENDING, 1)
            put(log.index_at, I_PENDING, get(log.index_at, I_PENDING) + 1)
        else:
            insert(memory, feature, tail, log, to + log.base)
        to += 1
    put(tail, X_TO, to + log.base)


@compiled
def take_pending(memory: Memory, feature: int, tail: int, log: Log) -> None:
    """Take the record that was left out."""
    if get(tail, X_PENDING):
        put(tail, X_PENDING, 0)
        put(log.index_at, I_PENDING, get(log.index_at, I_PENDING) - 1)
        if get(log.index_at, I_OWN) >= get(tail, X_FROM):
            insert(memory, feature, tail, log, get(log.index_at, I_OWN))


@compiled
def drop_before(tail: int, stack: int, position: int) -> None:
    """Forget the records before a position."""
    first, end = get(tail, X_FIRST), get(tail, X_END)
    while first < end and get(stack, first) < position:
        first += 1
    put(tail, X_FIRST, first)
    put(tail, X_FROM, max(get(tail, X_FROM), position))
    put(tail, X_TO, max(get(tail, X_TO), position))


@compiled
def prepare_stack(memory: Memory, feature: int, tail: int, log: Log) -> bool:
    """Make sure that all records and one more fit; false for want of room in the pool. None may be left out."""
    block = get(tail, X_BLOCK)
    room = get(memory.sizes, block & 0xFF)
    if get(tail, X_END) + log.end + log.base - get(tail, X_TO) < room:
        return True
    follow(memory, feature, tail, log, -1)
    old, first = stack_address(memory, tail), get(tail, X_FIRST)
    length = get(tail, X_END) - first
    grows = 2 * length > room
    new_class = size_class(memory, 2 * room)
    if grows and not has_room(memory, new_class):
        return False
    if grows:
        put(tail, X_BLOCK, allocate(memory, new_class) << 8 | new_class)
    new = stack_address(memory, tail)
    for k in range(length):
        put(new, k, get(old, first + k))
    put(tail, X_FIRST, 0)
    put(tail, X_END, length)
    if grows:
        release(memory, block >> 8, block & 0xFF)
    return True


@compiled
def shift_stack(memory: Memory, tail: int, log: Log, position: int) -> None:
    """Note that the records from a position on have moved up by one, for a new one there."""
    stack = stack_address(memory, tail)
    if get(tail, X_DOUBT) > position:
        put(tail, X_DOUBT, get(tail, X_DOUBT) + 1)
    k = get(tail, X_END) - 1
    while k >= get(tail, X_FIRST) and get(stack, k) >= position:
        put(stack, k, get(stack, k) + 1)
        k -= 1
    if position < get(tail, X_FROM):
        put(tail, X_FROM, get(tail, X_FROM) + 1)
        put(tail, X_TO, get(tail, X_TO) + 1)
    elif position < get(tail, X_TO):
        put(tail, X_TO, get(tail, X_TO) + 1)
        put(tail, X_PENDING, 1)
        put(log.index_at, I_PENDING, get(log.index_at, I_PENDING) + 1)


@compiled
def read_extreme(memory: Memory, feature: int, tail: int, log: Log, after_ms: int, skip: int) -> Value:
    """The extreme above ``after_ms`` without record ``skip``; ``UNKNOWN`` where only the log knows."""
    bound = lower_bound(after_ms)
    own = get(log.index_at, I_OWN) - log.base
    if skip < 0 or skip != own:
        take_pending(memory, feature, tail, log)
    begin, to = get(tail, X_FROM) - log.base, get(tail, X_TO) - log.base
    if begin > log.first and time_word(log, begin - 1) >= bound:
        return UNKNOWN, 0, 0.0
    if skip >= 0 and (skip != own or (skip < to and not get(tail, X_PENDING))):
        return UNKNOWN, 0, 0.0
    while begin < log.end and time_word(log, begin) < bound:
        begin += 1
    drop_before(tail, stack_address(memory, tail), begin + log.base)
    follow(memory, feature, tail, log, skip)
    first = get(tail, X_FIRST)
    if first == get(tail, X_END):
        return NULL, 0, 0.0
    position = get(stack_address(memory, tail), first)
    if position < get(tail, X_DOUBT):
        position = first_equal(memory, feature, log, begin, skip, position)
    return word_value(memory, number_at(feature, log, position))


@compiled
def first_equal(memory: Memory, feature: int, log: Log, begin: int, skip: int, position: int) -> int:
    """The first position from record ``begin`` on, not ``skip``, with a number equal to that at ``position``."""
    word = number_at(feature, log, position)
    for record in range(begin, position - log.base):
        if record == skip or not has_bit(log, record, get(feature, F_WORD), get(feature, F_BIT)):
            continue
        other = number_at(feature, log, log.base + record)
        if is_number(memory, other) and not is_less(memory, other, word) and not is_less(memory, word, other):
            return log.base + record
    return position
