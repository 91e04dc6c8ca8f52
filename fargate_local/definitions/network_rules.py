"""Rules for ports, and for what a container may say of its network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fargate_local.definitions.rule import Definition, Rule, Rules, Sentences
from fargate_local.shapes import JsonObject

RULES = Rules()

PORTS: Final = range(1, 65536)
PORT_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
MAX_PORT_RANGES: Final = 100
OWN_INTERFACE: Final = ("awsvpc", "host")
"""Network modes in which a port of the container is a port of the interface itself."""

# AmazonECS/latest/APIReference/API_ContainerDefinition; the sentences are those of ECS.
NOT_IN_AWSVPC: Final = {
    "hostname": "hostname is not supported on container when networkMode=awsvpc.",
    "dnsServers": "DNS servers are not supported on container when networkMode=awsvpc.",
    "dnsSearchDomains": "DNS search domains are not supported on container when networkMode=awsvpc.",
    "extraHosts": "Extra hosts are not supported on container when networkMode=awsvpc.",
    "disableNetworking": "Disable Networking is not supported on container when networkMode=awsvpc.",
}


def _not_in_awsvpc(field: str, sentence: str) -> Rule:
    def check(task: Definition) -> Sentences:
        if task.network_mode == "awsvpc" and any(task.each(field)):
            yield sentence

    return Rule(f"awsvpc_{field}", (f"ContainerDefinition.{field}",), "not in the network mode awsvpc", check)


RULES.extend(_not_in_awsvpc(field, sentence) for field, sentence in NOT_IN_AWSVPC.items())


@RULES.check("HostEntry.hostname", "HostEntry.ipAddress", says="not empty")
def extra_hosts(task: Definition) -> Sentences:
    for name, entry in task.each("extraHosts[]"):
        if not entry["hostname"] or not entry["ipAddress"]:
            yield f"Extra hosts of container '{name}' need a hostname and an ipAddress."


@RULES.check("ContainerDefinition.links", says="only in the network mode bridge")
def links_network_mode(task: Definition) -> Sentences:
    if task.network_mode != "bridge" and any(task.each("links")):
        yield f"Links are not supported when networkMode={task.network_mode}."


@RULES.check("ContainerDefinition.links", says="name:alias, of a container of the task")
def links_container(task: Definition) -> Sentences:
    for _, link in task.each("links[]"):
        if link.partition(":")[0] not in task.names:
            yield f"Invalid 'links' setting. Unknown container: '{link.partition(':')[0]}'"


@RULES.check("ContainerDefinition.links", says="without a circle", guide="task_definition_parameters_ec2")
def links_circle(task: Definition) -> Sentences:
    graph = {name: {link.partition(":")[0] for link in each.get("links", [])} for name, each in _named(task)}
    if has_circle(graph):
        yield "Container links should not have a cycle"


def has_circle(graph: dict[str, set[str]]) -> bool:
    """Whether following the edges can come back to where it began."""
    left = dict(graph)
    while left:
        ends = [name for name, needed in left.items() if not needed & set(left)]
        if not ends:
            return True
        for name in ends:
            del left[name]
    return False


def _named(task: Definition) -> Iterator[tuple[str, JsonObject]]:
    return zip(task.names, task.containers, strict=True)


@RULES.check("PortMapping.containerPort", "ContainerDefinition.portMappings", says="none in the network mode none")
def ports_without_network(task: Definition) -> Sentences:
    if task.network_mode == "none" and any(task.each("portMappings")):
        yield "Port mappings are not supported when networkMode=none."


@RULES.check("PortMapping.containerPort", "PortMapping.containerPortRange", says="a port or a range of ports, not both")
def port_or_range(task: Definition) -> Sentences:
    for name, port in task.each("portMappings[]"):
        if "containerPortRange" in port and {"containerPort", "hostPort"} & set(port):
            yield f"Container '{name}': cannot specify both single port and port range"


@RULES.check("PortMapping.containerPort", says="required, unless there is a range")
def port_is_given(task: Definition) -> Sentences:
    for name, port in task.each("portMappings[]"):
        if "containerPort" not in port and "containerPortRange" not in port:
            yield f"Invalid 'containerPort' setting for container '{name}': a port or a range is required."


@RULES.check("PortMapping.containerPort", says="from 1 to 65535", guide="task_definition_parameters")
def container_port(task: Definition) -> Sentences:
    for name, port in task.each("portMappings[].containerPort"):
        if port not in PORTS:
            yield f"Invalid 'containerPort' setting for container '{name}'."


@RULES.check("PortMapping.hostPort", says="from 0, a free one, to 65535", guide="task_definition_parameters")
def host_port(task: Definition) -> Sentences:
    for name, port in task.each("portMappings[].hostPort"):
        if port != 0 and port not in PORTS:
            yield f"Invalid 'hostPort' setting for container '{name}'."


@RULES.check("PortMapping.hostPort", says="in awsvpc and host none, or the containerPort")
def host_port_is_container_port(task: Definition) -> Sentences:
    for _, port in task.each("portMappings[]"):
        if task.network_mode in OWN_INTERFACE and port.get("hostPort") not in (None, port.get("containerPort")):
            yield (
                f"When networkMode={task.network_mode}, the host ports and container ports in port mappings must match."
            )


@RULES.check("PortMapping.containerPort", says="each port and protocol once in a task with awsvpc or host")
def port_is_used_once(task: Definition) -> Sentences:
    if task.network_mode not in OWN_INTERFACE:
        return
    used: set[tuple[str, int]] = set()
    for _, mapping in task.each("portMappings[]"):
        protocol = mapping.get("protocol", "tcp")
        for port in mapped_ports(mapping):
            if (protocol, port) in used:
                yield (
                    f"{protocol.upper()} container port '{port}' is used multiple times in task when "
                    f"networkMode={task.network_mode}."
                )
                return
            used.add((protocol, port))


@RULES.check("PortMapping.hostPort", says="each host port and protocol once in a task with bridge",
             guide="task_definition_parameters_ec2")  # fmt: skip
def bridge_host_port_is_used_once(task: Definition) -> Sentences:
    taken = [(p.get("protocol", "tcp"), p["hostPort"]) for _, p in task.each("portMappings[]") if p.get("hostPort")]
    for protocol, port in {one for one in taken if task.network_mode == "bridge" and taken.count(one) > 1}:
        yield f"{protocol.upper()} host port '{port}' is used multiple times in task."


@RULES.check("PortMapping.containerPortRange", says="FIRST-LAST between 1 and 65535, the first below the last")
def port_range(task: Definition) -> Sentences:
    for name, mapping in task.each("portMappings[]"):
        if "containerPortRange" in mapping and not mapped_ports(mapping):
            yield f"Invalid 'containerPortRange' setting for container '{name}'."


@RULES.check("PortMapping.containerPortRange", says="in the network modes bridge and awsvpc")
def port_range_network_mode(task: Definition) -> Sentences:
    if task.network_mode not in ("bridge", "awsvpc") and any(task.each("portMappings[].containerPortRange")):
        yield f"Port ranges are not supported when networkMode={task.network_mode}."


@RULES.check("PortMapping.containerPortRange", says="at most 100 ranges a container")
def port_range_count(task: Definition) -> Sentences:
    names = [name for name, _ in task.each("portMappings[].containerPortRange")]
    for name in {name for name in names if names.count(name) > MAX_PORT_RANGES}:
        yield f"Container '{name}' has more than {MAX_PORT_RANGES} port ranges."


@RULES.check("PortMapping.containerPortRange", says="ranges and ports of a container do not overlap")
def port_ranges_differ(task: Definition) -> Sentences:
    for container in task.containers:
        used: set[tuple[str, int]] = set()
        for mapping in container.get("portMappings", []):
            ports = {(mapping.get("protocol", "tcp"), port) for port in mapped_ports(mapping)}
            if "containerPortRange" in mapping and used & ports:
                yield f"Port ranges of container '{container.get('name')}' overlap: {mapping['containerPortRange']}"
            used |= ports


def mapped_ports(mapping: JsonObject) -> range:
    """The container's ports of a mapping; none, when its range is not one."""
    if "containerPortRange" not in mapping:
        port = mapping.get("containerPort", 0)
        return range(port, port + 1)
    first, _, last = mapping["containerPortRange"].partition("-")
    if not re.fullmatch(r"[0-9]{1,5}-[0-9]{1,5}", mapping["containerPortRange"]):
        return range(0)
    ports = range(int(first), int(last) + 1)
    return ports if len(ports) > 1 and ports[0] in PORTS and ports[-1] in PORTS else range(0)


@RULES.check("PortMapping.name", says="up to 64 lowercase letters, numbers, underscores and hyphens; no hyphen first")
def port_name(task: Definition) -> Sentences:
    for name, port in task.each("portMappings[].name"):
        if not PORT_NAME.fullmatch(port):
            yield f"Invalid port mapping name {port!r} of container '{name}'."


@RULES.check("PortMapping.name", says="unique in the task", guide="service-connect")
def port_names_differ(task: Definition) -> Sentences:
    names = [name for _, name in task.each("portMappings[].name")]
    if len(names) != len(set(names)):
        yield f"When networkMode={task.network_mode}, port mapping name is already used"


RULES.not_checked(
    "PortMapping.containerPort", says="not the same port for several protocols",
    why="task definitions in use have a port for tcp and udp, and ECS takes them",
)  # fmt: skip
RULES.not_checked(
    "PortMapping.hostPort", says="no reserved port and none of the ephemeral range",
    why="which they are is a matter of the instance; a task that needs a reserved port is not placed",
)  # fmt: skip
RULES.not_checked(
    "PortMapping.protocol", "PortMapping.appProtocol", says="tcp or udp; http, http2 or grpc",
    why="botocore's model has the values",
)  # fmt: skip
