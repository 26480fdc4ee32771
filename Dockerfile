# The bus and its command line; `docker compose --profile demo up` runs the demo's parties from it.
ARG BASE_IMAGE=python:3.12-slim
FROM ${BASE_IMAGE}

WORKDIR /opt/bus-amqp
COPY pyproject.toml constraints.txt README.md LICENSE docker-compose.yml ./
COPY schemas schemas
COPY docs/examples docs/examples
COPY bus_amqp bus_amqp
# A current pip writes a start script that imports nothing: `publish --spool` takes a third of the time.
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --upgrade -c constraints.txt pip \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[examples]" \
    && useradd --system --create-home bus \
    && install --directory --owner=bus /home/bus/usage

USER bus
WORKDIR /home/bus
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
ENTRYPOINT ["bus-amqp"]
CMD ["--help"]
