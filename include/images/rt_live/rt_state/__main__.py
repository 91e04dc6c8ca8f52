"""`python -m rt_state`: exit code 0 with both objects written, 1 failed, 2 wrong environment, 143 told to stop."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from types import FrameType

from rt_state.environment import Job
from rt_state.errors import JobError

STOPPED_EXIT_CODE = 128 + signal.SIGTERM


def main() -> int:
    """Runs the job of this process's environment; whatever goes wrong is one line of the log."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    # arrays of a thousand numbers: a thread per core of a big host would only cost start-up time
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        job = Job.from_environment(os.environ)
        # numpy and botocore: what a wrong environment need not pay
        from rt_state.job import run

        run(job, started)
    except JobError as error:
        print(f"error {error}", flush=True)
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        print(f"error unexpected {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
        return 1
    return 0


def _stop(_number: int, _frame: FrameType | None) -> None:
    # no exception: one raised inside a callback of a library could be swallowed, and there is nothing to clean up,
    # since objects are put whole
    os.write(1, b"stopped by SIGTERM before the result was whole\n")
    os._exit(STOPPED_EXIT_CODE)


if __name__ == "__main__":
    sys.exit(main())
