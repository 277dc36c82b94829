# syntax=docker/dockerfile:1
# Stage 1 builds wheels of the project and of everything it needs; stage 2 installs them without a compiler.

FROM python:3.13-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py native.py README.md LICENSE ./
COPY rating ./rating
COPY aaa ./aaa
RUN AAA_COMPILE=1 pip wheel --no-cache-dir --wheel-dir /wheels '.[postgres,redis]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="prepaid-aaa" \
      org.opencontainers.image.description="Prepaid AAA server: RADIUS and Diameter charging" \
      org.opencontainers.image.licenses="MIT"

RUN groupadd --gid 10001 aaa \
 && useradd --uid 10001 --gid aaa --home-dir /var/lib/aaa --no-create-home --shell /usr/sbin/nologin aaa \
 && install --directory --owner=aaa --group=aaa --mode=0750 /var/lib/aaa /run/aaa /etc/aaa

RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'prepaid-aaa[postgres,redis]'

USER 10001:10001
WORKDIR /var/lib/aaa
VOLUME ["/var/lib/aaa"]
EXPOSE 1812/udp 1813/udp 3868/tcp 9850/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["aaactl", "server", "health"]
ENTRYPOINT ["aaad"]
CMD ["--config", "/etc/aaa/aaa.toml"]
