"""Letters to smtp-sink, with which Postfix's developers test mail clients; Debian has it in the package `postfix`.

CI installs it. Elsewhere these tests are left out when it is not there: aiosmtpd holds the provider to the same.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from channels.contract import ErrorClass
from tests.vendors.mail import CODE, message, provider, refusal

SINK = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(
    SINK is None and "CI" not in os.environ, reason="no smtp-sink here: apt-get install postfix"
)


@asynccontextmanager
async def sink(folder: Path, *options: str) -> AsyncIterator[int]:
    """Its port, while it runs with these options. Each connection's letters go to a file of the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert SINK, "install postfix"
    user = ["-u", "root"] if os.geteuid() == 0 else []  # it wants to be told
    command = [SINK, *options, *user, "-d", f"{folder}/letter.", f"127.0.0.1:{port}", "100"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await _listening(port)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await asyncio.sleep(0.01)
    pytest.fail("smtp-sink does not listen")


def letter_in(folder: Path) -> EmailMessage:
    dumps = [path.read_bytes() for path in folder.iterdir()]
    (raw,) = [dump for dump in dumps if b"Subject:" in dump]
    return message_from_bytes(raw, policy=policy.default)


async def test_a_letter_arrives_whole(tmp_path: Path) -> None:
    async with sink(tmp_path) as port, provider(port) as built:
        await built.send(message(text=f"Ihr Code: {CODE} – nicht weitergeben.\n.\nEnde", subject="Código: 048213"))
    letter = letter_in(tmp_path)
    plain = letter.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n").strip() == f"Ihr Code: {CODE} – nicht weitergeben.\n.\nEnde"
    assert letter["Subject"] == "Código: 048213"
    assert letter["X-Rcpt-Args"] == "<ana@example.org>", "what the sink adds of the envelope"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("-f", "rcpt", "-B", "550 5.1.1 No such user"), ErrorClass.BAD_DESTINATION),
        (("-r", "rcpt"), ErrorClass.TEMPORARY),  # 4xx to RCPT
        (("-q", "rcpt"), ErrorClass.PROVIDER_DOWN),  # hangs up
        (("-f", "connect"), ErrorClass.PROVIDER_ACCOUNT),
    ],
    ids=["refuses the recipient", "puts the recipient off", "hangs up", "greets with a refusal"],
)
async def test_a_server_that_refuses_is_understood(tmp_path: Path, options: tuple[str, ...], error: ErrorClass) -> None:
    async with sink(tmp_path, *options) as port, provider(port) as built:
        caught = await refusal(built, message())
    assert caught.error is error, caught
