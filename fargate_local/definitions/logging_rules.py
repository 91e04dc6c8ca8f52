"""Rules for log drivers and log routers."""

from __future__ import annotations

from typing import Final

from fargate_local.definitions.rule import FARGATE, Definition, Rules, Sentences

RULES = Rules()

FARGATE_DRIVERS: Final = ("awslogs", "splunk", "awsfirelens")
REQUIRED_OPTIONS: Final = {"awslogs": ("awslogs-region", "awslogs-group"), "splunk": ("splunk-token", "splunk-url")}
AWSLOGS_OPTIONS: Final = frozenset(
    {
        "awslogs-create-group",
        "awslogs-region",
        "awslogs-group",
        "awslogs-stream-prefix",
        "awslogs-datetime-format",
        "awslogs-multiline-pattern",
        "mode",
        "max-buffer-size",
    }
)
MODES: Final = ("blocking", "non-blocking")
ROUTER_OPTIONS: Final = frozenset({"enable-ecs-log-metadata", "config-file-type", "config-file-value"})
BOOLEANS: Final = ("true", "false")
DOCKER_BOOLEANS: Final = ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False")
"""Docker's log driver reads them so, and AWS's guide has "True"."""


@RULES.check("LogConfiguration.logDriver", says="on Fargate awslogs, splunk or awsfirelens", launch_type=FARGATE)
def fargate_log_driver(task: Definition) -> Sentences:
    for _, driver in task.each("logConfiguration.logDriver"):
        if driver not in FARGATE_DRIVERS:
            yield f"{driver} is not a valid log driver. Must be one of [{','.join(FARGATE_DRIVERS)}]"


@RULES.check("LogConfiguration.options", "LogConfiguration.secretOptions",
             says="awslogs needs awslogs-region and awslogs-group, splunk splunk-token and splunk-url")  # fmt: skip
def log_driver_options(task: Definition) -> Sentences:
    for _, log in task.each("logConfiguration"):
        given = {name for name, value in log.get("options", {}).items() if value}
        given |= {secret["name"] for secret in log.get("secretOptions", [])}
        missing = [name for name in REQUIRED_OPTIONS.get(log["logDriver"], ()) if name not in given]
        if missing:
            yield f"Log driver {log['logDriver']} requires options: {', '.join(missing)}"


@RULES.check("LogConfiguration.options", says="awslogs has no other options than AWS lists", guide="using_awslogs")
def awslogs_options(task: Definition) -> Sentences:
    for _, log in task.each("logConfiguration"):
        others = sorted(set(log.get("options", {})) - AWSLOGS_OPTIONS)
        if log["logDriver"] == "awslogs" and others:
            yield f"Log driver awslogs disallows options: {', '.join(others)}"


@RULES.check("LogConfiguration.options", says="awslogs-create-group is true or false")
def awslogs_create_group(task: Definition) -> Sentences:
    for name, options in task.each("logConfiguration.options"):
        if options.get("awslogs-create-group", "true") not in DOCKER_BOOLEANS:
            yield f"Invalid value of the log option awslogs-create-group of container '{name}': true or false."


@RULES.check("LogConfiguration.options", says="mode is blocking or non-blocking")
def log_mode(task: Definition) -> Sentences:
    for name, options in task.each("logConfiguration.options"):
        if options.get("mode", MODES[0]) not in MODES:
            yield f"Invalid value of the log option mode of container '{name}': {' or '.join(MODES)}."


@RULES.check("LogConfiguration.logDriver", says="awslogs needs an execution role on Fargate", launch_type=FARGATE,
             guide="task_execution_IAM_role")  # fmt: skip
def fargate_awslogs_role(task: Definition) -> Sentences:
    drivers = [driver for _, driver in task.each("logConfiguration.logDriver")]
    if not task.document.get("executionRoleArn") and "awslogs" in drivers:
        yield "Fargate requires task definition to have execution role ARN to support log driver awslogs."


@RULES.check("LogConfiguration.options", says="awslogs-stream-prefix is required on Fargate", launch_type=FARGATE)
def fargate_stream_prefix(task: Definition) -> Sentences:
    for _, log in task.each("logConfiguration"):
        if log["logDriver"] == "awslogs" and not log.get("options", {}).get("awslogs-stream-prefix"):
            yield (
                "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver "
                "awslogs."
            )


@RULES.check("LogConfiguration.secretOptions", says="needs an execution role", guide="specifying-sensitive-data")
def secret_options_need_role(task: Definition) -> Sentences:
    if not task.document.get("executionRoleArn") and any(task.each("logConfiguration.secretOptions")):
        yield "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."


@RULES.check("LogConfiguration.logDriver", "ContainerDefinition.logConfiguration",
             says="awsfirelens needs a container with a firelensConfiguration", guide="using_firelens")  # fmt: skip
def firelens_router(task: Definition) -> Sentences:
    drivers = [driver for _, driver in task.each("logConfiguration.logDriver")]
    if "awsfirelens" in drivers and not any("firelensConfiguration" in each for each in task.containers):
        yield (
            "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be "
            "configured in one of the containers."
        )


@RULES.check("FirelensConfiguration.options", "ContainerDefinition.firelensConfiguration",
             says="enable-ecs-log-metadata, config-file-type and config-file-value")  # fmt: skip
def firelens_options(task: Definition) -> Sentences:
    for name, options in task.each("firelensConfiguration.options"):
        others = sorted(set(options) - ROUTER_OPTIONS)
        if others:
            yield f"Invalid 'firelensConfiguration' options for container '{name}': {', '.join(others)}"


@RULES.check("FirelensConfiguration.options", says="enable-ecs-log-metadata is true or false")
def firelens_metadata(task: Definition) -> Sentences:
    for name, options in task.each("firelensConfiguration.options"):
        if options.get("enable-ecs-log-metadata", "true") not in BOOLEANS:
            yield f"Invalid enable-ecs-log-metadata for container '{name}': true or false."


@RULES.check("FirelensConfiguration.options", says="config-file-type is s3 or file, together with config-file-value")
def firelens_config_file(task: Definition) -> Sentences:
    for name, options in task.each("firelensConfiguration.options"):
        kind, value = options.get("config-file-type"), options.get("config-file-value")
        if kind not in (None, "s3", "file") or bool(kind) != bool(value):
            yield f"Invalid firelens config file of container '{name}': a type, s3 or file, and a value."


@RULES.check("FirelensConfiguration.options", says="on Fargate config-file-type is file", launch_type=FARGATE)
def fargate_firelens_file(task: Definition) -> Sentences:
    for _, options in task.each("firelensConfiguration.options"):
        if options.get("config-file-type") == "s3":
            yield "Fargate launch type does not support FirelensConfiguration config file from 's3'"


RULES.not_checked(
    "LogConfiguration.options", says="not awslogs-datetime-format together with awslogs-multiline-pattern",
    why="the same page says that the second is ignored then",
)  # fmt: skip
RULES.not_checked(
    "LogConfiguration.options", says="max-buffer-size, and the options of other drivers",
    why="AWS passes them on to Docker and documents no refusal",
)  # fmt: skip
RULES.not_checked("FirelensConfiguration.type", says="fluentd or fluentbit", why="botocore's model has the values")
