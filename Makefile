# make help shows what there is. Needs make and a Python 3.11-3.13; everything else goes into .venv.

# The Python that brings uv: the first that runs (a pyenv shim can be dead). PYTHON=/path/to/python3.12 overrides it, and
# .venv is then made with it.
LAUNCHER = $(or $(PYTHON),$(shell for each in python3 python3.12 python3.13 python3.11 python3.10 python; do \
	$$each -c "import sys; sys.exit(sys.version_info < (3, 10))" 2>/dev/null && { echo $$each; break; }; done),$(error \
	No Python 3.10 or later runs here: install Python 3.12, or name it with make PYTHON=/path/to/python3.12))
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help environment init demo rt-live backfill-demo compose-demo compose-down up bench chaos screenshots test test-slow lint lock clean

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*##  */\1 /p' $(MAKEFILE_LIST) | while read -r name words; do printf '  make %-15s%s\n' "$$name" "$$words"; done

environment:  ## Build .venv, or see that it is up to date
	@$(LAUNCHER) devstack/bootstrap.py

init: environment  ## Write a pipeline of your own, which make up runs (NAME=state_features)
	@AIRFLOW_HOME=$(CURDIR)/build/init $(BIN)/python -m ecs_feature.cli init $(or $(NAME),$(error Name it: make init NAME=state_features))

demo: environment  ## Run one day of the pipeline and print its receipt (DATE=2013-02-08: another day of 2013)
	@$(BIN)/python -m devstack demo

rt-live: environment  ## Run one day of rt.live, 51 states, and print receipt, table and where the picture is (DATE=2020-06-15 DISPATCH=workers WORKERS=5)
	@$(BIN)/python -m devstack rt-live

backfill-demo: environment  ## Backfill a week, three days at a time, and print its receipts (FROM=2013-03-01 TO=2013-03-04 RUNS=2)
	@$(BIN)/python -m devstack backfill-demo

compose-demo: environment  ## The same and a day of rt_live in containers, on an engine with Compose 2: up, receipts, down
	@$(BIN)/python -m devstack compose-demo

compose-down: environment  ## Remove the containers, volumes and networks of docker-compose.airflow.yml
	@$(BIN)/python -m devstack compose-down

up: environment  ## Keep Airflow and the local Fargate running, UI on http://127.0.0.1:8080 (PORT=8081: another port)
	@$(BIN)/python -m devstack up

chaos: environment  ## Run real DAGs under seeded faults and kills, beside the stock operator (SEED=7 RUNS=2 ONLY=spot SIDES=ours)
	@$(BIN)/python -m devstack.chaos

bench: environment  ## Measure the same fan-out on both sides, with PostgreSQL (SHARDS=1000 SECONDS=10 SIDES=ours,stock SUITE=full PATCH=1)
	@$(BIN)/python -m devstack.bench

screenshots: environment  ## Make docs/images of the Shards tab's views, from a seeded Airflow (ARGS="board run": these)
	@$(BIN)/python -m devstack.ui.pictures $(ARGS)

test: environment  ## Run the whole suite (ARGS="tests/unit -x": a part of it)
	@$(BIN)/python -m pytest -n auto $(or $(ARGS),tests -m "not slow")

test-slow: environment  ## Run the tests that the suite leaves out for their length
	@$(BIN)/python -m pytest tests -m slow

lint: environment  ## Check style, types, dependencies, and which room imports which
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry plugins

lock: environment  ## Write requirements.lock anew from requirements.txt, for every supported Python
	@$(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --no-header requirements.txt -o requirements.lock

clean:  ## Remove everything that was built, .venv too
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
