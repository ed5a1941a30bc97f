"""One process of a live cluster: ``python -m flows.live.worker SCRATCH INDEX ADDRESS…``."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from flows.cluster import report_path
from flows.failures import failure_message, known_failure
from flows.kernels import warm_up
from flows.live.consumer import is_loopback
from flows.live.health import Health, HealthServer
from flows.live.job import LiveJob
from flows.live.logs import set_up_logs
from flows.live.meters import Meters
from flows.live.observing import BROKERS, TOPICS
from flows.live.run import run_process
from flows.live.sink_events import LiveSinkEvents
from flows.live.supervisor import LOST, job_path
from sinks.contract import SinkStopped

_LOG = logging.getLogger(__name__)

FAILED = 3


def main() -> int:
    """Run until SIGTERM; a failure is a report in the scratch folder and exit code 3."""
    scratch, index = Path(sys.argv[1]), int(sys.argv[2])
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the process that started us acts on it
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def report(error: BaseException) -> NoReturn:
        """Say why and end at once: the runtime would only panic, and the other processes with it."""
        if isinstance(error, SinkStopped):
            _LOG.warning("stopped: %s; what it did not take comes again after the next start", error)
            os._exit(0)
        known = known_failure(error)
        report_path(scratch, index, known=known is not None).write_text(failure_message(error), encoding="utf-8")
        if known is None:
            # Of the runtime's own errors the text is shown, masked or not: it names steps and parts, no customers.
            text = str(error).partition("\n")[0][:300] if type(error) is RuntimeError else type(error).__name__
            _LOG.error("failed: %s", text, exc_info=error)
        os._exit(FAILED)

    try:
        job: LiveJob = pickle.loads(job_path(scratch, index).read_bytes())
        job_path(scratch, index).unlink()
        log = job.settings.log
        set_up_logs(log.level, log.format, mask=log.mask, key=log.mask_key, worker=index)
        meters, health = Meters(), Health((TOPICS, BROKERS))
        meters.restarts(job.restarts)
        http = job.settings.http
        with HealthServer(http.host, http_port(http.port, index, sys.argv[3:]), meters, health) as server:
            _LOG.info("metrics and health on %s:%d", http.host, server.port)
            warm_up()
            events = LiveSinkEvents(meters, health, stop)
            run_process(job, sys.argv[3:], index, meters=meters, health=health, events=events, stop=stop, report=report)
    except Exception as error:
        report(error)
    except BaseException as error:
        # A panic of the runtime is no Exception. What our code raises was told before: this is the end of another
        # process, without which the runtime cannot go on.
        _LOG.warning("the cluster has lost a process (%s)", type(error).__name__)
        os._exit(LOST)
    return 0


def http_port(port: int, index: int, addresses: Sequence[str]) -> int:
    """Where a process listens: processes of one machine side by side, those of several hosts each on ``port``."""
    return port + index if port and all(map(is_loopback, addresses)) else port


def _end_with_parent() -> None:
    """Standard input ends when the process that started us does, however it ended."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(FAILED)


if __name__ == "__main__":
    sys.exit(main())
