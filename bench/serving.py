"""`thinkling serve` under load: 64 streaming chats at once, against the engine alone and against llama.cpp's server.

    python bench/serving.py [MODEL] [--seconds 300] [--clients 64] [--llama-server PROGRAM --rounds 3]

First the engine alone answers the same chats without a server: in batches of 64, each to its end, and with 64 always
under way. Then the server answers them for so many seconds, every stream checked from its first chunk to [DONE],
while /health is asked twenty times a second; every eighth chat also asks for its tokens' ids, which must be as many
as were drawn. PROGRAM is a
``llama-server`` (built from llama.cpp's sources); it serves the same weights in bfloat16 from a GGUF file, and rounds
of 30 seconds alternate between the two servers.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent), str(Path(__file__).parent)]

import psutil  # noqa: E402
from streaming import Seen, chats, load  # noqa: E402

from thinkling.cli.hooks import open_backend  # noqa: E402
from thinkling.core.locate import find_model  # noqa: E402
from thinkling.core.types import Message, Sample, Sampling  # noqa: E402
from thinkling.rollout.driver import drive  # noqa: E402
from thinkling.tasks.family import pose  # noqa: E402
from thinkling.tasks.registry import family  # noqa: E402

ROUND_S = 30.0
FAMILIES = ("chain", "equation", "letters", "coin", "sort")
NEW = 160  # tokens of an answer at most


def questions(count: int) -> list[str]:
    rng = random.Random(0)
    return [pose(name, family(name).draw(rng)).prompt for _ in range(count // len(FAMILIES)) for name in FAMILIES]


def offline(model: Path, prompts: list[str], clients: int, seconds: float) -> tuple[float, float]:
    """Tokens per second of the engine alone: in batches of as many chats, and with so many always under way."""
    backend = open_backend(model, max_len=1024, slots=clients)

    def ask(number: int) -> Iterator[Sample]:
        text = prompts[number % len(prompts)]
        sampled = yield Sample((Message.user(text),), Sampling(max_tokens=NEW), number)
        return sampled[0].usage.completion

    def endless(begun: float) -> Iterator[Iterator[Sample]]:
        for number in itertools.count():
            if time.perf_counter() - begun > seconds:
                return
            yield ask(number)

    drive([ask(number) for number in range(clients)], backend)  # what has to be compiled is
    tokens, begun = 0, time.perf_counter()
    for batch in itertools.count():
        if (spent := time.perf_counter() - begun) > seconds:
            break
        tokens += sum(drive([ask(batch * clients + number) for number in range(clients)], backend))
    batches = tokens / spent
    begun = time.perf_counter()
    tokens = sum(drive(endless(begun), backend, limit=2 * clients))
    return batches, tokens / (time.perf_counter() - begun)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextmanager
def server(command: list[str], port: int, folder: Path, name: str) -> Iterator[psutil.Process]:
    """A server as a process of its own, from the moment that it is ready."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "XDG_DATA_HOME": str(folder)})
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    assert process.poll() is None, (folder / f"{name}.log").read_text()
                    time.sleep(0.2)
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def cpu(pid: int) -> float:
    """CPU seconds that a process has taken, its children's not."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def engine_of(served: psutil.Process) -> int:
    """The process with the model: of the server's children, the one that has worked."""
    return max(served.children(), key=lambda child: cpu(child.pid)).pid


def gauge(port: int, name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return sum(float(line.split()[-1]) for line in answer.read().decode().splitlines() if line.startswith(name))


def end_ids(port: int) -> list[int]:
    """The ids that end an answer."""
    body = json.dumps({"model": "nano", "prompt": "<|im_end|><|endoftext|>", "parse_special": True}).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/tokenize", body, headers)) as answer:
        return json.load(answer)["tokens"]


def disconnect(port: int, times: int = 20) -> tuple[list[float], list[float]]:
    """Leave in the middle of a long answer: seconds until no sequence runs, and tokens drawn after that."""
    waits, after = [], []
    ends = dict.fromkeys(map(str, end_ids(port)), -100)  # so that it is still under way when the client leaves
    for seed in range(times):
        asked = {"model": "nano", "prompt": [5, 6, 7], "max_tokens": 900, "stream": True, "seed": seed}
        body = json.dumps({**asked, "logit_bias": ends})
        head = f"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            connection.recv(65536)
            assert gauge(port, "thinkling_sequences_running") == 1
        left = time.perf_counter()
        while gauge(port, "thinkling_sequences_running"):
            pass
        waits.append(time.perf_counter() - left)
        drawn = gauge(port, "thinkling_tokens_drawn_total")
        time.sleep(0.2)
        after.append(gauge(port, "thinkling_tokens_drawn_total") - drawn)
    return waits, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--llama-server", default="")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    model, prompts = find_model(options.model), questions(500)
    print(f"{model.name}, {options.clients} chats at once, up to {NEW} tokens each; {os.cpu_count()} cores")
    batches, always = offline(model, prompts, options.clients, ROUND_S)
    print(f"the engine alone: {batches:,.0f} tokens/s in batches, {always:,.0f} with as many always under way")
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        ours = [sys.executable, "-m", "thinkling", "serve", f"nano={model}", "--port", str(port), "--max-len", "1024"]
        ours += ["--slots", str(options.clients), "--no-history"]
        with server(ours, port, folder, "thinkling") as served:
            asked = dict(model="nano", max_tokens=NEW)
            asyncio.run(load(port, chats(prompts, **asked), clients=options.clients, seconds=5.0))  # warm
            processes = {"load": os.getpid(), "server": served.pid, "engine": engine_of(served)}
            before = {who: cpu(pid) for who, pid in processes.items()}
            seen = asyncio.run(
                load(port, chats(prompts, **asked, every=8), clients=options.clients, seconds=options.seconds)
            )
            cores = {who: (cpu(pid) - before[who]) / seen.seconds for who, pid in processes.items()}
            shares = f"{seen.rate / batches:.0%} of the batches, {seen.rate / always:.0%} of as many always under way"
            print(f"thinkling serve: {shares}\n{seen.told()}")
            print("  cores busy: " + ", ".join(f"{who} {share:.2f}" for who, share in cores.items()))
            waits, after = disconnect(port)
            print(
                f"  a client that leaves: /metrics shows its slot free after {1e3 * statistics.median(waits):.0f} ms "
                f"(at most {1e3 * max(waits):.0f}), {sum(after):.0f} tokens are drawn from then on; {len(waits)} times"
            )
            for fault in seen.faults[:5]:
                print(f"  fault: {fault}")
            if options.llama_server:
                against_llama(options, model, prompts, port, folder)


def against_llama(options: argparse.Namespace, model: Path, prompts: list[str], ours: int, folder: Path) -> None:
    from llama_peer import write_gguf

    from thinkling.model.checkpoint import load_checkpoint

    config, weights = load_checkpoint(model)
    write_gguf(folder / "model.gguf", weights, config, model)
    port = free_port()
    command = [options.llama_server, "-m", str(folder / "model.gguf"), "--port", str(port), "--host", "127.0.0.1"]
    command += ["-np", str(options.clients), "-c", str(512 * options.clients), "-t", str(os.cpu_count()), "--jinja"]
    command += ["--reasoning-format", "none"]
    version = subprocess.run([options.llama_server, "--version"], capture_output=True, text=True).stderr.split("\n")[0]
    with server(command, port, folder, "llama"):
        ratios, rates = [], []
        for _ in range(options.rounds):
            pair: list[Seen] = []
            for at in (ours, port):
                bodies = chats(prompts, model="nano", max_tokens=NEW)
                pair.append(asyncio.run(load(at, bodies, clients=options.clients, seconds=ROUND_S, health=False)))
            ratios.append(pair[0].rate / pair[1].rate)
            rates.append([seen.rate for seen in pair])
            for who, seen in zip(("thinkling", "llama.cpp"), pair, strict=True):
                print(f"{who}:\n{seen.told()}" + "".join(f"\n  fault: {fault}" for fault in seen.faults[:3]))
    mine, theirs = (statistics.median(rate[i] for rate in rates) for i in range(2))
    print(
        f"llama.cpp's server ({version}): {theirs:,.0f} tokens/s; thinkling {mine:,.0f}: "
        f"{statistics.median(ratios):.2f} times ({min(ratios):.2f}-{max(ratios):.2f})"
    )


if __name__ == "__main__":
    main()
