"""A certificate that nobody vouches for."""

from __future__ import annotations

import pytest

from tests.vendors.mail import Certificate, certify


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certify(tmp_path_factory.mktemp("nobody"))
