"""How much of its triggers' log records a triggerer's supervisor reads at once."""

from __future__ import annotations

from typing import Final

READ_BYTES: Final = 64 << 10
"""Per round of the supervisor; Airflow has 4 KiB."""
TARGETS: Final = {
    "airflow.sdk.execution_time.supervisor": {
        "make_buffered_socket_reader": "7910f9793ff10cd8f4100d11672c805e5fcd595349791c4bd893ab8d248be2f3",
    },
}


def larger_log_reads() -> None:
    """Let the supervisor read up to 64 KiB of log records in each of its rounds.

    In each round it also asks the database for all its triggers, 13 ms of CPU. A shard's five records are 2.3 KiB, so
    that 4 KiB a round meant 600 rounds for 1,000 shards, and hundreds that started at once filled the socket: the
    event loop of all shards waited until the supervisor had read.

    It is the default of a parameter that Airflow's callers leave out.
    """
    from airflow.sdk.execution_time.supervisor import make_buffered_socket_reader

    make_buffered_socket_reader.__kwdefaults__["buffer_size"] = READ_BYTES
