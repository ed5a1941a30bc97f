"""Seeds of random tests: the first few run in the suite, the others with ``-m slow``."""

from typing import Any

import pytest


def seeds(in_the_suite: int, in_all: int) -> list[Any]:
    """``0`` to ``in_all - 1``; those from ``in_the_suite`` on are marked slow."""
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(in_the_suite, in_all)]
    return [*range(in_the_suite), *slow]
