"""One process of a replay with several: ``python -m flows.worker SCRATCH INDEX ADDRESS…``."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from flows.failures import failure_message
from flows.replay import ReplayJob, run_worker


def main() -> int:
    """Run the job that lies in the scratch folder; a failure is one message on stderr and exit code 3."""
    scratch, index, *addresses = sys.argv[1:]
    job: ReplayJob = pickle.loads((Path(scratch) / "job.pickle").read_bytes())
    try:
        run_worker(job, Path(scratch), addresses, int(index))
    except BaseException as error:
        print(failure_message(error), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
