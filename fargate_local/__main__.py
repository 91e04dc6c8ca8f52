"""`python -m fargate_local`: start a server, print the exports a shell needs, serve until a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import shlex
import signal
import sys
from pathlib import Path

from fargate_local.instances import InstanceSpec
from fargate_local.runtimes.engine_api import EngineError
from fargate_local.server import Server
from fargate_local.settings import RUNTIMES, Settings


def parse(arguments: list[str]) -> Settings:
    """The settings that the command line asks for. Exits with one sentence when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m fargate_local", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    parser.add_argument("--images", type=Path, help="folder with one folder per container image")
    parser.add_argument("--state-dir", type=Path, help="folder for EFS volumes and tasks' scratch space")
    parser.add_argument("--keep", action="store_true", help="keep S3 and task definitions in the state folder")
    parser.add_argument("--efs", action="append", default=[], metavar="FS_ID=DIR", help="folder of an EFS file system")
    parser.add_argument("--runtime", choices=RUNTIMES, default="process", help="what runs containers (%(default)s)")
    parser.add_argument(
        "--engine", metavar="URL", help="of the docker runtime: unix:///path or tcp://host:port; else DOCKER_HOST"
    )
    parser.add_argument("--engine-network", metavar="NAME", help="the engine's network for all tasks; else one is made")
    parser.add_argument(
        "--owner", metavar="NAME", help="removes what an earlier server of this name left on the engine"
    )
    parser.add_argument("--advertised-host", metavar="NAME", help="by which others reach this machine, for all URLs")
    parser.add_argument("--pace", type=float, default=0.01, help="1 waits like Fargate, 0 not at all (%(default)s)")
    parser.add_argument("--quotas", action=argparse.BooleanOptionalAction, default=True, help="ECS's rate quotas")
    parser.add_argument("--fargate-vcpus", type=float, default=4000.0, help="vCPUs that may run at once (%(default)s)")
    parser.add_argument("--instance", action="append", default=[], metavar="CLUSTER=VCPUS:MIB[:PROVIDER]",
                        help="an EC2 container instance; may be given again and again")  # fmt: skip
    parser.add_argument("--load-balancer-port", action="append", default=[], metavar="GROUP=PORT",
                        help="local port of a target group, by its name")  # fmt: skip
    parser.add_argument("--load-balancer-ports", metavar="FIRST-LAST",
                        help="ports of the other target groups: each has the one that its name decides")  # fmt: skip
    parser.add_argument("--verbose", action="store_true", help="log to stderr")
    given = parser.parse_args(arguments)
    try:
        return Settings(
            host=given.host,
            port=given.port,
            images=given.images,
            state_dir=given.state_dir,
            keep=given.keep,
            efs={name: Path(folder).resolve() for name, folder in _pairs("--efs", given.efs)},
            engine=given.engine,
            engine_network=given.engine_network,
            owner=given.owner,
            advertised_host=given.advertised_host,
            load_balancer_range=_range("--load-balancer-ports", given.load_balancer_ports),
            pace=given.pace,
            quotas=given.quotas,
            runtime=given.runtime,
            fargate_vcpus=given.fargate_vcpus,
            instances=_instances(_pairs("--instance", given.instance)),
            load_balancer_ports={n: int(p) for n, p in _pairs("--load-balancer-port", given.load_balancer_port)},
            verbose=given.verbose,
        )
    except ValueError as error:
        parser.error(str(error))


def _instances(given: list[tuple[str, str]]) -> dict[str, list[InstanceSpec]]:
    found: dict[str, list[InstanceSpec]] = {}
    for cluster, text in given:
        found.setdefault(cluster, []).append(InstanceSpec.parse(text))
    return found


def _range(option: str, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, found, last = text.partition("-")
    if not (found and first.isdecimal() and last.isdecimal()):
        raise ValueError(f"{option} is {text!r}: it must be like 20000-29999")
    return int(first), int(last)


def _pairs(option: str, values: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for value in values:
        name, found, rest = value.partition("=")
        if not found or not name or not rest:
            raise ValueError(f"{option} is {value!r}: it must be like NAME=VALUE")
        pairs.append((name, rest))
    return pairs


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    server = Server(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    ready = asyncio.Event()
    serving = asyncio.create_task(server.serve(ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if ready.is_set():
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in server.environ.items())
        sys.stdout.write(exports)
        sys.stdout.flush()
    await serving


def main() -> None:
    """The command line."""
    settings = parse(sys.argv[1:])
    if settings.verbose:
        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        asyncio.run(serve(settings))
    except EngineError as error:
        sys.exit(f"fargate_local: {error}: start one, name it with --engine or DOCKER_HOST, or use --runtime process")
    except OSError as error:
        sys.exit(f"fargate_local cannot listen on {settings.host}:{settings.port}: {error.strerror}")


if __name__ == "__main__":
    main()
