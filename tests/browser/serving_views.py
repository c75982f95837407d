"""A server for the page's views: its files under its policy, a real vocabulary, and made-up numbers that fit."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from thinkling.core.locate import find_model
from thinkling.core.types import Message, Part
from thinkling.serve.pages import WEB, files, read_page
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import prompt_ids, render

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
REPORT = (
    "<!doctype html><html lang=en><title>Report</title><h1>The report</h1>"
    "<script>document.body.append('it ran')</script>"
)
LAYERS, HEADS, KV_HEADS, WIDTH, HEAD_DIM = 4, 6, 2, 96, 16
LONGEST = 64


class Refused(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Backend:
    """The answers, and what was asked: ``asked`` holds (path, body). ``delay`` seconds are waited before each answer,
    ``down`` refuses all with 503."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.load(find_model("nano"))
        self.asked: list[tuple[str, Any]] = []
        self.delay = 0.0
        self.down = False
        self.models = [model("nano", True), model("far-away", False)]
        self.runs: dict[str, dict[str, list[dict[str, Any]]]] = {"nano": made_run(400, 0), "try-2": made_run(250, 1)}
        self.running = {"nano": "rl"}

    def answer(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
        self.asked.append((path, body))
        time.sleep(self.delay)
        if self.down:
            raise Refused(503, "the model is loading")
        if path == "/v1/models":
            return {"object": "list", "data": self.models}
        if path == "/api/settings":
            return {"show_thinking": True, "limits": {}, "version": "0", "history": False, "runs": True}
        if path == "/api/strategies":
            return []
        if path == "/tokenize":
            return self.tokenize(body)
        if path.startswith("/api/glass/"):
            ids = self.ids(body)
            if len(ids) > LONGEST:
                raise Refused(
                    400, f"tokens: the text has {len(ids)}, and one can look at up to {LONGEST} at once; shorten it"
                )
            look = {"walk": self.walk, "attention": self.attention, "lens": self.lens}[path.rpartition("/")[2]]
            return {"tokens": [self.token(number) for number in ids], **look(ids, body)}
        if path == "/api/runs":
            return {"runs": [self.run(name) for name in self.runs]}
        if found := re.fullmatch(r"/api/runs/([^/]+)/curves", path):
            return self.curves(unquote(found[1]), query["stage"][0], int(query.get("after", ["0"])[0]))
        raise Refused(404, f"no route {path}")

    # ---- tokens

    def ids(self, body: dict[str, Any]) -> list[int]:
        if "messages" in body:
            messages = [
                Message(m["role"], tuple(
                    ([Part("think", m["reasoning_content"])] if m.get("reasoning_content") else [])
                    + [Part("text", m["content"])]
                ))
                for m in body["messages"]
            ]  # fmt: skip
            opened = body.get("add_generation_prompt", True)
            return prompt_ids(self.tokenizer, messages) if opened else list(render(self.tokenizer, messages).ids)
        if not body.get("parse_special"):
            return self.tokenizer.encode(body["prompt"])
        special = self.tokenizer.special
        parts = re.split("(" + "|".join(map(re.escape, special)) + ")", body["prompt"])
        return [i for part in parts for i in ([special[part]] if part in special else self.tokenizer.encode(part))]

    def token(self, number: int) -> dict[str, Any]:
        special = number in self.tokenizer.special.values()
        return {"id": number, "text": self.tokenizer.decode([number]), "special": special}

    def tokenize(self, body: dict[str, Any]) -> dict[str, Any]:
        ids = self.ids(body)
        pieces = [self.token(i) | {"bytes": list(self.tokenizer.token_bytes(i))} for i in ids]
        return {"count": len(ids), "max_model_len": 1024, "tokens": ids, "token_strs": None, "pieces": pieces}

    # ---- glass

    def walk(self, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        layer, head = body["layer"], body["head"]
        position = body["position"] % len(ids)
        rng = np.random.default_rng([layer, head])
        embedding = np.stack([np.random.default_rng(i).normal(size=WIDTH) for i in ids])
        residual = embedding + sum(np.random.default_rng(k).normal(size=embedding.shape) for k in range(layer))
        query, key, value = (residual @ rng.normal(size=(WIDTH, HEAD_DIM)) / 9 for _ in range(3))
        scores = query @ key.T / math.sqrt(HEAD_DIM)
        weights = softmax(np.where(np.tri(len(ids), dtype=bool), scores, -np.inf))
        logits = np.random.default_rng(ids[: position + 1]).normal(size=2048) * 2.4
        p = softmax(logits[None])[0]
        best = np.argsort(-p)[:20]
        return {
            "layers": LAYERS, "heads": HEADS, "kv_heads": KV_HEADS, "width": WIDTH, "head_dim": HEAD_DIM,
            "vocabulary": 2048, "layer": layer, "head": head, "position": position, "embedding": rounded(embedding),
            "residual": rounded(residual), "query": rounded(query), "key": rounded(key), "value": rounded(value),
            "scores": [[x if j <= i else None for j, x in enumerate(row)] for i, row in enumerate(rounded(scores))],
            "weights": rounded(weights), "context": rounded(weights @ value),
            "logits": [
                {k: v for k, v in self.token(int(i)).items() if k != "special"}
                | {"logit": rounded(logits[i]), "probability": rounded(p[i])}
                for i in best
            ],
            "entropy": rounded(-(p * np.log(p)).sum()),
        }  # fmt: skip

    def attention(self, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        t = len(ids)
        made = []
        for layer in range(LAYERS):
            made.append([])
            for head in range(HEADS):
                rng = np.random.default_rng([layer, head, t])
                scores = rng.normal(size=(t, t))
                habit = (layer + head) % 3
                if habit == 0:
                    scores[:, 0] += 4
                elif habit == 1:
                    scores += 4 * np.eye(t, k=-1)
                made[-1].append(rounded(softmax(np.where(np.tri(t, dtype=bool), scores, -np.inf))))
        return {"weights": made}

    def lens(self, ids: list[int], body: dict[str, Any]) -> dict[str, Any]:
        layers = []
        for layer in range(LAYERS + 1):
            top = []
            for place in range(len(ids)):
                end = np.random.default_rng(ids[: place + 1]).normal(size=2048) * 3
                early = np.random.default_rng([place, layer]).normal(size=2048) * 2.5
                p = softmax((end * (layer / LAYERS) + early * (1 - layer / LAYERS))[None])[0]
                best = np.argsort(-p)[: body["top"]]
                top.append(
                    [
                        {"id": int(i), "text": self.tokenizer.decode([int(i)]), "probability": rounded(p[i])}
                        for i in best
                    ]
                )
            layers.append({"layer": layer, "top": top})
        return {"layers": layers, "final": layers[-1]}

    # ---- runs

    def run(self, name: str) -> dict[str, Any]:
        running = self.running.get(name)
        stages = [{"name": "world", "state": "done", "report": False, "series": False}]
        for stage in self.runs[name]:
            state = "running" if stage == running else "done"
            stages.append({"name": stage, "state": state, "report": False, "series": True})
        if name == "nano":
            stages.append({"name": "evaluate", "state": "done", "report": True, "series": False})
        return {"id": name, "name": name, "kind": "training", "state": "running" if running else "done",
                "updated": time.time() - 90, "report": name == "nano", "stages": stages}  # fmt: skip

    def curves(self, name: str, stage: str, after: int) -> dict[str, Any]:
        if name not in self.runs or stage not in self.runs[name]:
            raise Refused(404, f"no stage {stage} in {name}")
        rows = self.runs[name][stage]
        reset = after == 0 or after > len(rows)
        series: dict[str, list[list[float]]] = {}
        for row in rows[0 if reset else after :]:
            for key, value in row.items():
                if key != "step":
                    series.setdefault(key, []).append([row["step"], value])
        return {"stage": stage, "next": len(rows), "reset": reset, "series": series}


def model(name: str, local: bool) -> dict[str, Any]:
    able = {key: local for key in ("prefix", "logprobs", "scoring", "mask", "fork", "value", "think", "until")}
    return {
        "id": name, "object": "model", "created": 0, "owned_by": "thinkling", "context_length": 1024,
        "capabilities": able, "local": local,
    }  # fmt: skip


def made_run(steps: int, seed: int) -> dict[str, list[dict[str, Any]]]:
    """The logs of two stages; the loss falls, single gradients are wild, every 50th step is checked."""
    rng = np.random.default_rng(seed)
    pretrain, rl = [], []
    for step in range(steps):
        loss = 1.6 + 5.8 * math.exp(-step / 60) + rng.normal() * 0.06
        row = {"step": step, "loss": loss, "gradient_norm": abs(rng.normal()) + (30 if step % 97 == 5 else 0.4),
               "tokens_per_second": 16_500 + 400 * rng.normal(), "rate_factor": min(1, step / 50)}  # fmt: skip
        if step % 50 == 49:
            row["val_bpb"] = loss / 2.2
        pretrain.append(row)
        grown = 1 - math.exp(-step / 80)
        rl.append({"step": step, "reward": 0.45 + 0.45 * grown + rng.normal() * 0.04,
                   "kl": 0.02 * grown * abs(rng.normal()), "length": 24 + 18 * grown + rng.normal()})  # fmt: skip
        if step % 20 == 0:
            rl[-1] |= {
                f"held_out.{name}": 0.5 + (0.4 - 0.06 * k) * grown
                for k, name in enumerate(("mean", "coin", "sort", "letters"))
            }
    return {"pretrain": pretrain, "rl": rl[: steps // 2]}


def softmax(x: np.ndarray) -> np.ndarray:
    made = np.exp(x - x.max(-1, keepdims=True))
    return made / made.sum(-1, keepdims=True)


def rounded(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return [rounded(part) for part in x]
    return float(f"{x:.4g}")


@contextmanager
def serving(backend: Backend, web: Path = WEB) -> Iterator[str]:
    """The address of a server that answers from ``backend`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.route(None)

        def do_POST(self) -> None:
            self.route(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def route(self, body: Any) -> None:
            at = urlsplit(self.path)
            if at.path == "/" or at.path.startswith("/web/"):
                file = files(web).get(at.path.removeprefix("/web/") if at.path != "/" else "index.html")
                if file is None:
                    return self.send(404, b"{}", "application/json")
                page = read_page(file)
                return self.send(200, page.body, page.type, POLICY)
            if at.path.endswith("/report"):
                policy = (
                    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; sandbox allow-scripts"
                )
                return self.send(200, REPORT.encode(), "text/html", policy)
            try:
                status, value = 200, backend.answer(at.path, parse_qs(at.query), body)
            except Refused as refused:
                status, value = (
                    refused.status,
                    {"error": {"message": str(refused), "type": "", "param": None, "code": refused.code}},
                )
            self.send(status, json.dumps(value).encode(), "application/json")

        def send(self, status: int, body: bytes, kind: str, policy: str = "default-src 'none'") -> None:
            try:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.send_header("content-security-policy", policy)
                self.send_header("cache-control", "no-cache")
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the page took its question back

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
