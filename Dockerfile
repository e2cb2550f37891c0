# syntax=docker/dockerfile:1
# Pitt Broker in a container: `docker build -t pitt-broker .`, or `docker compose up` for one beside Apache Kafka.

FROM node:22-bookworm-slim AS pages
# Static files; nothing of Node is in the program.
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci
COPY web .
RUN npm run build

FROM rust:1.95-slim-bookworm AS build
# librdkafka is C and is built here (make, a C compiler, OpenSSL's and zlib's headers); the rest is Rust.
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential pkg-config libssl-dev zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
COPY --from=pages /web/dist web/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package pitt \
 && strip -o /usr/local/bin/pitt target/release/pitt

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data pitt \
 && install -d -o pitt -g pitt /data
COPY --from=build /usr/local/bin/pitt /usr/local/bin/pitt
COPY examples/filters /etc/pitt/filters
USER pitt
WORKDIR /data
VOLUME /data
# A container is reached from outside itself: publish the port on 127.0.0.1 of the host, as compose.yaml does. Requests may name
# it by an address, as localhost, or by the names in PITT_HTTP_NAMES, separated by colons. docs/operating.md tells of TLS and tokens.
ENV PITT_ARCHIVE=/data/archive PITT_FILTERS=/etc/pitt/filters PITT_HTTP_LISTEN=0.0.0.0:8080 PITT_HTTP_ALLOW_REMOTE=true \
    PITT_HTTP_NAMES=pitt
EXPOSE 8080
# An orderly end commits what was received; after a kill it is read again, which only takes longer.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["pitt", "status"]
ENTRYPOINT ["pitt"]
CMD ["run", "-c", "/etc/pitt/pitt.toml"]
