"""Which version this is: of the installed distribution, or of the checkout that it runs from."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path


@cache
def version() -> str:
    """The version, such as 0.1.0."""
    try:
        return metadata.version("otp-gateway")
    except metadata.PackageNotFoundError:
        import tomllib  # an installation needs no reader of TOML

        project = Path(__file__).parents[2] / "pyproject.toml"
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
