from __future__ import annotations

from datetime import date

import pytest

from devstack.errors import UsageError
from devstack.ports import free, parse, require, taken
from devstack.runs import first_failures, parse_day


@pytest.mark.parametrize("text", ["2013-01-01", "2013-02-28", "2013-12-31"])
def test_a_day_of_2013_is_accepted(text: str) -> None:
    assert parse_day(text) == date.fromisoformat(text)


@pytest.mark.parametrize(
    "text",
    ["2012-12-31", "2014-01-01", "2013-02-29", "2013-1-1", "20130101", "2013-W01-1", "tomorrow", "", "٢٠١٣-01-01"],
)
def test_another_day_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_day(text)
    assert str(caught.value) == (
        f"DATE is {text!r}, but must be a day of 2013, which is all that the source has, like DATE=2013-02-08."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["0", "80", "65536", "-1", "8080.0", "http", ""])
def test_a_port_that_no_user_may_take_is_refused(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"^PORT is .*, but must be a whole number from 1024 to 65535, like PORT=8081\.$"
    ):
        parse(text)


@pytest.mark.parametrize(
    ("port", "who", "sentence"),
    [
        (
            8080,
            "python3 (process 4711)",
            "Port 8080 on 127.0.0.1 is taken by python3 (process 4711): stop that program, or choose another port "
            "with PORT=8081.",
        ),
        (65535, None, "Port 65535 on 127.0.0.1 is taken: stop that program, or choose another port with PORT=65534."),
    ],
)
def test_the_sentence_for_a_taken_port_names_who_takes_it_and_the_way_out(
    port: int, who: str | None, sentence: str
) -> None:
    assert taken(port, who) == sentence


def test_a_taken_port_is_refused_and_a_free_one_is_not() -> None:
    import socket

    (port,) = free(1)
    assert require(port) == port
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with pytest.raises(UsageError, match=f"Port {port} on 127.0.0.1 is taken"):
            require(port)


def test_free_ports_differ() -> None:
    assert len(set(free(5))) == 5


def test_the_task_that_failed_first_comes_first_and_upstream_failures_are_left_out() -> None:
    instances = [
        {"task_id": "receipt", "state": "upstream_failed", "end_date": "2013-01-01T00:00:01Z"},
        {"task_id": "late", "state": "failed", "end_date": "2013-01-01T00:00:09Z"},
        {"task_id": "early", "state": "failed", "end_date": "2013-01-01T00:00:05Z"},
        {"task_id": "good", "state": "success", "end_date": "2013-01-01T00:00:02Z"},
    ]
    assert [each["task_id"] for each in first_failures(instances)] == ["early", "late"]
