"""Where the commands that call a gateway find it, when nobody says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.loader import own_url

PORT = "OTP_GATEWAY__SERVER__PORT"


@pytest.mark.parametrize(
    ("text", "environ", "url"),
    [
        ("{}", {}, "http://127.0.0.1:8080"),
        ("server: {port: 8090}", {}, "http://127.0.0.1:8090"),
        ("server: {port: 8090, host: 0.0.0.0}", {}, "http://127.0.0.1:8090"),
        ("server: {port: 8090, host: '::1'}", {}, "http://[::1]:8090"),
        ("server: {port: 8090}", {PORT: "8091"}, "http://127.0.0.1:8091"),
        ("server: {port: none of these}", {}, "http://127.0.0.1:8080"),
        ("server: [", {}, "http://127.0.0.1:8080"),
        ("", {}, "http://127.0.0.1:8080"),
    ],
)
def test_it_is_where_the_configuration_says_that_it_listens(
    tmp_path: Path, text: str, environ: dict[str, str], url: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert own_url(file, environ) == url


def test_without_a_file_it_is_the_usual_place_or_what_the_environment_says(tmp_path: Path) -> None:
    assert own_url(tmp_path / "none", {}) == "http://127.0.0.1:8080"
    assert own_url(tmp_path / "none", {PORT: "9"}) == "http://127.0.0.1:9"
