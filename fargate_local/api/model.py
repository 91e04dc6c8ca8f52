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

    def check_input(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Check a request: unknown members, types, required members, ranges and enumerations.

        :returns: the request without its null members, which AWS takes as not given.
        :raises ApiError: InvalidParameterException that lists every fault, or SerializationException.
        """
        shape = self._service.operation_model(operation).input_shape
        if shape is None:
            return request
        given: dict[str, Any] = _without_nulls(request, shape)
        report = self._validator.validate(given, shape)
        if report.has_errors():
            raise invalid(f"{operation}: {report.generate_report()}")
        _check_values(given, shape, "")
        return given

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


def _without_nulls(value: Any, shape: Shape) -> Any:
    """The value without the null members of its structures; what is not of the shape stays as it is."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {
            name: _without_nulls(member, shape.members[name]) if name in shape.members else member
            for name, member in value.items()
            if member is not None
        }
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_without_nulls(member, shape.member) for member in value]
    return value


def _check_values(value: Any, shape: Shape, path: str) -> None:
    """Check what botocore's validation does not: enumerations, the ranges of numbers, and text that is no Unicode."""
    if isinstance(shape, StructureShape):
        for name, member in value.items():
            _check_values(member, shape.members[name], f"{path}.{name}" if path else name)
    elif isinstance(shape, ListShape):
        for index, member in enumerate(value):
            _check_values(member, shape.member, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for key, member in value.items():
            _check_values(key, shape.key, path)
            _check_values(member, shape.value, f"{path}.{key}")
    else:
        _check_scalar(value, shape, path)


def _check_scalar(value: Any, shape: Shape, path: str) -> None:
    bits = _BITS.get(shape.type_name)
    if isinstance(shape, StringShape):
        _check_text(value, path)
        if shape.enum and value not in shape.enum:
            raise invalid(f"{path} is {value!r}: it must be one of {', '.join(shape.enum)}.")
    elif bits and (isinstance(value, bool) or not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)):
        raise ApiError("SerializationException", f"{path} is {value!r}, not a number of {bits} bits.")


_BITS = {"integer": 32, "long": 64}


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ApiError("SerializationException", f"{path} has half a character of two (a surrogate).") from None


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
