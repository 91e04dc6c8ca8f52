"""Task definition files as people have them: from an editor, the console, or describe-task-definition."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ecs_feature.environment import CONTRACT_VARIABLES, substitute
from ecs_feature.exceptions import ConfigurationError, TaskDefinitionError

READ_ONLY: Final = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "deregisteredAt",
    "registeredBy",
    "deleteRequestedAt",
)
"""What DescribeTaskDefinition shows and RegisterTaskDefinition does not take (API_TaskDefinition.html)."""
_REQUIRED: Final = ("family", "name", "image", "cpu", "memory")
_FREE: Final = ("environment", "dockerLabels", "options", "driverOpts", "labels", "properties", "tags")
"""Where an empty text is a value like any other."""
_SHOWN: Final = 6
_CLOUD_FORMATION: Final = frozenset(
    {"ContainerDefinitions", "Family", "Resources", "Properties", "RequiresCompatibilities"}
)
_CONTAINERS: Final = "containerDefinitions"
_OTHERS_TAGS: Final = ("aws:", "ecs-feature:")
"""Keys of tags that AWS, or a registration by this package, has put there."""
_SHELL_FIELDS: Final = ("command", "entryPoint", "healthCheck")
"""The fields of a container in which a shell may read its own variables."""
_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}\[\]]')
_VCPUS: Final = re.compile(r"\s*(\d+|\d*\.\d+)\s*vcpus?\s*", re.IGNORECASE)
_GIGABYTES: Final = re.compile(r"\s*(\d+|\d*\.\d+)\s*gb\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Definition:
    """What a file holds.

    :param content: the input of ``RegisterTaskDefinition``.
    :param notes: sentences about what was left out of it.
    """

    content: dict[str, Any]
    notes: tuple[str, ...] = ()


def read(path: Path, values: Mapping[str, str]) -> Definition:
    """Read a file; it is not checked yet against ECS's rules.

    A wrapping ``{"taskDefinition": ...}``, read-only fields, nulls and empty values are left out, as AWS's own deploy
    action does.

    :param values: what the placeholders stand for, see :mod:`ecs_feature.environment`.
    :raises TaskDefinitionError: one sentence with the file, the place and what to do.
    """
    where = path.name
    raw = parse(path)
    notes = []
    if isinstance(raw.get("taskDefinition"), dict):
        raw = {**raw["taskDefinition"], **({"tags": raw["tags"]} if raw.get("tags") else {})}
        notes.append("the frame of describe-task-definition")
    if others := [tag for tag in _tags(raw) if str(tag.get("key")).startswith(_OTHERS_TAGS)]:
        raw = {**raw, "tags": [tag for tag in raw["tags"] if tag not in others]}
        notes.append(f"the tags {', '.join(str(tag['key']) for tag in others)}")
        if not raw["tags"]:
            del raw["tags"]
    if foreign := sorted(_CLOUD_FORMATION & raw.keys()):
        raise TaskDefinitionError(
            f"{where}: {foreign[0]} is how CloudFormation and CDK write it; write the keys as RegisterTaskDefinition "
            "takes them (containerDefinitions), or save what aws ecs describe-task-definition prints."
        )
    found = [name for name in READ_ONLY if name in raw]
    if found:
        notes.append(f"{', '.join(found)} (read-only)")
    empty: list[str] = []
    raw = _without_empty({name: value for name, value in raw.items() if name not in READ_ONLY}, "", empty)
    if empty:
        notes.append(f"{_listed(empty)} (null or empty)")
    try:
        content = _filled(raw, values, where)
    except ConfigurationError as error:
        raise TaskDefinitionError(str(error)) from None
    for name, pattern, unit in (("cpu", _VCPUS, 1024), ("memory", _GIGABYTES, 1024)):
        if name in content:
            content[name] = _plain(content[name], pattern, unit)
    return Definition(content, (f"{where}: left out {'; '.join(notes)}.",) if notes else ())


def _tags(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tags = raw.get("tags")
    return [tag for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []


def _filled(raw: dict[str, Any], values: Mapping[str, str], where: str) -> dict[str, Any]:
    """The content with its placeholders replaced; a command keeps what the container's own variables are called."""
    content: dict[str, Any] = substitute({key: raw[key] for key in raw if key != _CONTAINERS}, values, where=where)
    if _CONTAINERS not in raw:
        return content
    containers = raw[_CONTAINERS]
    if not isinstance(containers, list) or not all(isinstance(one, dict) for one in containers):
        return {**content, _CONTAINERS: containers}
    filled = []
    for number, one in enumerate(containers):
        place = f"{where}.{_CONTAINERS}[{number}]"
        variables = (each.get("name") for name in ("environment", "secrets") for each in one.get(name) or ())
        keep = CONTRACT_VARIABLES | {str(each) for each in variables}
        filled.append(
            {
                key: substitute(item, values, where=f"{place}.{key}", keep=keep if key in _SHELL_FIELDS else ())
                for key, item in one.items()
            }
        )
    return {**content, _CONTAINERS: filled}


def parse(path: Path) -> dict[str, Any]:
    """The JSON object in a file, in any encoding of Unicode that JSON may have.

    :raises TaskDefinitionError: when it cannot be read, or is not one object.
    """
    where = path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TaskDefinitionError(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise TaskDefinitionError(
            f"{where}: its byte {error.start + 1} is not {error.encoding}; save the file as UTF-8."
        ) from None
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise TaskDefinitionError(f"{where}: the file is empty; write the input of RegisterTaskDefinition.")
    try:
        content = json.loads(text, parse_constant=_refuse(where))
    except RecursionError:
        raise TaskDefinitionError(f"{where}: not JSON that anybody wrote (nested too deeply).") from None
    except ValueError as error:
        raise TaskDefinitionError(f"{where}: not JSON ({error}){_hint(text)}.") from error
    _check_keys(text, where)
    if isinstance(content, list):
        raise TaskDefinitionError(
            f"{where}: a JSON array of {len(content)}; a task definition is one object, so give each a file of its own "
            "(containers are a list in its containerDefinitions)."
        )
    if not isinstance(content, dict):
        raise TaskDefinitionError(
            f"{where}: {content!r:.40} is no JSON object; write the input of RegisterTaskDefinition."
        )
    return content


def _check_keys(text: str, where: str) -> None:
    """:raises TaskDefinitionError: when an object has a key twice, of which JSON would silently keep the last."""
    open_objects: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0][0] in "{[":
            open_objects.append(set())
        elif token[0] in ("}", "]"):
            open_objects.pop()
        elif token[2]:
            key = json.loads(token[1])
            if key in open_objects[-1]:
                line = text.count("\n", 0, token.start()) + 1
                raise TaskDefinitionError(f"{where}: {key} stands twice in one object (line {line}); remove one.")
            open_objects[-1].add(key)


def _refuse(where: str) -> Any:
    def constant(name: str) -> Any:
        raise TaskDefinitionError(f"{where}: {name} is no value of JSON; write a number.")

    return constant


def _hint(text: str) -> str:
    """What people write that is nearly JSON."""
    if re.search(r",\s*[}\]]", text):
        return "; remove the comma before a closing bracket"
    if re.search(r"(^|[\s,{}\[\]])(//|/\*)|^\s*#", text, re.MULTILINE):
        return "; JSON has no comments"
    if not text.lstrip().startswith(("{", "[")):
        return "; if it is YAML, write it as JSON"
    return ""


def _without_empty(value: dict[str, Any], place: str, left_out: list[str]) -> dict[str, Any]:
    """The object without fields that say nothing: null, an object without fields, and a text of none.

    Empty lists stay, AWS takes them. So do empty texts that are values of variables, labels and options, or that are
    required: those get sentences of their own. A null in a list stays: without it a command would be another one.

    :param left_out: where the names of what is left out go, ``containerDefinitions[0].healthCheck``.
    """
    kept = {}
    for name, item in value.items():
        field = f"{place}.{name}" if place else name
        inner = _inner(item, field, left_out)
        # A volume's host is empty in what ECS prints; so is any object whose fields were all left out.
        if inner is None or inner == {} or (inner == "" and name not in _REQUIRED and not _is_free(place)):
            left_out.append(field)
        else:
            kept[name] = inner
    return kept


def _inner(item: Any, place: str, left_out: list[str]) -> Any:
    if isinstance(item, dict):
        return _without_empty(item, place, left_out)
    if isinstance(item, list):
        return [_inner(each, f"{place}[{number}]", left_out) for number, each in enumerate(item)]
    return item


def _is_free(place: str) -> bool:
    return place.rpartition(".")[2].partition("[")[0] in _FREE


def _listed(fields: list[str]) -> str:
    more = f" and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else ""
    return ", ".join(fields[:_SHOWN]) + more


def _plain(value: Any, pattern: re.Pattern[str], unit: int) -> Any:
    """CPU units or MiB as the text of a whole number, from all forms that API_RegisterTaskDefinition.html has."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and (match := pattern.fullmatch(value)):
        whole = float(match[1]) * unit
        return str(int(whole)) if whole.is_integer() else value
    return value.strip() if isinstance(value, str) else value
