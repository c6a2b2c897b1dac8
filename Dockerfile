# syntax=docker/dockerfile:1
# The gateway in two stages: what builds it stays behind, and what runs has no compiler, no root and no secret.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/otp-gateway
# The locked dependencies first: this layer is built again only when the lock changes.
COPY requirements.lock ./
RUN /opt/otp-gateway/bin/python -m pip install --disable-pip-version-check --quiet --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
COPY channels channels
COPY policies policies
RUN /opt/otp-gateway/bin/python -m pip install --disable-pip-version-check --quiet --no-cache-dir --no-deps .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="otp-gateway" \
      org.opencontainers.image.licenses="MIT"
# The working folder holds ./data: development keys and, with the embedded store, the state. Mount a volume on it.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/otp-gateway
COPY --from=build /opt/otp-gateway /opt/otp-gateway
# In a container the listeners must be reached from outside of it; which ports are published is decided there.
ENV PATH="/opt/otp-gateway/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    OTP_GATEWAY__SERVER__HOST=0.0.0.0 \
    OTP_GATEWAY__METRICS__HOST=0.0.0.0
WORKDIR /var/lib/otp-gateway
USER 10001:10001
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["otp-gateway"]
CMD ["serve", "--config", "/etc/otp-gateway/config.yaml"]
