# One image for both programs, `khronos` (the clock) and `ponos` (workers): `docker build -t khronos .`; docs/docker.md says how
# to run it. The tests give the stage `build` as a folder of programs built before; all below it is tested as it stands.

FROM rust:1-bookworm AS build
WORKDIR /build
COPY . .
# The caches need BuildKit, the default of Docker since 23.0.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin khronos --bin ponos \
    && cp target/release/khronos target/release/ponos / \
    && mkdir /empty

FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="khronos" \
      org.opencontainers.image.description="Khronos, the one clock of your services, and Ponos, its workers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/debian:bookworm-slim"
# For amqps://; the zone rules are in the binary.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /khronos /ponos /usr/local/bin/
COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/khronos/
COPY config.toml /etc/khronos/config.toml
COPY schedules /etc/khronos/schedules
COPY calendars /etc/khronos/calendars
# Belongs to the clock's user, and so does a new volume, which takes this over.
COPY --from=build --chown=65532:65532 /empty /var/lib/khronos

# Who may read is for whoever runs it to say: with tokens in the configuration, or KHRONOS_HTTP_OPEN_READS=true. A variable set
# here would win over the file.
ENV KHRONOS_CONFIG=/etc/khronos/config.toml \
    KHRONOS_STORE_PATH=/var/lib/khronos \
    KHRONOS_HTTP_LISTEN=0.0.0.0:7650
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
WORKDIR /var/lib/khronos
VOLUME /var/lib/khronos
EXPOSE 7650
# The clock's. A container that runs `ponos` says --no-healthcheck, or has a --health-file of its own looked at.
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["khronos", "health"]
# No shell in between: the clock is process 1 and gets the signals.
ENTRYPOINT ["khronos"]
CMD ["run"]
