"""One process of a replay with several: ``python -m flows.worker SCRATCH INDEX ADDRESS…``."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from flows.cluster import report_path
from flows.failures import failure_message, known_failure
from flows.kernels import warm_up
from flows.replay import ReplayJob, run_worker
from operators.exchange import Exchange, join_exchange

FAILED = 3


def main() -> int:
    """Run the job that lies in the scratch folder; a failure is a report in that folder and exit code 3."""
    scratch, index = Path(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the process that started us acts on it
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def report(error: BaseException) -> NoReturn:
        """Say why and end at once: the runtime would only panic, and the other processes with it."""
        path = report_path(scratch, index, known=known_failure(error) is not None)
        path.write_text(failure_message(error), encoding="utf-8")
        os._exit(FAILED)

    try:
        warm_up()
        job: ReplayJob
        shared: int | None
        job, shared = pickle.loads((scratch / "job.pickle").read_bytes())
        if shared is not None:
            join_exchange(Exchange(shared, index))
        run_worker(job, scratch, sys.argv[3:], index, report)
    except Exception as error:  # a panic of the runtime is none: it follows the failure of another process
        report(error)
    gc.freeze()  # else the interpreter looks for cycles in everything before it ends, for some tenths of a second
    return 0


def _end_with_parent() -> None:
    """Standard input ends when the process that started us does, however it ended."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(FAILED)


if __name__ == "__main__":
    sys.exit(main())
