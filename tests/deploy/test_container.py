"""The image and the compose file: the steps are those of the Makefile, and nothing runs as root."""

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.loader import load


@pytest.fixture
def stages(root: Path) -> list[list[tuple[str, str]]]:
    """The Dockerfile's stages, each a list of instructions and their arguments."""
    text = re.sub(r"\\\n", " ", (root / "Dockerfile").read_text())
    found: list[list[tuple[str, str]]] = []
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            word, _, rest = line.strip().partition(" ")
            if word == "FROM":
                found.append([])
            found[-1].append((word, rest.strip()))
    return found


@pytest.fixture
def compose(root: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    return loaded


def only(stage: list[tuple[str, str]], word: str) -> str:
    (found,) = [rest for one, rest in stage if one == word]
    return found


def pip(command: str) -> set[str]:
    """The arguments of a pip install that decide what is installed."""
    words = shlex.split(command.strip().removeprefix("@"))
    told = set(words[words.index("install") + 1 :])
    return told - {"--disable-pip-version-check", "--quiet", "--no-cache-dir"}


def test_the_dependencies_are_installed_as_the_makefile_installs_them(
    root: Path, stages: list[list[tuple[str, str]]]
) -> None:
    makefile = (root / "Makefile").read_text()
    recipe = re.search(r"^\$\(VENV\)/\.run:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    (made,) = [line for line in recipe.group(1).splitlines() if "pip install" in line]
    steps = [pip(rest) for word, rest in stages[0] if word == "RUN" and "pip install" in rest]
    assert steps == [pip(made), {"--no-deps", "."}]
    assert steps[0] == {"--require-hashes", "-r", "requirements.lock"}


def test_what_is_built_is_what_the_wheel_holds(root: Path, stages: list[list[tuple[str, str]]]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    needed = packages | {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]}
    copied = {name for word, rest in stages[0] if word == "COPY" for name in rest.split()[:-1]}
    assert copied == needed | {"requirements.lock"}
    kept = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert kept == copied
    assert "*" in (root / ".dockerignore").read_text().splitlines()


def test_the_stage_that_runs_builds_nothing_and_is_not_root(stages: list[list[tuple[str, str]]]) -> None:
    build, final = stages
    assert only(final, "FROM").endswith("-slim")
    assert not [rest for word, rest in final if word == "RUN" and re.search(r"pip|apt|gcc|curl", rest)]
    assert only(final, "COPY") == "--from=build /opt/otp-gateway /opt/otp-gateway"
    uid, gid = only(final, "USER").split(":")
    assert int(uid) > 0
    assert int(gid) > 0
    assert [word for word, _ in final].index("USER") > [word for word, _ in final].index("COPY")
    assert f"-o {uid} -g {gid}" in only(final, "RUN")
    assert only(final, "WORKDIR") in only(final, "RUN")
    assert only(build, "FROM").removesuffix(" AS build") == only(final, "FROM")


def test_the_image_serves_and_says_whether_it_can(root: Path, stages: list[list[tuple[str, str]]]) -> None:
    final = stages[-1]
    assert yaml.safe_load(only(final, "ENTRYPOINT")) == ["otp-gateway"]
    assert yaml.safe_load(only(final, "CMD")) == ["serve", "--config", "/etc/otp-gateway/config.yaml"]
    assert only(final, "EXPOSE").split() == ["8080", "9464"]
    options, _, command = only(final, "HEALTHCHECK").partition("CMD ")
    python, flag, code = yaml.safe_load(command)
    assert (python, flag) == ("python", "-c")
    ast.parse(code)
    assert "http://127.0.0.1:8080/readyz" in code
    assert "--timeout=3s" in options


def test_the_store_forgets_nothing(compose: dict[str, Any]) -> None:
    command = compose["services"]["valkey"]["command"]
    settings = dict(zip(command[1::2], command[2::2], strict=True))
    assert settings["--appendonly"] == "yes"
    assert settings["--maxmemory-policy"] == "noeviction"
    assert compose["services"]["gateway"]["depends_on"] == {"valkey": {"condition": "service_healthy"}}


def test_nothing_is_published_beyond_the_loopback_interface(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", ())]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert "ports" not in compose["services"]["valkey"]
    assert not [port for port in ports if port.endswith(":9464")]


def test_the_gateway_has_no_rights_that_it_does_not_need(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gateway"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "cap_add"} & gateway.keys()


def test_every_file_and_volume_that_is_mounted_exists(root: Path, compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert source == "./config.yaml" or (root / source).exists(), source
            else:
                assert source in compose["volumes"], source


def test_every_image_has_a_version(compose: dict[str, Any], stages: list[list[tuple[str, str]]]) -> None:
    images = [one["image"] for one in compose["services"].values() if "build" not in one]
    images += [only(stage, "FROM").split()[0] for stage in stages]
    assert [image for image in images if not re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image)] == []


def test_the_gateway_may_drain_before_it_is_killed(compose: dict[str, Any]) -> None:
    assert compose["services"]["gateway"]["stop_grace_period"] == "30s"


def test_prometheus_finds_its_rules_and_the_gateway(root: Path, compose: dict[str, Any]) -> None:
    config = yaml.safe_load((root / "deploy/prometheus/prometheus.yml").read_text())
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["prometheus"]["volumes"])
    assert mounts["./deploy/prometheus/rules"] == "/etc/prometheus/rules"
    assert config["rule_files"] == ["rules/*.yml"]
    (found,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert found["names"] == ["gateway"]
    assert found["port"] == 9464


def test_the_configuration_understands_every_variable_that_the_containers_set(
    root: Path, tmp_path: Path, stages: list[list[tuple[str, str]]], compose: dict[str, Any]
) -> None:
    environment = dict(word.split("=", 1) for word in shlex.split(only(stages[-1], "ENV")) if "=" in word)
    environment |= compose["services"]["gateway"]["environment"]
    environment["OTP_GATEWAY__SERVER__PUBLIC_URL"] = "http://127.0.0.1:8080"  # compose fills its variable in
    environment["OTP_GATEWAY__STORE__DIRECTORY"] = str(tmp_path)
    settings = load(root / "config.yaml", environment)
    assert settings.config.server.host == "0.0.0.0"
    assert settings.config.metrics.host == "0.0.0.0"
    assert settings.config.store.url == "redis://valkey:6379/0"
    assert settings.config.log.format == "json"
