"""The scrape endpoint answers GET /metrics and nothing else."""

import gzip
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.exposition import metrics_app
from gateway.telemetry.metrics import Metrics


async def ask(
    registry: CollectorRegistry, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": pairs, "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await metrics_app(registry)(scope, receive, send)
    start, *bodies = sent
    answered = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return start["status"], answered, b"".join(one["body"] for one in bodies)


async def test_a_scrape_reads_every_family(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.started("shop", "login", "US")
    status, headers, body = await ask(registry)
    names = {family.name for family in text_string_to_metric_families(body.decode())}
    assert status == 200
    assert headers["content-type"].startswith("text/plain")
    assert {"otp_verifications", "otp_build_info", "otp_timers_due"} <= names
    assert not [name for name in names if name.endswith("_created")]


async def test_the_scraper_chooses_the_format(metrics: Metrics, registry: CollectorRegistry) -> None:
    assert metrics is not None
    _, headers, body = await ask(registry, accept="application/openmetrics-text; version=1.0.0", accept_encoding="gzip")
    assert headers["content-type"].startswith("application/openmetrics-text")
    assert gzip.decompress(body).endswith(b"# EOF\n")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/v1/verifications"])
async def test_another_path_is_not_found(registry: CollectorRegistry, path: str) -> None:
    status, _, body = await ask(registry, path)
    assert (status, body) == (404, b"The metrics are at /metrics.\n")


async def test_another_method_is_not_allowed(registry: CollectorRegistry) -> None:
    status, headers, _ = await ask(registry, method="POST")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


async def test_the_app_starts_and_stops_with_its_server(registry: CollectorRegistry) -> None:
    said: list[str] = []
    heard = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, Any]:
        return {"type": next(heard)}

    async def send(message: Any) -> None:
        said.append(message["type"])

    await metrics_app(registry)({"type": "lifespan"}, receive, send)
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
