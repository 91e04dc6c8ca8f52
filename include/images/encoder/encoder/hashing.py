"""Signed feature hashing (Weinberger et al., 2009), exactly specified so that anybody can recompute an
encoding.

A row's terms are `column=value` for each column, and `a*b=value of a*value of b` for each cross (a, b); an
integer is written in decimal. For each term, h is the BLAKE2b digest of its UTF-8 bytes, 8 bytes long, read
as a big-endian unsigned integer. The term adds +1 (top bit of h is 0) or -1 (top bit is 1) to component h mod
dimensions. Where the variant says so, the vector is then divided by its Euclidean length, unless that is 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

Value = str | int


@dataclass(frozen=True)
class Encoder:
    """A variant's encoder: its columns, what it crosses, and the length of its vectors."""

    variant: str
    columns: tuple[str, ...]
    crosses: tuple[tuple[str, str], ...]
    dimensions: int
    l2_normalised: bool

    def encode(self, row: Mapping[str, Value]) -> list[float]:
        """The row's vector, `dimensions` floats; the row has a value for each of `columns`."""
        sums = [0] * self.dimensions
        for term in self._terms(row):
            hashed = _hash(term)
            sums[hashed % self.dimensions] += -1 if hashed >> 63 else 1
        length = math.sqrt(sum(each * each for each in sums)) if self.l2_normalised else 1.0
        return [each / length if length else 0.0 for each in sums]

    def _terms(self, row: Mapping[str, Value]) -> Iterator[str]:
        for column in self.columns:
            yield f"{column}={row[column]}"
        for first, second in self.crosses:
            yield f"{first}*{second}={row[first]}*{row[second]}"


@lru_cache(maxsize=4096)
def _hash(term: str) -> int:
    return int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "big")
