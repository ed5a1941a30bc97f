"""What becomes of a test whose server cannot be started."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from flows.services.process import ServiceError


def give_up(what: str, error: ServiceError) -> NoReturn:
    """Fails the test in CI, skips it elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} cannot be started: {error}", pytrace=False)
    pytest.skip(f"{what} cannot be started: {str(error).splitlines()[0]}")
