"""All rules for task definitions: to check one, to tell what it is compatible with, and to read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fargate_local.definitions import (
    container_rules,
    linux_rules,
    logging_rules,
    network_rules,
    startup_rules,
    task_rules,
    volume_rules,
)
from fargate_local.definitions.rule import LAUNCH_TYPES, Definition, Rule
from fargate_local.errors import ApiError
from fargate_local.shapes import JsonObject

CODE: Final = "ClientException"
"""Of every refusal: AmazonECS/latest/APIReference/API_RegisterTaskDefinition (requiresCompatibilities, errors)."""

RULES: tuple[Rule, ...] = (
    *task_rules.RULES,
    *container_rules.RULES,
    *network_rules.RULES,
    *volume_rules.RULES,
    *startup_rules.RULES,
    *logging_rules.RULES,
    *linux_rules.RULES,
)


def check_definition(document: JsonObject) -> None:
    """Check a RegisterTaskDefinition request whose shape is right.

    :raises ApiError: ClientException, the first rule that it breaks.
    """
    task = Definition(document)
    for launch_type in ("", *task.required):
        for sentence in violations(task, launch_type):
            raise ApiError(CODE, sentence)


def compatibilities(document: JsonObject) -> list[str]:
    """The launch types whose rules a valid definition keeps, as AWS tells them of a registered one."""
    task = Definition(document)
    return [each for each in LAUNCH_TYPES if next(violations(task, each), None) is None]


def violations(task: Definition, launch_type: str) -> Iterator[str]:
    """One sentence for each violation of the rules of a launch type; empty: of those for every definition.

    The later rules rely on the earlier ones: only the first sentence is sure.
    """
    for rule in RULES:
        if rule.check is not None and rule.launch_type == launch_type:
            yield from rule.check(task)


def as_markdown() -> str:
    """The table, by page."""
    lines = [
        "# What RegisterTaskDefinition refuses",
        "",
        "Made from `table.py` by `python -m fargate_local.definitions`. Pages are below",
        "https://docs.aws.amazon.com/AmazonECS/latest/. A rule of a launch type counts when `requiresCompatibilities`",
        "names it; otherwise the definition is not compatible with that launch type.",
    ]
    for page in sorted({rule.page for rule in RULES}):
        lines += ["", f"## {page}", "", "| member | constraint | launch type | code, or why not checked |"]
        lines += ["| --- | --- | --- | --- |"]
        for rule in RULES:
            if rule.page == page:
                answer = f"not checked: {rule.why_not}" if rule.check is None else CODE
                members = ", ".join(f"`{member.partition('.')[2]}`" for member in rule.members)
                lines.append(f"| {members} | {rule.says} | {rule.launch_type} | {answer} |")
    return "\n".join(lines) + "\n"
