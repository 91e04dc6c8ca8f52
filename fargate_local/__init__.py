"""A local Fargate: an ECS API server that runs tasks as child processes, with moto for the rest of AWS.

A development tool for tests and demos; see README.md beside this file.
"""

from fargate_local.endpoint.calls import Call
from fargate_local.instances import InstanceSpec
from fargate_local.local import LocalFargate
from fargate_local.settings import Settings

__all__ = ["Call", "InstanceSpec", "LocalFargate", "Settings"]
