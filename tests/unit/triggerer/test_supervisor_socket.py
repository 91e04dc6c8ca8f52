"""How far the other end of a socket has read."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecs_feature.triggerer import supervisor_socket
from ecs_feature.triggerer.supervisor_socket import SupervisorSocket

Sockets = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_an_empty_socket_has_been_read(sockets: Sockets) -> None:
    pipe = SupervisorSocket(sockets[0].fileno())
    assert pipe.has_read(pipe.position())


def test_what_comes_after_is_not_waited_for(sockets: Sockets) -> None:
    ours, theirs = sockets
    pipe = SupervisorSocket(ours.fileno())
    ours.send(b"x" * 400)
    position = pipe.position()
    for _ in range(3):
        ours.send(b"y" * 400)
    later = pipe.position()
    assert not pipe.has_read(position)
    theirs.recv(400)
    assert pipe.has_read(position)
    assert not pipe.has_read(later)


def test_what_others_write_unseen_makes_it_later_never_never(sockets: Sockets) -> None:
    ours, theirs = sockets
    pipe = SupervisorSocket(ours.fileno())
    ours.send(b"x" * 400)
    position = pipe.position()
    theirs.recv(400)
    ours.send(b"y" * 400)
    assert not pipe.has_read(position)
    theirs.recv(400)
    assert pipe.has_read(position)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ours", "others", "read", "look"]), st.integers(1, 5000)), max_size=60))
def test_nothing_counts_as_read_before_it_is(steps: list[tuple[str, int]]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pipe = SupervisorSocket(ours.fileno())
        written = read = 0
        positions: list[tuple[int, int]] = []
        for step, size in steps:
            if step == "read" and written > read:
                read += len(theirs.recv(size))
            elif step in ("ours", "others"):
                written += ours.send(b"x" * size)
                if step == "ours":
                    positions.append((pipe.position(), written))
            assert all(read >= byte for position, byte in positions if pipe.has_read(position))
        while read < written:
            read += len(theirs.recv(4096))
        assert all(pipe.has_read(position) for position, _ in positions)


async def test_a_supervisor_that_does_not_read_holds_a_shard_up_for_so_long(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_socket, "TIMEOUT_SECONDS", 0.2)
    sockets[0].send(b"line")
    pipe = SupervisorSocket(sockets[0].fileno())
    await pipe.read(pipe.position())
    assert not pipe.has_read(pipe.position())
