"""`otp-gateway doctor`: every provider and the gateway's surroundings, at once, without a secret or a number shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from channels.examination import Finding, Verdict, fault, ok
from channels.providers import simulator
from gateway.cli import main
from gateway.cli.doctor import examination, page, surroundings
from gateway.config import load
from gateway.store import embedded
from tests.examination.looking import anchors
from tests.support.canary import Canary, found
from tests.vendors import twilio
from tests.vendors.mail import Mailbox, letter, serving
from tests.vendors.server import Break, Received, Reply, Vendor, json_reply

ROOT = Path(__file__).parents[3]
TO, MAILBOX = "+14155550123", "ana@shop-of-the-tests.org"
SECRETS = {"TWILIO_TOKEN": twilio.TOKEN, "TELEGRAM_TOKEN": "the-telegram-token-of-the-tests"}
CANARIES = [Canary(name, secret) for name, secret in SECRETS.items()]
CANARIES += [Canary(what, what) for what in (TO, MAILBOX, twilio.NUMBER)]


def config(folder: Path, providers: Mapping[str, Any], **more: Any) -> Path:
    """A development's configuration with these providers; each channel has those that carry it."""
    carried = {"twilio": ["sms"], "telegram": ["telegram"], "smtp": ["email"], "simulator": ["sms", "voice", "email"]}
    channels: dict[str, Any] = {}
    for name, section in providers.items():
        for channel in carried.get(section["type"], ["sms"]):
            channels.setdefault(channel, {"providers": []})["providers"].append(name)
    data = {
        "mode": "development",
        "apps": {"demo": {"name": "Demo"}},
        "providers": providers,
        "channels": channels,
        "policies": {
            "default": {
                "extends": "default",
                "countries": {"allow": ["US"]},
                "fallback": [{"channel": next(iter(channels)), "wait": "30s"}],
            }
        },
        "store": {"directory": str(folder / "d")},
        **more,
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(data))
    return file


def twilio_at(url: str, **more: Any) -> dict[str, Any]:
    settings = {"account_sid": twilio.ACCOUNT, "auth_token": {"env": "TWILIO_TOKEN"}, "from_sms": twilio.NUMBER}
    return {"type": "twilio", "base_url": url, "timeout": 1, **settings, **more}


async def doctor(file: Path, *arguments: str, color: bool = False) -> Result:
    """The command in a thread, beside the loop that the vendors are served by. It must show nothing secret."""
    call = [*arguments, "--config", str(file)]
    result = await asyncio.to_thread(
        CliRunner().invoke, main, ["doctor", *call], env={**SECRETS, "OTP_GATEWAY_CONFIG": None}, color=color
    )
    assert found(CANARIES, {"stdout": result.stdout, "stderr": result.stderr, "trace": repr(result.exception)}) == []
    return result


def told(result: Result) -> dict[str, dict[str, dict[str, str]]]:
    """The findings of --json, by who and what."""
    return {
        one["name"]: {finding["what"]: finding for finding in one["findings"]}
        for one in json.loads(result.stdout)["examined"]
    }


async def test_a_good_provider_is_told_line_by_line_and_ends_with_0(tmp_path: Path) -> None:
    async with Vendor(twilio.look) as vendor:
        result = await doctor(config(tmp_path, {"main": twilio_at(vendor.base_url)}), "main")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-6:] == [
        "main",
        "  ok       account                active; the auth token is right",
        "  ok       balance                12.50 USD",
        "  ok       SMS from +1415*****00  a number of the account",
        "  ok       clock                  agrees with the vendor's",
        "4 ok, 3 to look at, 0 at fault, 0 could not be checked",
    ]
    assert "\x1b" not in result.stdout


async def test_one_at_fault_hides_no_other_and_ends_with_1(tmp_path: Path) -> None:
    async with Vendor(twilio.look) as good, Vendor(lambda _: twilio.refuse(401, 20003)) as bad:
        providers = {"first": twilio_at(bad.base_url), "second": twilio_at(good.base_url), "sim": {"type": "simulator"}}
        result = await doctor(config(tmp_path, providers), "--json")
    assert result.exit_code == 1
    who = told(result)
    assert list(who) == ["gateway", "first", "second", "sim"]
    refusal = who["first"]["account, balance, SMS from +1415*****00"]
    assert (refusal["verdict"], refusal["seen"]) == ("fault", "provider_account (20003)")
    assert refusal["remedy"] in (ROOT / "docs/providers/twilio.md").read_text()
    assert who["second"]["account"]["verdict"] == "ok"
    assert json.loads(result.stdout)["ok"] is False


@dataclass
class _Meeting:
    """A provider that finds something only once four of them look at the same time."""

    present: asyncio.Barrier
    channels = frozenset({"sms"})

    async def examine(self, public_url: str) -> list[Finding]:
        await self.present.wait()
        return [ok("account", "met the others")]

    async def close(self) -> None:
        return None


async def meet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What four of them find, each within its deadline."""
    present = asyncio.Barrier(4)
    monkeypatch.setattr(examination, "GRACE", 0.0)
    monkeypatch.setattr(simulator, "build", lambda settings, context: _Meeting(present))
    providers = {f"one{n}": {"type": "simulator", "timeout": 0.2} for n in range(4)}
    result = await doctor(config(folder, providers), *providers, "--json")
    return {one["account"]["seen"] for name, one in told(result).items() if name != "gateway"}


async def test_providers_are_examined_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await meet(tmp_path, monkeypatch) == {"met the others"}


async def test_one_provider_after_the_other_would_be_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def one_after_the_other(*work: Awaitable[Any]) -> list[Any]:
        return [await each for each in work]

    monkeypatch.setattr(examination, "asyncio", SimpleNamespace(gather=one_after_the_other, timeout=asyncio.timeout))
    assert await meet(tmp_path, monkeypatch) == {"no answer in 0.2 seconds"}


async def test_a_vendor_that_never_answers_is_given_the_provider_s_deadline(tmp_path: Path) -> None:
    async with Vendor(lambda _: Reply(broken=Break.SILENCE)) as silent:
        result = await doctor(config(tmp_path, {"main": twilio_at(silent.base_url, timeout=0.2)}), "main", "--json")
    assert {one["seen"] for one in told(result)["main"].values()} == {"provider_down (timeout)"}


@dataclass
class _Odd:
    """A provider that is written badly: it hangs, raises, or closes with an error."""

    hangs: bool = False
    channels = frozenset({"sms"})

    async def examine(self, public_url: str) -> list[Any]:
        if self.hangs:
            await asyncio.Event().wait()
        raise KeyError(TO)

    async def close(self) -> None:
        raise RuntimeError("closed twice")


@pytest.mark.parametrize(
    ("hangs", "seen"), [(True, "no answer in 0.15 seconds"), (False, "the provider's module raised KeyError")]
)
async def test_a_provider_that_is_written_badly_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hangs: bool, seen: str
) -> None:
    monkeypatch.setattr(examination, "GRACE", 0.05)
    monkeypatch.setattr(simulator, "build", lambda settings, context: _Odd(hangs))
    async with Vendor(twilio.look) as vendor:
        providers = {"odd": {"type": "simulator", "timeout": 0.1}, "main": twilio_at(vendor.base_url)}
        result = await doctor(config(tmp_path, providers), "--json")
    assert result.exit_code == 1
    assert told(result)["odd"]["account"]["seen"] == seen
    assert told(result)["main"]["account"]["verdict"] == "ok"


async def test_a_provider_from_elsewhere_without_a_way_to_look_says_so(tmp_path: Path) -> None:
    own = {"type": "tests.conformance.outside:build", "secret": {"env": "TWILIO_TOKEN"}}
    result = await doctor(config(tmp_path, {"own": own}), "own", "--json")
    assert told(result)["own"]["account"]["verdict"] == "unknown"
    assert json.loads(result.stdout)["examined"][-1]["page"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mian",), "There is no provider 'mian': did you mean 'main'?"),
        (("off",), "off is disabled: write enabled: true in its section."),
        (("--send-to", TO), "name who is to send it, of main."),
        (("main", "--channel", "sms"), "say to whom, with --send-to."),
        (("main", "--send-to", TO, "--channel", "pigeon"), "--channel: write one of sms, voice"),
        (("main", "--send-to", "4155550123"), "--send-to: Begin with a plus sign"),
        (("main", "--send-to", "ana@"), "--send-to: "),
    ],
)
async def test_a_wrong_call_says_what_to_write(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    off = {"type": "simulator", "enabled": False}
    result = await doctor(config(tmp_path, {"main": {"type": "simulator"}, "off": off}), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


async def test_a_fault_of_the_configuration_is_told_as_check_config_does(tmp_path: Path) -> None:
    file = config(tmp_path, {"main": {"type": "twilio", "account_sid": "AC1"}})
    result = await doctor(file)
    assert result.exit_code == 1
    assert "providers.main.account_sid" in result.stderr
    assert not (tmp_path / "d").exists()


async def test_colours_are_for_terminals_only(tmp_path: Path) -> None:
    file = config(tmp_path, {"sim": {"type": "simulator"}})
    assert "\x1b" not in (await doctor(file)).stdout
    assert "\x1b[32m" in (await doctor(file, color=True)).stdout


# --- a real message ---


async def test_send_to_sends_one_marked_message_whose_code_is_shown_nowhere(tmp_path: Path) -> None:
    def answer(received: Received) -> Reply:
        return twilio.accept(received) if received.method == "POST" else twilio.look(received)

    async with Vendor(answer) as vendor:
        result = await doctor(config(tmp_path, {"main": twilio_at(vendor.base_url)}), "main", "--send-to", TO)
        sent = [dict(received.form) for received in vendor.received if received.method == "POST"]
    assert result.exit_code == 0, result.output
    assert [(form["To"], "StatusCallback" in form) for form in sent] == [(TO, False)]
    text, code = sent[0]["Body"].split(" you. ")
    assert text == "This is a test by Demo, nothing was asked of"
    digits = code.split()[0]
    assert (len(digits), digits.isdigit()) == (6, True)
    assert digits not in result.output
    assert f"test message to +1415*****23 by sms  accepted as {twilio.MESSAGE}" in result.stdout


async def test_without_send_to_nothing_is_sent(tmp_path: Path) -> None:
    async with Vendor(twilio.look) as vendor:
        await doctor(config(tmp_path, {"main": twilio_at(vendor.base_url)}), "main")
        assert {received.method for received in vendor.received} == {"GET"}


async def test_a_refused_test_message_is_told_with_its_class_and_remedy(tmp_path: Path) -> None:
    def answer(received: Received) -> Reply:
        return twilio.refuse(400, 21608) if received.method == "POST" else twilio.look(received)

    async with Vendor(answer) as vendor:
        file = config(tmp_path, {"main": twilio_at(vendor.base_url)})
        result = await doctor(file, "main", "--send-to", TO, "--json")
    assert result.exit_code == 1
    refusal = told(result)["main"]["test message to +1415*****23 by sms"]
    assert refusal["seen"] == "provider_account (21608)"
    assert refusal["remedy"] == "Verify the number in the Console for a test, or upgrade the account."


async def test_a_test_letter_goes_to_an_address(tmp_path: Path) -> None:
    box = Mailbox()
    async with serving(box) as port:
        mail = {
            "type": "smtp",
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "from_address": "Demo <no-reply@demo.example.org>",
            "local_hostname": "gateway.test",
        }
        result = await doctor(config(tmp_path, {"mail": mail}), "mail", "--send-to", MAILBOX)
        wrong = await doctor(config(tmp_path, {"mail": mail}), "mail", "--send-to", TO)
    assert result.exit_code == 0, result.output
    assert len(box.letters) == 1
    assert letter(box)["Subject"] == "A test by Demo"
    assert "a**@shop-of-the-tests.org" in result.stdout
    assert (wrong.exit_code, "it carries email" in wrong.stdout) == (1, True)


# --- the gateway's surroundings ---


def _alive(received: Received) -> Reply:
    return json_reply(200, {"status": "alive"}) if received.path == "/livez" else Reply(404)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_alive, "answers from here, which says nothing of the way from a vendor"),
        (lambda _: Reply(301, headers={"Location": "https://elsewhere.example"}), "redirects (301)"),
        (lambda _: Reply(404), "/livez answers 404, and not as the gateway"),
        (lambda _: Reply(200, b"<h1>Welcome to nginx</h1>"), "/livez answers 200, and not as the gateway"),
        (lambda _: Reply(broken=Break.RESET), "/livez does not answer (reset)"),
    ],
)
async def test_the_callback_address_is_asked_whether_it_is_the_gateway(
    tmp_path: Path, answer: Callable[[Received], Reply], said: str
) -> None:
    async with Vendor(twilio.look) as vendor, Vendor(answer) as gateway:
        providers = {"main": twilio_at(vendor.base_url)}
        file = config(tmp_path, providers, server={"public_url": gateway.base_url})
        result = await doctor(file, "main")
        assert {received.path for received in gateway.received} == {"/livez"}
    assert said in result.stdout
    assert result.exit_code == 0  # in development vendors stay away anyway


@pytest.mark.parametrize(
    ("url", "verdicts"),
    [
        ("https://127.0.0.1:9", ["fault", "fault"]),  # private, and silent
        ("http://127.0.0.1:9", ["fault", "fault", "fault"]),  # nor https
        ("https://[::1]:9", ["fault", "fault"]),
        ("https://localhost:9", ["fault", "fault"]),
        ("https://nobody.invalid", ["fault", "fault"]),  # no such name, so no answer either
    ],
)
async def test_production_s_callback_address_must_be_https_public_and_answer(url: str, verdicts: list[str]) -> None:
    findings = await _callbacks(url, production=True)
    assert [str(finding.verdict) for finding in findings] == verdicts


async def _callbacks(url: str, *, production: bool) -> list[Any]:
    @dataclass
    class Settings:
        public_url: str
        production: bool

    return await surroundings.callbacks(Settings(url, production), [])  # type: ignore[arg-type]  # all that it reads


async def test_a_free_port_and_the_simulator_alone_are_no_news(tmp_path: Path) -> None:
    file = config(tmp_path, {"sim": {"type": "simulator"}})
    assert told(await doctor(file, "--json"))["gateway"]["callback address"]["verdict"] == "ok"
    settings = load(file, {"OTP_GATEWAY__SERVER__PORT": "0"}, make_keys=False)
    assert [one.verdict for one in await surroundings.callbacks(settings, [])] == [Verdict.UNKNOWN]


async def test_an_embedded_store_is_looked_at_while_it_runs_and_else_left_alone(tmp_path: Path) -> None:
    file = config(tmp_path, {"sim": {"type": "simulator"}})
    asleep = told(await doctor(file, "--json"))["gateway"]
    assert asleep["store"]["seen"].startswith("embedded: the gateway starts it")
    assert not (tmp_path / "d").exists()
    server = embedded.start(tmp_path / "d")
    try:
        awake = told(await doctor(file, "--json"))["gateway"]
    finally:
        server.stop()
    assert awake["store"]["seen"].startswith("answers: Valkey 9")
    assert {awake[what]["verdict"] for what in ("store", "appendonly", "maxmemory-policy")} == {"ok"}


async def test_a_store_that_forgets_is_told_with_what_to_set(tmp_path: Path) -> None:
    server = embedded.start(tmp_path / "s")
    try:
        with Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
            client.config_set("maxmemory", "100mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
        file = config(tmp_path, {"sim": {"type": "simulator"}}, store={"url": server.url})
        result = await doctor(file, "--json")
    finally:
        server.stop()
    gateway = told(result)["gateway"]
    assert (gateway["appendonly"]["verdict"], gateway["maxmemory-policy"]["verdict"]) == ("warning", "fault")
    assert result.exit_code == 1


async def test_a_store_that_refuses_or_is_away_is_told_apart_without_its_password(tmp_path: Path) -> None:
    server = embedded.start(tmp_path / "s")
    try:
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", "something else")
        file = config(tmp_path, {"sim": {"type": "simulator"}}, store={"url": server.url})
        refused = told(await doctor(file, "--json"))["gateway"]["store"]
    finally:
        server.process.kill()
        server.stop()
    away = told(await doctor(file, "--json"))["gateway"]["store"]
    assert refused["seen"] == "refuses the user or the password"
    assert away["seen"] == "does not answer: not connected (ConnectionRefusedError)"


def test_what_to_do_about_the_surroundings_is_in_the_page_on_operations() -> None:
    operations = (ROOT / "docs/operations.md").read_text()
    assert [name for name, remedy in surroundings.REMEDIES.items() if f"| {remedy} |" not in operations] == []
    assert surroundings.ANCHOR in anchors(operations)


def test_a_number_or_a_key_in_a_finding_would_be_masked_all_the_same() -> None:
    """The planted bug: a provider that shows what it must not."""
    leaky = fault(f"SMS from {TO}", f"{MAILBOX} and otp_0123456789abcdef0123456789abcdef", "Do.")
    shown = [examination.Examined("main", "docs/providers/twilio.md", (leaky,))]
    assert found(CANARIES, {"lines": "\n".join(page.lines(shown)), "json": json.dumps(page.told(shown))}) == []
    assert found(CANARIES, {"unmasked": repr(leaky)}) != []
