"""What an evaluation costs beside the model: `thinkling eval` against lm-evaluation-harness.

    python bench/evaluation.py --peer PYTHON [--items 500] [--rounds 3]

PYTHON is an interpreter with ``lm_eval[api]``. Both ask the same questions, 32 at a time, of one server on the
loopback that answers every request alike and at once; a round is one whole run of each as its own process, start-up,
grading and reports included. Printed are seconds on the clock and CPU seconds of the client (the server's are its
own), per run and per request, and the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "tests" / "scripted_server.py"
CONCURRENCY = 32
TASK = """task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  max_gen_toks: 64
  do_sample: false
filter_list:
  - name: number
    filter:
      - function: regex
        regex_pattern: "answer is (-?[0-9]+)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


@dataclass(frozen=True)
class Taken:
    """Seconds that a process and its children took."""

    wall: float
    cpu: float


def timed(command: list[str], log: Path) -> Taken:
    """Run a command to its end; raises with the end of its output where it failed."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "OPENAI_API_KEY": "none",
    }
    begun = time.perf_counter()
    with open(log, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=log.parent)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{command[0]} failed:\n{log.read_text(errors='replace')[-3000:]}")
    return Taken(wall, usage.ru_utime + usage.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, required=True, help="Python with lm_eval[api]")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    versions = "import lm_eval, aiohttp; print('lm_eval', lm_eval.__version__, 'aiohttp', aiohttp.__version__)"
    print(subprocess.run([options.peer, "-c", versions], capture_output=True, text=True, check=True).stdout.strip())
    server = subprocess.Popen([sys.executable, SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            compare(options, url, Path(folder))
    finally:
        server.kill()


def compare(options: argparse.Namespace, url: str, folder: Path) -> None:
    items = folder / "sums.jsonl"
    rows = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(options.items)]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sums.yaml").write_text(TASK.format(file=items))
    ratios: list[tuple[float, float]] = []
    for number in range(options.rounds):
        model = f"openai:served@{url}?concurrency={CONCURRENCY}"
        ours = timed(
            [
                sys.executable,
                "-m",
                "thinkling",
                "eval",
                model,
                "--task",
                str(items),
                "--max-tokens",
                "64",
                "--out",
                str(folder / f"ours{number}"),
            ],
            folder / "ours.log",
        )
        arguments = ",".join(
            (
                "model=served",
                f"base_url={url}/chat/completions",
                f"num_concurrent={CONCURRENCY}",
                "max_retries=3",
                "tokenized_requests=False",
            )
        )
        theirs = timed(
            [
                str(options.peer),
                "-m",
                "lm_eval",
                "--model",
                "local-chat-completions",
                "--model_args",
                arguments,
                "--apply_chat_template",
                "--tasks",
                "sums",
                "--include_path",
                str(folder),
                "--output_path",
                str(folder / f"theirs{number}"),
                "--log_samples",
            ],
            folder / "theirs.log",
        )
        ratios.append((ours.wall / theirs.wall, ours.cpu / theirs.cpu))
        for name, taken in (("thinkling eval", ours), ("lm_eval", theirs)):
            per = 1000 * taken.cpu / options.items
            print(f"{name:15} {taken.wall:6.2f} s, {taken.cpu:6.2f} CPU s, {per:6.2f} CPU ms per request", flush=True)
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"thinkling takes {wall:.3f} of the time and {cpu:.3f} of the CPU (medians of {options.rounds} rounds)")


if __name__ == "__main__":
    main()
