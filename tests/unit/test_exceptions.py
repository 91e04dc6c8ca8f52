"""The tree of exceptions."""

from __future__ import annotations

import pickle

import pytest

from ecs_feature import exceptions

CLASSES = [
    value
    for value in vars(exceptions).values()
    if isinstance(value, type) and issubclass(value, exceptions.EcsFeatureError)
]
MADE = {
    exceptions.ShardFailedError: exceptions.ShardFailedError("Shard UA: x.", "lost"),
    exceptions.ClientTokenConflictError: exceptions.ClientTokenConflictError("m", "c", "RunTask", ("arn",)),
}


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_exception_pickles_with_its_message_and_fields(cls: type[Exception]) -> None:
    error = MADE.get(cls) or cls("one sentence.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_the_docstring_is_the_tree() -> None:
    listed = {line.split()[1] for line in (exceptions.__doc__ or "").splitlines() if line.strip().startswith("*")}
    assert listed == {cls.__name__ for cls in CLASSES}
