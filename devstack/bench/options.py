"""What ``make bench`` is asked for: variables of the environment, as make gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from devstack.errors import UsageError

SIDES = ("ours", "stock", "stock_logs", "executor")
PARTS = ("compare", "sizes", "large", "runs", "triggerers", "estimate", "ui")


@dataclass(frozen=True)
class Options:
    """The options of one benchmark.

    :param shards: SHARDS, on our side.
    :param stock_shards: STOCK_SHARDS, on the stock operator's side, and on ours for the comparison.
    :param executor_shards: EXECUTOR_SHARDS, of the AwsEcsExecutor.
    :param seconds: SECONDS that a shard runs.
    :param sides: SIDES.
    :param parts: SUITE, ``full`` is all. ``compare``: the sides; ``sizes``: more sizes of both, named shards and parse
        times; ``large``: 5,000 shards; ``runs``: five runs of 2,000 at once; ``triggerers``: 2,000 on one and on two;
        ``estimate``: what ``airflow ecs-feature estimate`` says, and what the runs then take; ``ui``: large boards.
    :param pace: PACE, of the local Fargate's state changes.
    :param triggerers: TRIGGERERS.
    :param capacity: CAPACITY of each triggerer.
    :param patch: PATCH, whether the plugin patches Airflow.
    """

    shards: int = 1000
    stock_shards: int = 100
    executor_shards: int = 20
    seconds: float = 10.0
    sides: tuple[str, ...] = ("ours", "stock")
    parts: tuple[str, ...] = ("compare",)
    pace: float = 0.01
    triggerers: int = 1
    capacity: int = 10_000
    patch: bool = False


def parse(environ: Mapping[str, str]) -> Options:
    """The options in an environment.

    :raises UsageError: one is wrong; the sentence names it and what is allowed.
    """
    full = environ.get("SUITE", "").strip() == "full"
    return Options(
        shards=_whole(environ, "SHARDS", Options.shards, 50_000),
        stock_shards=_whole(environ, "STOCK_SHARDS", Options.stock_shards, 10_000),
        executor_shards=_whole(environ, "EXECUTOR_SHARDS", Options.executor_shards, 1_000),
        seconds=_number(environ, "SECONDS", Options.seconds, 3600),
        sides=_names(environ, "SIDES", SIDES, Options.sides),
        parts=PARTS if full else _names(environ, "SUITE", PARTS, Options.parts),
        pace=_number(environ, "PACE", Options.pace, 10),
        triggerers=_whole(environ, "TRIGGERERS", Options.triggerers, 8),
        capacity=_whole(environ, "CAPACITY", Options.capacity, 100_000),
        patch=_flag(environ, "PATCH"),
    )


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip() or "0"
    if text not in ("0", "1"):
        raise UsageError(f"{name} is {text!r}, but must be 0 or 1, like {name}=1.")
    return text == "1"


def _names(environ: Mapping[str, str], name: str, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    given = [each.strip() for each in environ.get(name, "").split(",") if each.strip()] or default
    for each in given:
        if each not in known:
            raise UsageError(f"{name} has {each!r}, but may have {', '.join(known)}, like {name}={','.join(default)}.")
    return tuple(each for each in known if each in given)


def _whole(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environ.get(name, "").strip() or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise UsageError(f"{name} is {text!r}, but must be a whole number from 1 to {most}, like {name}={default}.")
    return int(text)


def _number(environ: Mapping[str, str], name: str, default: float, most: int) -> float:
    text = environ.get(name, "").strip() or str(default)
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise UsageError(f"{name} is {text!r}, but must be a number from 0 to {most}, like {name}={default:g}.")
    return value
