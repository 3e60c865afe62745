# One image for every service: Airflow's components, the media worker and the console.
# Build it where packages can be fetched; it runs without any network but the deployment's own.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /opt/triage
RUN python -m venv /opt/venv
COPY requirements/bootstrap.lock requirements/deploy.lock requirements/
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements/bootstrap.lock \
 && /opt/venv/bin/uv pip install --no-cache --python /opt/venv/bin/python --require-hashes -r requirements/deploy.lock
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY hashsets hashsets
COPY triggers triggers
COPY tasks tasks
COPY deploy deploy
COPY dags dags
COPY schemas schemas
COPY policy policy
RUN /opt/venv/bin/uv pip install --no-cache --python /opt/venv/bin/python --no-deps --no-build-isolation -e . \
 && /opt/venv/bin/pip uninstall --yes uv pip \
 && /opt/venv/bin/python -m compileall -q pipeline hashsets triggers tasks deploy dags
# Kernels for each family of processors that this machine has (AVX-512, AVX2), read-only in the image and used from there.
# The services are another user than the one who unpacked the release: what that one's umask closed is opened here.
RUN TRIAGE_HOME=/tmp /opt/venv/bin/python -m deploy.kernels /opt/triage/kernels && chmod -R a+rX /opt/triage

FROM ${PYTHON_IMAGE}
# bubblewrap: the strongest layer of the media worker's isolation; tini: reaps the workers' children.
RUN apt-get update && apt-get install --yes --no-install-recommends bubblewrap tini && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 triage && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /srv/triage --shell /usr/sbin/nologin triage \
 && install -d -o triage -g triage /srv/triage /srv/landing /srv/logs /srv/airflow
COPY --from=build /opt /opt
ENV PATH=/opt/venv/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONPATH=/opt/triage
ENV TRIAGE_HOME=/srv/triage AIRFLOW_HOME=/srv/airflow NUMBA_CACHE_DIR=/srv/triage/cache/numba
WORKDIR /opt/triage
USER 10001:10001
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["triage", "--help"]
