"""What a request may ask of ECS that fargate_local does not simulate: refused, so that nothing is dropped in silence.

Who adds the simulation of a feature removes its row; a test holds the README to this table.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, Final

from fargate_local.definitions.rule import given
from fargate_local.errors import ApiError
from fargate_local.shapes import JsonObject

SERVICES: Final = ("CreateService", "UpdateService")


@dataclass(frozen=True)
class Unsupported:
    """One feature that requests are refused for.

    :param path: the member that asks for it, like `deploymentController.type`.
    :param values: those that are refused; empty: every one that says something.
    """

    feature: str
    operations: tuple[str, ...]
    path: str
    values: tuple[Any, ...] = ()

    def is_asked(self, operation: str, request: JsonObject) -> bool:
        """Whether a request asks for the feature."""
        return operation in self.operations and any(
            not self.values or value in self.values for value in given(request, self.path)
        )


UNSUPPORTED: Final = (
    Unsupported("volumes of services configured at launch", SERVICES, "volumeConfigurations"),
    Unsupported("placement constraints", ("RunTask", *SERVICES), "placementConstraints"),
    Unsupported("placement strategies", ("RunTask", *SERVICES), "placementStrategy"),
    Unsupported("Service Connect", SERVICES, "serviceConnectConfiguration.enabled"),
    Unsupported("a default namespace of Service Connect", ("CreateCluster",), "serviceConnectDefaults"),
    Unsupported("service discovery", SERVICES, "serviceRegistries"),
    Unsupported("VPC Lattice", SERVICES, "vpcLatticeConfigurations"),
    Unsupported("gateway connectors", SERVICES, "gatewayConnectors"),
    Unsupported("metrics of a service at another resolution", SERVICES, "monitoring"),
    Unsupported("DAEMON services", ("CreateService",), "schedulingStrategy", ("DAEMON",)),
    Unsupported(
        "CODE_DEPLOY and EXTERNAL deployments", SERVICES, "deploymentController.type", ("CODE_DEPLOY", "EXTERNAL")
    ),
    Unsupported(
        "blue/green, linear and canary deployments", SERVICES, "deploymentConfiguration.strategy",
        ("BLUE_GREEN", "LINEAR", "CANARY"),
    ),
    Unsupported("linear deployments", SERVICES, "deploymentConfiguration.linearConfiguration"),
    Unsupported("canary deployments", SERVICES, "deploymentConfiguration.canaryConfiguration"),
    Unsupported("a bake time of deployments", SERVICES, "deploymentConfiguration.bakeTimeInMinutes"),
    Unsupported("lifecycle hooks of deployments", SERVICES, "deploymentConfiguration.lifecycleHooks"),
    Unsupported("early success of deployments", SERVICES, "deploymentConfiguration.earlySuccessCriteria.enable"),
    Unsupported("alarms of deployments", SERVICES, "deploymentConfiguration.alarms.enable"),
    Unsupported(
        "a threshold of one's own for the circuit breaker", SERVICES,
        "deploymentConfiguration.deploymentCircuitBreaker.thresholdConfiguration",
    ),
    Unsupported(
        "a circuit breaker that healthy tasks reset", SERVICES,
        "deploymentConfiguration.deploymentCircuitBreaker.resetOnHealthyTask",
    ),
    Unsupported("Classic Load Balancers", SERVICES, "loadBalancers[].loadBalancerName"),
    Unsupported("alternate target groups and listener rules", SERVICES, "loadBalancers[].advancedConfiguration"),
    Unsupported("the cluster query language", ("ListContainerInstances",), "filter"),
    Unsupported("daemons", ("ListTasks",), "daemonName"),
)  # fmt: skip

# Members that are taken, and shown where ECS shows them, but change nothing: in a task definition what only a kernel,
# a container engine or IAM can give.
WITHOUT_EFFECT: Final[dict[str, tuple[str, ...]]] = {
    "DeleteCapacityProvider": ("cluster",),
    "CreateService": ("role", "availabilityZoneRebalancing"),
    "UpdateService": ("availabilityZoneRebalancing",),
    "RunTask": ("referenceId", "overrides.executionRoleArn"),
    "RegisterTaskDefinition": (
        "executionRoleArn", "pidMode", "ipcMode", "proxyConfiguration", "runtimePlatform",
        "enableFaultInjection",
        *(
            f"containerDefinitions[].{name}"
            for name in (
                "linuxParameters", "ulimits", "systemControls", "dockerSecurityOptions", "dockerLabels", "privileged",
                "user", "readonlyRootFilesystem", "links", "hostname", "dnsServers", "dnsSearchDomains", "extraHosts",
                "disableNetworking", "interactive", "pseudoTerminal", "credentialSpecs", "repositoryCredentials",
                "volumesFrom", "firelensConfiguration", "versionConsistency",
            )
        ),
    ),
    "RegisterContainerInstance": (
        "instanceIdentityDocument", "instanceIdentityDocumentSignature", "versionInfo", "containerInstanceArn",
        "platformDevices",
    ),
}  # fmt: skip


def check_support(operation: str, request: JsonObject) -> None:
    """Check that a request, whose shape is right, asks for nothing that is not simulated.

    :raises ApiError: UnsupportedFeatureException that names the feature.
    """
    for row in UNSUPPORTED:
        if row.is_asked(operation, request):
            raise unsupported(row.feature, row.path)


def unsupported(feature: str, path: str) -> ApiError:
    """The answer to a request for what is not simulated."""
    return ApiError("UnsupportedFeatureException", f"fargate_local does not simulate {feature}: leave {path} out.")


def as_markdown() -> str:
    """The tables, as the README has them."""
    lines = ["| not simulated | refused in | where the request has |", "| --- | --- | --- |"]
    for row in UNSUPPORTED:
        values = f" of {', '.join(row.values)}" if row.values else ""
        lines.append(f"| {row.feature} | {', '.join(row.operations)} | `{row.path}`{values} |")
    lines += ["", "| taken, but without effect | in |", "| --- | --- |"]
    lines += [f"| `{'`, `'.join(members)}` | {operation} |" for operation, members in WITHOUT_EFFECT.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(as_markdown() + "\n")
