"""The local stack: a real Airflow on SQLite and a local Fargate, as child processes of one command.

``make demo``, ``make up`` and the system tests start it. Nothing here is needed to use the package in AWS.
"""
