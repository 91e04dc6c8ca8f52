"""The states, which are the pipeline's shards."""

from __future__ import annotations

from typing import Final

STATES: Final = (
    *("AK", "AL", "AR", "AZ", "CA", "CO", "CT", "DC", "DE", "FL", "GA", "HI", "IA", "ID", "IL", "IN", "KS"),
    *("KY", "LA", "MA", "MD", "ME", "MI", "MN", "MO", "MS", "MT", "NC", "ND", "NE", "NH", "NJ", "NM", "NV"),
    *("NY", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VA", "VT", "WA", "WI", "WV", "WY"),
)
"""The fifty states and DC, by their letters. The source also has five territories, which rt.live left out."""
