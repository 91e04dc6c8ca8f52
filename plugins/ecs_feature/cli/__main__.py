"""``python -m ecs_feature.cli estimate ...``: the commands of ``airflow ecs-feature`` for where this package is no
installed provider but only in Airflow's plugins folder, where Airflow looks for no commands.
"""

from __future__ import annotations

from argparse import ArgumentParser

from ecs_feature.cli.definition import get_ecs_feature_cli_commands


def main() -> None:
    (group,) = get_ecs_feature_cli_commands()
    parser = ArgumentParser(prog="python -m ecs_feature.cli", description=group.help)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in group.subcommands:
        mine = commands.add_parser(command.name, help=command.help, description=command.description)
        for argument in command.args:
            argument.add_to_parser(mine)
        mine.set_defaults(func=command.func)
    arguments = parser.parse_args()
    arguments.func(arguments)


main()
