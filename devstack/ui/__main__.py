"""``python -m devstack.ui``: the seeded Airflow, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time

from devstack import interrupts

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run it; the exit code is 0, 1 (failed), 2 (refused) or 130 (interrupted)."""
    interrupts.install()
    parser = argparse.ArgumentParser(prog="python -m devstack.ui", description="An Airflow with past runs, seeded.")
    parser.add_argument("--port", type=int, default=8123, help="of the UI")
    parser.add_argument("--shards", type=int, default=500, help="of the mapped pipeline")
    parser.add_argument("--runs", type=int, default=30, help="of the mapped pipeline")
    parser.add_argument("--named-runs", type=int, default=30, help="of the named pipeline")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--base-path", default="", help="like /airflow")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL instead of SQLite, for large boards")
    asked = parser.parse_args(arguments)
    try:
        from devstack import ports
        from devstack.errors import StackError
        from devstack.processes import ROOT
        from devstack.ui import boards
        from devstack.ui.stack import USERS, UiStack

        size = boards.Size(asked.shards, asked.runs, asked.named_runs, asked.seed)
        try:
            port = ports.require(asked.port)
            folder = ROOT / "build" / "ui" / str(port)
            with UiStack(folder, size, port=port, base_path=asked.base_path, postgres=asked.postgres) as stack:
                print(f"Airflow  {stack.url}  (seeded in {stack.seeded_seconds:.0f} s; logs in {folder}/logs)")
                logins = (f"{name}/{name} ({role or 'no role'})" for name, role in USERS.items())
                print("logins  ", ", ".join(logins))
                for dag_id in (boards.NAMED, boards.MAPPED, boards.HOSTILE_DAG, boards.EMPTY, boards.FOREIGN):
                    print(f"         {stack.url}/dags/{dag_id}/plugin/shards")
                print("Ctrl-C stops everything.", flush=True)
                while True:
                    assert stack.processes is not None
                    stack.processes.check()
                    time.sleep(1)
        except StackError as error:
            sys.stderr.write(f"{error}\n")
            return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; nothing is left running.\n")
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
