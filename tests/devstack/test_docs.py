"""Links in README.md and docs/ lead somewhere, and so do the pages that sentences of the package name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "fargate_local" / "README.md", *(ROOT / "docs").glob("*.md")])


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of the headings, and those that are written."""
    text = path.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    written = set(re.findall(r'<a id="([^"]+)">', text))
    return written | {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(path), f"{page.name} links to {target}"


def test_the_pages_that_sentences_name_are_there() -> None:
    named = {
        (file.name, name)
        for file in (ROOT / "plugins" / "ecs_feature").rglob("*.py")
        for name in re.findall(r"docs/[\w/-]+\.md", file.read_text())
    }
    assert len(named) > 5
    assert [each for each in sorted(named) if not (ROOT / each[1]).exists()] == []


def test_the_start_page_names_every_page() -> None:
    text = (ROOT / "docs" / "README.md").read_text()
    left_out = {"README.md", "package.md"}  # itself, and what only the wheel shows
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - left_out
    assert [name for name in sorted(pages) if f"({name}" not in text] == []


def test_readme_is_no_manual_and_its_first_pipeline_takes_eight_lines() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 110
    first = lines.index("```python")
    assert lines.index("```", first) - first - 1 == 8
