"""Asks the encoder service for encodings, batch by batch, and waits while it is briefly not there."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import urllib3

from flight_features.errors import JobError

BATCH_ROWS = 100
"""Rows of one request: well below the encoder's limit, and small enough to spread a big shard over its
replicas."""

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0

Row = dict[str, str | int]


class _Unavailable(Exception):
    """This try found no encoder; another may."""


class EncoderClient:
    """One encoder service.

    :param patience_seconds: how long a batch may find no encoder (refused connection, timeout, 5xx) before it
        fails.
    """

    def __init__(
        self,
        url: str,
        token: str,
        variant: str,
        patience_seconds: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = f"{url}/encode"
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._variant = variant
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._clock = clock
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=3, read=30))

    def encode(self, rows: Sequence[Row], on_batch: Callable[[int], None] = lambda done: None) -> list[list[float]]:
        """One list of floats for each row, all of the same length, in the rows' order.

        :param on_batch: called with the number of rows encoded so far.
        :raises JobError: refused, not available within the patience, or answered with something else than
            encodings.
        """
        encodings: list[list[float]] = []
        dimensions = None
        for start in range(0, len(rows), BATCH_ROWS):
            batch = rows[start : start + BATCH_ROWS]
            answer = self._patiently(batch)
            dimensions = dimensions or answer.get("dimensions")
            self._check(answer, len(batch), dimensions)
            encodings += answer["encodings"]
            on_batch(len(encodings))
        return encodings

    def _patiently(self, batch: Sequence[Row]) -> dict[str, Any]:
        deadline = self._clock() + self._patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return self._ask(batch)
            except _Unavailable as error:
                if self._clock() + pause > deadline:
                    raise JobError(
                        f"encoder {self._endpoint} was not available for {self._patience_seconds:g} seconds "
                        f"(last answer: {error}): is its service scaled up and healthy?"
                    ) from None
            # shards start together; without the random part they would come back together too
            self._sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _ask(self, batch: Sequence[Row]) -> dict[str, Any]:
        body = json.dumps({"rows": batch}).encode()
        try:
            response = self._pool.request("POST", self._endpoint, body=body, headers=self._headers, redirect=False)
        except urllib3.exceptions.LocationParseError as error:
            raise JobError(f"encoder {self._endpoint} is no address: {error}.") from None
        except urllib3.exceptions.HTTPError as error:
            raise _Unavailable(type(error).__name__) from None
        if response.status >= 500:
            raise _Unavailable(f"HTTP {response.status}")
        if response.status == 401:
            raise JobError(
                f"encoder {self._endpoint} refused the bearer token (HTTP 401): check ENCODER_TOKEN's secret."
            )
        if response.status != 200:
            text = " ".join(response.data[:300].decode("utf-8", "replace").split())
            raise JobError(f"encoder {self._endpoint} refused the rows (HTTP {response.status}): {text}")
        try:
            answer = json.loads(response.data)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise JobError(f"encoder {self._endpoint} answered no JSON object.")
        return answer

    def _check(self, answer: dict[str, Any], rows: int, dimensions: object) -> None:
        if answer.get("variant") != self._variant:
            raise JobError(
                f"encoder {self._endpoint} is of variant {answer.get('variant')!r}, "
                f"the job of {self._variant!r}: "
                "check ENCODER_URL."
            )
        encodings = answer.get("encodings")
        if not isinstance(encodings, list) or len(encodings) != rows:
            raise JobError(f"encoder {self._endpoint} did not answer one encoding for each of {rows} rows.")
        if answer.get("dimensions") != dimensions or any(not _is_vector(each, dimensions) for each in encodings):
            raise JobError(f"encoder {self._endpoint} answered encodings that are not all {dimensions} numbers long.")


def _is_vector(value: object, dimensions: object) -> bool:
    return isinstance(value, list) and len(value) == dimensions and all(type(each) in (int, float) for each in value)
