"""The benchmark itself, small: twenty shards of a second, on SQLite; and what the estimate says of once more."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from devstack.bench import estimates
from devstack.bench.fan_outs import FanOut
from devstack.bench.site import bench
from devstack.processes import ROOT

FOLDER = ROOT / "build" / "test" / "bench"


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_fan_out_of_ours_is_measured_and_takes_one_launch_and_no_worker_a_shard() -> None:
    fan_out = FanOut("ours", 20, 1)
    with bench(FOLDER, pace=0.01, capacity=1000, postgres=False, fan_outs=[fan_out]) as running:
        measured = running.run(fan_out, timeout_seconds=120)
        again = estimates.predicted(
            running, fan_out.dag_id, (), lambda: [running.stack.api.trigger(fan_out.dag_id, datetime.now(UTC))]
        )
    assert measured.succeeded == 20
    assert measured.worker_starts == 0
    assert measured.api_calls["RunTask"] == 20
    assert measured.throttled_calls == 0
    assert len(measured.launches) == 20
    assert measured.limit_seconds == pytest.approx(1.42)
    assert measured.makespan_seconds > measured.limit_seconds
    assert measured.cpu_seconds_per_shard > 0
    assert measured.triggerer_peak_mib > 50
    assert again.ran.shards == again.answer["shards"]["p50"] == 20
    assert again.answer["max_vcpus"] == 4000  # asked of the local Service Quotas
    assert again.cost_error == pytest.approx(0, abs=0.01)
    assert again.time_error > -0.6  # the past is the triggerer's first run, and so a slow one: too much is said here
