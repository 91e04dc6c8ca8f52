"""A rule for task definitions: what AWS says, where it says it, and the check."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fargate_local.shapes import JsonObject

Sentences = Iterator[str]
Check = Callable[["Definition"], Sentences]

FARGATE: Final = "FARGATE"
EC2: Final = "EC2"
EXTERNAL: Final = "EXTERNAL"
MANAGED_INSTANCES: Final = "MANAGED_INSTANCES"
LAUNCH_TYPES: Final = (EXTERNAL, EC2, MANAGED_INSTANCES, FARGATE)
"""In the order of `compatibilities` in what AWS answers."""

TASK: Final = "RegisterTaskDefinitionRequest"


@dataclass(frozen=True)
class Rule:
    """One constraint of task definitions.

    :param name: of its check; the tests have an accepted and a refused definition by it.
    :param members: of botocore's shapes, like `PortMapping.hostPort`; the first one's page is the rule's.
    :param says: the constraint.
    :param check: yields one sentence for each violation; None: fargate_local does not check it.
    :param launch_type: the rule only counts for definitions that are to be compatible with it; empty: for all.
    :param guide: the page of the developer guide, where it is not the shape's page of the API reference.
    :param why_not: why it is not checked.
    """

    name: str
    members: tuple[str, ...]
    says: str
    check: Check | None = None
    launch_type: str = ""
    guide: str = ""
    why_not: str = ""

    @property
    def page(self) -> str:
        """Page of docs.aws.amazon.com/AmazonECS/latest."""
        shape = self.members[0].partition(".")[0]
        api = "API_RegisterTaskDefinition" if shape == TASK else f"API_{shape}"
        return f"developerguide/{self.guide}" if self.guide else f"APIReference/{api}"


class Rules(list[Rule]):
    """The rules of one room; a check is added by decorating it."""

    def check(self, *members: str, says: str, launch_type: str = "", guide: str = "") -> Callable[[Check], Check]:
        """Add a rule whose check is the decorated function."""

        def add(check: Check) -> Check:
            name = check.__name__
            self.append(Rule(name, members, says, check, launch_type, guide))
            return check

        return add

    def not_checked(self, *members: str, says: str, why: str) -> None:
        """Add a constraint that is not checked."""
        self.append(Rule("", members, says, why_not=why))


class Definition:
    """A RegisterTaskDefinition request, as the checks read it. Its shape was checked by botocore's model."""

    def __init__(self, document: JsonObject) -> None:
        self.document = document
        self.containers: list[JsonObject] = document["containerDefinitions"]
        self.volumes: list[JsonObject] = document.get("volumes", [])
        self.names: list[str] = [container.get("name", "") for container in self.containers]
        self.network_mode: str = document.get("networkMode", "bridge")
        self.required: list[str] = document.get("requiresCompatibilities", [])

    @property
    def windows(self) -> bool:
        family: str = self.document.get("runtimePlatform", {}).get("operatingSystemFamily", "")
        return family.startswith("WINDOWS")

    def container(self, name: str) -> JsonObject | None:
        """The container of that name, or None."""
        return next((each for each in self.containers if each.get("name") == name), None)

    def each(self, path: str) -> Iterator[tuple[str, Any]]:
        """The containers' values at a path such as `portMappings[].hostPort`, each with its container's name."""
        for container in self.containers:
            for value in given(container, path):
                yield container.get("name", ""), value


def given(node: JsonObject, path: str) -> Iterator[Any]:
    """The values at a path below a structure: those that say something, so no empty list, text or false."""
    head, _, rest = path.partition(".")
    value = node.get(head.removesuffix("[]"))
    if value is None or value is False or value in ("", [], {}):
        return
    for one in value if head.endswith("[]") else [value]:
        if rest:
            yield from given(one, rest)
        else:
            yield one
