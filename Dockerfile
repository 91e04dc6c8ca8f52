# The image of docker-compose.airflow.yml: Airflow with the ecs_feature wheel, and the local Fargate. See docs/docker.md.
# Needs BuildKit. BASE_IMAGE may be any with Python 3.11-3.13 and its venv module.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS uv
ARG UV=uv==0.13.9
COPY docker/online /usr/local/bin/
RUN --mount=type=secret,id=ca_certificates --mount=type=secret,id=package_index \
    python3 -m venv /opt/uv && online /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check "${UV}"

FROM uv AS wheel
ENV UV_CACHE_DIR=/var/cache/uv
WORKDIR /src
COPY pyproject.toml LICENSE requirements.lock ./
COPY docs/package.md docs/
COPY plugins/ecs_feature plugins/ecs_feature
RUN --mount=type=secret,id=ca_certificates --mount=type=secret,id=package_index \
    --mount=type=cache,target=/var/cache/uv \
    online /opt/uv/bin/uv build --wheel --build-constraint requirements.lock --out-dir /dist

FROM ${BASE_IMAGE} AS airflow
ENV AIRFLOW_HOME=/opt/airflow \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UV_CACHE_DIR=/var/cache/uv \
    UV_LINK_MODE=copy
RUN useradd --uid 50000 --user-group --no-create-home --home-dir /opt/airflow airflow \
    # volumes take their owner from these folders
    && install -d -o airflow -g airflow /opt/airflow /opt/airflow/logs /var/lib/fargate /var/lib/stack \
        /var/lib/secrets /var/lib/secrets/postgres /var/lib/secrets/redis
# The lock without the test tools. Byte code is made here: the user of the containers may not write it.
COPY requirements.txt requirements.lock /tmp/lock/
RUN --mount=type=secret,id=ca_certificates --mount=type=secret,id=package_index \
    --mount=type=cache,target=/var/cache/uv \
    --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv \
    --mount=type=bind,from=uv,source=/usr/local/bin/online,target=/usr/local/bin/online \
    python3 -m venv --without-pip /opt/venv \
    && sed '/^# tests, checks and builds$/,$d' /tmp/lock/requirements.txt > /tmp/lock/runtime.txt \
    && online /opt/uv/bin/uv pip install --python /opt/venv/bin/python --compile-bytecode \
        --constraint /tmp/lock/requirements.lock --requirement /tmp/lock/runtime.txt \
    && rm -r /tmp/lock
RUN --mount=type=bind,from=uv,source=/opt/uv,target=/opt/uv --mount=type=bind,from=wheel,source=/dist,target=/dist \
    /opt/uv/bin/uv pip install --python /opt/venv/bin/python --no-cache --offline --no-deps --compile-bytecode /dist/*.whl
# The local Fargate and the provision step are no part of the wheel.
WORKDIR /opt/stack
COPY devstack devstack
COPY fargate_local fargate_local
COPY docker/first_start.py docker/healthy.py docker/local_fargate.py docker/metrics.py docker/provision_stack.py ./
RUN python -m compileall -q .
WORKDIR /opt/airflow
USER airflow
CMD ["airflow", "version"]

# Celery workers as ECS tasks (dispatch="workers"): Airflow with the DAGs and the code of the job.
FROM airflow AS workers
ENV PYTHONPATH=/opt/job PYTHONDONTWRITEBYTECODE=1
COPY dags dags
COPY include include
COPY include/images/rt_live/rt_state /opt/job/rt_state
