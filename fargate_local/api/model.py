"""botocore's own model of the ECS API: inputs are validated against it, answers are held to it."""

from __future__ import annotations

from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape
from botocore.validate import ParamValidator

from fargate_local.errors import ApiError, invalid
from fargate_local.shapes import Shown

TARGET_PREFIX = "AmazonEC2ContainerServiceV20141113"


class EcsModel:
    """The shapes of every ECS operation that the installed botocore knows."""

    def __init__(self) -> None:
        self._service = _service_model()
        self._validator = ParamValidator()
        self.operations = frozenset(self._service.operation_names)

    def check_input(self, operation: str, request: dict[str, Any]) -> None:
        """Check a request: unknown members, types, required members and enumerations.

        :raises ApiError: InvalidParameterException that lists every fault.
        """
        shape = self._service.operation_model(operation).input_shape
        if shape is None:
            return
        report = self._validator.validate(request, shape)
        if report.has_errors():
            raise invalid(f"{operation}: {report.generate_report()}")
        _check_enums(request, shape, "")

    def check_output(self, operation: str, answer: dict[str, Any]) -> None:
        """Check that an answer has only members of the operation's output shape, each of its type.

        :raises ApiError: ServerException; the fault is ours.
        """
        shape = self._service.operation_model(operation).output_shape
        if shape is not None:
            _check_output(answer, shape, operation)


@cache
def _service_model() -> ServiceModel:
    """The installed botocore's model: constant, and 0.15 s to read, so each process reads it once."""
    return ServiceModel(Loader().load_service_model("ecs", "service-2"), "ecs")


def _check_enums(value: Any, shape: Shape, path: str) -> None:
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            _check_enums(member, shape.members[name], f"{path}.{name}" if path else name)
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            _check_enums(member, shape.member, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            _check_enums(member, shape.value, f"{path}.{key}")
    elif isinstance(shape, StringShape) and shape.enum and value not in shape.enum:
        raise invalid(f"{path} is {value!r}: it must be one of {', '.join(shape.enum)}.")


_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "double": (int, float),
    "float": (int, float),
    "timestamp": (int, float),
}


def _check_output(value: Any, shape: Shape, path: str) -> None:
    if isinstance(shape, StructureShape):
        _check_structure(value, shape, path)
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            _check_output(member, shape.member, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            _check_output(member, shape.value, f"{path}.{key}")
    elif not isinstance(value, _PYTHON_TYPES.get(shape.type_name, (object,))):
        raise ApiError("ServerException", f"{path} of the answer is {value!r}, not a {shape.type_name}", 500)


def _check_structure(value: Any, shape: StructureShape, path: str) -> None:
    if not isinstance(value, dict):
        raise ApiError("ServerException", f"{path} of the answer is {type(value).__name__}, not a structure", 500)
    if isinstance(value, Shown) and value.checked:
        return
    for name, member in value.items():
        if name not in shape.members:
            raise ApiError("ServerException", f"{path}.{name} is not in botocore's shape {shape.name}", 500)
        _check_output(member, shape.members[name], f"{path}.{name}")
    if isinstance(value, Shown):
        value.checked = True
