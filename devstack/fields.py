"""Writes docs/fields.md, the reference page of all fields, from the dataclasses: ``python -m devstack.fields``."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from typing import Any, Final

from devstack.processes import ROOT
from ecs_feature.pipeline import Partial, ScaledService, Variant, WorkerService
from ecs_feature.pipeline.spec import PipelineSpec
from ecs_feature.tasks.capacity import Fallback
from ecs_feature.tasks.volumes import EbsVolume

PAGE: Final = ROOT / "docs" / "fields.md"
CLASSES: Final[dict[str, type]] = {
    "FeaturePipeline": PipelineSpec,
    "Variant": Variant,
    "ScaledService": ScaledService,
    "WorkerService": WorkerService,
    "Partial": Partial,
    "Fallback": Fallback,
    "EbsVolume": EbsVolume,
}
_PARAM = re.compile(r"^ *:param (\w+): (.*?)(?=^ *:\w|\Z)", re.MULTILINE | re.DOTALL)


def page() -> str:
    """The whole page."""
    intro = (
        "# All fields\n\n"
        "Made from the docstrings with `python -m devstack.fields`; a test compares the two. A wrong value is an\n"
        "import error of the DAG. `${NAME}` in a string is the environment file's value ([pipeline.md](pipeline.md)).\n"
    )
    return "\n".join([intro, *(_section(name, kind) for name, kind in CLASSES.items())])


def _section(name: str, kind: type) -> str:
    docs = (base.__doc__ or "" for base in reversed(kind.__mro__) if base is not object)
    meanings = {match[1]: _plain(match[2]) for doc in docs for match in _PARAM.finditer(doc)}
    shown = [item for item in fields(kind) if item.repr]
    rows = [
        f"| `{item.name}` | {_default(item)} | {meanings[item.name]} |"
        for item in sorted(shown, key=lambda item: list(meanings).index(item.name))
    ]
    return "\n".join([f"## {name}", "", "| field | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _plain(text: str) -> str:
    """reStructuredText of a docstring as Markdown in a table's cell."""
    words = " ".join(text.split())
    words = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", words)
    return words.replace("``", "`").replace("|", "\\|")


def _default(item: Field[Any]) -> str:
    if item.default is MISSING and item.default_factory is MISSING:
        return "required"
    value = item.default_factory() if item.default_factory is not MISSING else item.default
    text = str(value) if type(value).__name__ == "timedelta" else repr(value)
    return f"`{text}`" if text not in ("''", "()", "{}") else "none"


if __name__ == "__main__":
    PAGE.write_text(page())
