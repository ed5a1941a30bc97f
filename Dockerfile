# syntax=docker/dockerfile:1
# The engine in an image: `docker build --tag cem-engine .`

FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/pip-cache
RUN python -m venv /opt/cem
WORKDIR /src
# Dependencies first: they change seldom, and their layer is kept.
COPY requirements.lock ./
RUN --mount=type=cache,target=/pip-cache \
    /opt/cem/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY config config
COPY flows flows
COPY operators operators
COPY rules rules
COPY sinks sinks
COPY state state
RUN /opt/cem/bin/pip install --no-deps --no-build-isolation --no-index .
# What the lock holds for tests, types and style goes last: building the project needs a part of it.
COPY deploy/image/keep_runtime.py ./
RUN /opt/cem/bin/python keep_runtime.py pyproject.toml > superfluous.txt \
 && xargs --no-run-if-empty /opt/cem/bin/pip uninstall --yes < superfluous.txt

FROM python:3.12-slim-bookworm
LABEL org.opencontainers.image.title="cem-engine" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 cem \
 && useradd --system --uid 10001 --gid cem --home-dir /var/lib/cem --shell /usr/sbin/nologin cem \
 && install --directory --owner cem --group cem /var/lib/cem /var/lib/cem/state /var/cache/cem
COPY --from=build /opt/cem /opt/cem
ENV PATH=/opt/cem/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/cem
USER cem
WORKDIR /var/lib/cem
# On a processor of another kind than this one the first start compiles once more (about a minute).
RUN ["cem", "warm-up"]
VOLUME ["/var/lib/cem/state"]
EXPOSE 9400
STOPSIGNAL SIGTERM
# Of the first worker; a worker that dies takes the others with it, and the supervisor starts all of them again.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=6 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9400/healthz', timeout=4)"]
# No shell in between: signals arrive, and SIGTERM drains and writes the state.
ENTRYPOINT ["cem"]
CMD ["run", "--config", "/etc/cem/live.yaml"]
