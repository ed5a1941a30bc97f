"""`cem simulate` as the scenarios see it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.process import ROOT
from flows.services.process import wait_until

_BEGIN_S, _END_S, _BACKLOG_S = 90.0, 90.0, 900.0


class TrafficError(Exception):
    """The traffic failed; with what it said."""


class Traffic:
    """Events at a steady ``rate`` until it is told to stop, or a ``backlog`` of the last hour as fast as possible.

    What was acknowledged is recorded in ``record``.
    """

    def __init__(
        self, config: Path, record: Path, log: Path, rate: float | None, customers: int, seed: int, backlog: int = 0
    ) -> None:
        self.record, self._log = record, log
        command = [sys.executable, "-m", "flows.cli", "simulate", "--config", str(config), "--record", str(record)]
        command += ["--customers", str(customers), "--seed", str(seed)]
        command += ["--backlog", str(backlog)] if rate is None else ["--rate", str(rate)]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def wait_begun(self) -> None:
        """Returns when events are acknowledged."""
        if not wait_until(lambda: any(self.record.glob("*.ndjson")) or self._process.poll() is not None, _BEGIN_S):
            raise TrafficError(f"no event was acknowledged:\n{self._said()}")

    def wait_ended(self) -> None:
        """Returns when a backlog is acknowledged."""
        code = self._process.wait(_BACKLOG_S)
        if code:
            raise TrafficError(f"the traffic ended with {code}:\n{self._said()}")

    def stop(self) -> None:
        """Returns when all that was sent is acknowledged and recorded."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if code:
            raise TrafficError(f"the traffic ended with {code}:\n{self._said()}")

    def close(self) -> None:
        """End it however it can be ended."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _said(self) -> str:
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
