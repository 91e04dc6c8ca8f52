"""docs/fields.md and the dataclasses say the same."""

from __future__ import annotations

from dataclasses import fields

import pytest

from devstack.fields import CLASSES, PAGE, page


def test_the_page_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text() == page(), "write it anew: .venv/bin/python -m devstack.fields"


@pytest.mark.parametrize("name", CLASSES)
def test_every_field_has_a_row_with_a_meaning(name: str) -> None:
    section = page().partition(f"## {name}\n")[2].partition("\n## ")[0]
    rows = {line.split("`")[1]: line for line in section.splitlines() if line.startswith("| `")}
    assert set(rows) == {item.name for item in fields(CLASSES[name]) if item.repr}
    assert all(len(line.split(" | ")[2]) > 5 for line in rows.values())
