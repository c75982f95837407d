"""When a request is tried again, how long to wait before, and what to tell when that does not help.

Tried again: 408, 409, 429 and 5xx, timeouts, broken connections, and a 200 without the JSON that it should
have. The pause is drawn uniformly from 0 to a bound that doubles (full jitter: M. Brooker, "Exponential Backoff
And Jitter", AWS Architecture Blog, 2015); where the endpoint says how long to wait (Retry-After, RFC 9110
section 10.2.3) it is at least that. Everything else fails at once, with what the endpoint said and what to do.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from thinkling.core.errors import UserError
from thinkling.core.types import Sampled, Scored, Usage
from thinkling.remote.bills import Bill, Malformed
from thinkling.remote.bodies import Call
from thinkling.remote.endpoint import Endpoint, Key
from thinkling.remote.ledger import Ledger
from thinkling.remote.limits import RateLimit

AGAIN = frozenset({408, 409, 429})  # and all of 5xx
# A 429 that no waiting mends.
SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


class EndpointError(UserError):
    """A request that failed for good. ``status`` is the endpoint's last one, None where there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(EndpointError):
    """Nothing has ever answered at the base URL."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What went wrong with one attempt: ``wait`` seconds are asked for; ``again``: it may go better next time."""

    reason: str
    status: int | None = None
    wait: float = 0.0
    again: bool = True
    advice: str = ""


class Attempts:
    """Sends the requests of one endpoint, all on one event loop, and keeps its ledger."""

    def __init__(self, endpoint: Endpoint, key: Key, ledger: Ledger, client: httpx.AsyncClient) -> None:
        self.endpoint, self.key, self.ledger, self.client = endpoint, key, ledger, client
        self._jitter = random.Random()  # its own: nothing else's draws may depend on the network
        self._requests, self._tokens = RateLimit(endpoint.rpm), RateLimit(endpoint.tpm)
        self._replied = False  # something at the base URL has answered
        self._urls: dict[str, httpx.URL] = {}

    async def fetch(self, call: Call) -> Sampled | Scored:
        """The result of a call, with what all its attempts cost. Raises EndpointError once it has failed for good."""
        spent = Usage()
        attempt = 0
        while True:
            reserved = await self._reserve(call)
            self.ledger.send(again=attempt > 0)
            outcome, bill = await self._attempt(call)
            if bill is not None:
                self.ledger.receive(bill, good=not isinstance(outcome, Fault))
                self._tokens.correct(bill.usage.prompt + bill.usage.completion - reserved)
                spent += bill.usage
            if not isinstance(outcome, Fault):
                return replace(outcome, usage=spent) if attempt else outcome
            if not outcome.again or attempt >= self.endpoint.retries or outcome.wait > self.endpoint.max_wait:
                self.ledger.give_up()
                raise self._error(outcome, attempt + 1)
            await asyncio.sleep(pause(self.endpoint, attempt, outcome.wait, self._jitter))
            attempt += 1

    async def _reserve(self, call: Call) -> float:
        """Wait until the rate limits have room for one more request; returns the tokens set aside for it."""
        replies = self.ledger.replies
        tokens = call.prompt + (min(call.longest, self.ledger.tokens_out / replies) if replies else call.longest)
        wait = max(self._requests.reserve(1), self._tokens.reserve(tokens))
        if wait:
            await asyncio.sleep(wait)
        return tokens

    async def _attempt(self, call: Call) -> tuple[Sampled | Scored | Fault, Bill | None]:
        """One request: its result or what went wrong, and its bill where there is one."""
        url = self._urls.get(call.route) or self._urls.setdefault(
            call.route, httpx.URL(self.endpoint.base_url + call.route)
        )
        try:
            response = await self.client.post(url, content=call.body)
        except asyncio.CancelledError:
            self.ledger.cancel()
            raise
        except httpx.HTTPError as error:
            if not self._replied and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
                raise self._unreachable(error) from None
            return Fault(_describe(error)), None
        self._replied = True
        if response.status_code != 200:
            return self._refused(response), None
        try:
            payload = json.loads(response.content)
        except ValueError:
            return Fault(f"status 200 without JSON: {_excerpt(self.key.redact(response.text))}", 200), None
        if isinstance(payload, dict) and payload.get("error") and not payload.get("choices"):
            return self._failed_within(payload["error"]), None
        try:
            return call.read(payload)
        except Malformed as error:
            advice = "The endpoint lacks what its options declare" if error.lasting else ""
            reason = f"a reply of another shape than OpenAI's: {error}"
            return Fault(reason, 200, again=not error.lasting, advice=advice), error.bill

    def _refused(self, response: httpx.Response) -> Fault:
        status = response.status_code
        # Before it is shortened: half a key is too much as well.
        message, code = said(self.key.redact(response.text))
        again = (status in AGAIN or status >= 500) and code not in SPENT
        wait = retry_after(response.headers, time.time()) if again else 0.0
        message = message or response.reason_phrase or "no message"
        if 300 <= status < 400:
            message = f"it redirects to {response.headers.get('location', 'nowhere')}"
        return Fault(f"status {status}: {message}", status, wait, again, self._advice(status, code))

    def _failed_within(self, error: Any) -> Fault:
        """An error told with status 200, as relays do once the reply has begun."""
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 200
        again = status == 200 or status in AGAIN or status >= 500
        message, _ = said(self.key.redact(json.dumps(error)))
        return Fault(f"an error with status 200: {message}", status, again=again, advice=self._advice(status, ""))

    def _advice(self, status: int, code: str) -> str:
        if code in SPENT:
            return "The account has no credit left"
        if status == 401:
            if self.key:
                return f"Check the key in the environment variable {self.key.env}"
            name = self.key.env or "OPENAI_API_KEY"
            return f"Put the key into the environment variable {name}, or name another one with the option key_env"
        if status == 404:
            return f"Check the model's name ({self.endpoint.model!r}) and the base URL (most end in /v1)"
        if 300 <= status < 400:
            return "Give the base URL that it redirects to"
        return {
            400: "Check the options of the endpoint and the sampling, and that the prompt fits the model",
            403: "Check that the key may use this model",
            413: "Shorten the prompt",
            422: "Check the options of the endpoint and the sampling (body.*, seed_field, max_tokens_field)",
            429: "Lower concurrency, or set rpm and tpm to what the account may use",
        }.get(status, "")

    def _error(self, fault: Fault, attempts: int) -> EndpointError:
        parts = [f"{self.endpoint.name}: {fault.reason.rstrip('.')}"]
        if fault.wait > self.endpoint.max_wait:
            parts.append(f"It asks to wait {fault.wait:.0f} s, longer than max_wait={self.endpoint.max_wait:g}")
        elif fault.again and attempts > 1:
            parts.append(f"Given up after {attempts} attempts")
        if fault.advice:
            parts.append(fault.advice)
        return EndpointError(self.key.redact(". ".join(parts)), fault.status)

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        self.ledger.give_up()
        return Unreachable(
            f"{self.endpoint.name}: cannot be reached ({self.key.redact(_describe(error))}). Check that the server "
            f"runs and that the base URL is right"
        )


def pause(endpoint: Endpoint, attempt: int, wait: float, jitter: random.Random) -> float:
    """Seconds before the next attempt; ``attempt`` counts from 0, ``wait`` is what the endpoint asked for."""
    bound = min(endpoint.max_wait, endpoint.backoff * 2.0 ** min(attempt, 60))
    return wait + jitter.uniform(0.0, bound)


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that an endpoint asks to wait, 0 where it does not say; ``now`` is Unix time.

    Reads ``retry-after-ms`` (OpenAI, Azure) and ``Retry-After`` in seconds or as an HTTP-date.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if re.fullmatch(r"\d{1,12}(\.\d*)?", text, re.ASCII):
            return float(text) * scale
        if text and scale == 1.0:
            try:
                return max(0.0, parsedate_to_datetime(text).timestamp() - now)
            except (ValueError, OverflowError):
                return 0.0
    return 0.0


def said(body: str) -> tuple[str, str]:
    """What an error's body says, and its code: OpenAI's shape, those of other servers, or plain text."""
    try:
        error = json.loads(body)
    except ValueError:
        return _excerpt(body), ""
    if isinstance(error, dict) and error.get("error"):
        error = error["error"]
    if not isinstance(error, dict):
        return _excerpt(error if isinstance(error, str) else body), ""
    message, code = error.get("message") or error.get("detail") or error, error.get("code") or error.get("type") or ""
    return _excerpt(message if isinstance(message, str) else json.dumps(message)), str(code)


def _excerpt(text: str, longest: int = 300) -> str:
    """The beginning of a text in one line, without a page's markup."""
    page = re.sub(r"<(style|script|head)\b.*?</\1>|<[^>]*>", " ", text[:20_000], flags=re.DOTALL | re.IGNORECASE)
    line = " ".join((page if text.lstrip().startswith("<") else text).split())
    return line if len(line) <= longest else f"{line[:longest]}..."


def _describe(error: httpx.HTTPError) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
