"""The frontier over several inputs."""

from state.sequencer import AFTER_ALL_MS, BEFORE_ALL_MS, Frontier


def test_the_frontier_is_the_lowest_watermark_and_never_falls():
    frontier = Frontier(3)
    assert frontier.ms == BEFORE_ALL_MS
    for source, watermark_ms, want in [(0, 9, -1), (1, 5, -1), (2, 7, 5), (1, 3, 5), (1, 8, 7), (2, AFTER_ALL_MS, 8)]:
        frontier.advance(source, watermark_ms)
        assert frontier.ms == want
    frontier.advance(0, AFTER_ALL_MS)
    frontier.advance(1, AFTER_ALL_MS)
    assert frontier.ms == AFTER_ALL_MS
