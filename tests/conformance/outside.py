"""A vendor of somebody's own, in a package of their own: it takes JSON, and signs the reports that it makes."""

import hmac
import json

from channels import contract, errors, transport

TABLE = {"blocked": contract.ErrorClass.OPTED_OUT, "gone": contract.ErrorClass.BAD_DESTINATION}


class Settings(contract.ProviderSettings):
    secret: contract.SecretRef


class Own:
    channels = frozenset({contract.Channel.SMS})

    def __init__(self, settings: Settings, context: contract.Context) -> None:
        self._settings, self._secret = settings, context.secrets["secret"].encode()
        self._http = transport.Transport(user_agent="own", timeout=settings.timeout, concurrency=settings.concurrency)

    async def send(self, message: contract.Message) -> contract.Receipt:
        said = {"to": message.to, "text": message.wording.text, "ttl": message.lifetime, "report": message.callback_url}
        reply = await self._http.request("POST", f"{self._settings.base_url}/send", body=json.dumps(said).encode())
        content = _content(reply.body)
        if not reply.ok:
            code = contract.vendor_code(content.get("code"))
            raise transport.refused(reply, errors.classify(TABLE, self._settings.errors, code, reply.status), code)
        if "id" not in content:
            raise contract.SendError(contract.ErrorClass.PROVIDER_DOWN, "unreadable", ambiguous=True)
        return contract.Receipt(str(content["id"]), contract.Cost(int(content["micros"]), "EUR"))

    def read(self, callback: contract.Callback) -> contract.Outcome:
        signature = hmac.digest(self._secret, callback.url.encode() + callback.body, "sha256").hex().encode()
        if not hmac.compare_digest(signature, callback.headers.get("x-own", "").encode(errors="replace")):
            raise contract.Forged
        said = _content(callback.body)
        if said.get("status") not in ("progress", "delivered", "failed"):
            return contract.Outcome()
        kind, code = contract.ReportKind(said["status"]), contract.vendor_code(said.get("code"))
        error = errors.classify(TABLE, self._settings.errors, code, None) if kind == "failed" else None
        return contract.Outcome((contract.DeliveryReport(kind, error, code),))

    def answer(self, message: contract.Message | None) -> contract.Answer:
        return contract.Answer(status=404)

    async def close(self) -> None:
        await self._http.close()


build = Own


def _content(body: bytes) -> dict:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}
