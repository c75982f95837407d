"""A synthetic evaluation: two tasks, every kind of strategy, and a scripted model that finds some problems easier.

The model fails in all the ways that models do: wrong, two answers at once, no answer, cut off, no reply at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from thinkling.core.seeds import stream
from thinkling.core.types import Sample, Score, Scored, Usage
from thinkling.evaluate.evaluation import Evaluation, Settings, evaluate
from thinkling.rollout.scripted import Scripted

QUESTION = "A baker bakes {0} loaves in the morning and {1} more after noon. He sells {2} of them. How many are left?"
_NUMBERS = re.compile(r"bakes (\d+) loaves in the morning and (\d+) more after noon. He sells (\d+)")

FAMILY = '''
from thinkling.core.types import Message, Verdict
from thinkling.tasks.answers import answer_kind
from thinkling.tasks.family import Draft, answer_message


class Loaves:
    """Word problems on three levels: the larger the numbers, the harder."""

    name, styles, kind = "loaves", ("direct",), "number"

    def draw(self, rng, level=None, ood=False):
        level = level or rng.randint(1, 3)
        a, b = rng.randint(2, 10**level), rng.randint(2, 10**level)
        c = rng.randint(1, a + b)
        prompt = {question!r}.format(a, b, c)
        return Draft(prompt, str(a + b - c), f"{{a}},{{b}},{{c}}", level)

    def solve(self, problem, style, rng, slip=False) -> Message:
        return answer_message(problem.answer)

    def grade(self, problem, text) -> Verdict:
        return answer_kind("number").grade(text, problem.answer)
'''

STRATEGIES = '''
import re
from dataclasses import replace
from thinkling.core.seeds import derive, stream
from thinkling.core.types import Candidate, Trace, Usage
from thinkling.core.types import Message
from thinkling.reasoning.strategy import candidate, elect


def paths(ask, setting):
    """Ten greedy paths, each token with its margin, as CoT-decoding keeps them."""
    samples = yield replace(ask, n=6)
    rng, made = stream(ask.seed, "margins"), []
    for sampled in samples:
        parts = (sampled.message.thinking or "", sampled.message.text)
        pieces = [piece for part in parts for piece in re.findall(r" *[^ ]+ *$| *[^ ]+", part)]
        gaps = tuple((piece, rng.random() ** (0.3 if any(map(str.isdigit, piece)) else 1.0)) for piece in pieces)
        delta = sum(gap for _, gap in gaps) / len(gaps)
        made.append(candidate(sampled, setting.kind.answer(sampled.message.text), delta, margins=gaps))
    return elect(samples, made, ask.seed, sum)


def search(ask, setting):
    """A tree of steps as beam search keeps it: three steps, two of four kept at each."""
    (sampled,) = yield ask
    rng, record, live = stream(ask.seed, "tree"), [], [("", -1)]
    for depth in range(3):
        grown = []
        for work, parent in live:
            for turn in range(2):
                text = work + f"Step {{depth + 1}}, way {{turn + 1}}: the loaves are counted again.\\n"
                record.append(Candidate(Message.assistant(text), None, rng.random(), Usage(), "abort", "step", parent))
                grown.append((record[-1].weight, text, len(record) - 1))
        best = sorted(grown, reverse=True)[:2]
        for _, _, place in grown:
            record[place] = replace(record[place], kept=place in {{row[2] for row in best}})
        live = [(text, place) for _, text, place in best]
    end = live[0][1]
    answer = setting.kind.answer(sampled.message.text)
    whole = Message.assistant(live[0][0] + sampled.message.text)
    record.append(Candidate(whole, answer, 0.9, Usage(), "stop", "step", end))
    note = f"{{len(record)}} steps sampled, {{sum(not one.kept for one in record)}} pruned"
    return replace(sampled, trace=Trace("", tuple(record), tied=(len(record) - 1,), note=note))
'''

EVERY_KIND = (
    "plain", "zs-cot", "refine", "sc:n=8", "sc", "sc:error=0.05", "bon:n=8,by=likelihood", "vote:n=8,verifier=verifier",
    "mine.py:paths", "mine.py:search",
)  # fmt: skip


def gold(question: str) -> int:
    """The answer to the last question in a text."""
    a, b, c = map(int, _NUMBERS.findall(question)[-1])
    return a + b - c


@dataclass(frozen=True)
class Baker:
    """The scripted model. ``hostile`` texts, if any, replace its words now and then."""

    hostile: Sequence[str] = ()
    failing: bool = True

    def __call__(self, effect: Sample, index: int) -> str | Exception:
        asked = effect.messages[-1].text if effect.messages else effect.prefix
        everything = "\n".join(message.text for message in effect.messages) + effect.prefix
        rng = stream(effect.seed, "baker", index, asked[-40:])
        if "name every mistake" in asked:
            return "No mistakes." if rng.random() < 0.5 else "The last subtraction looks wrong to me."
        right = gold(everything)
        a, b, c = map(int, _NUMBERS.findall(everything)[-1])
        known = stream(right, "difficulty", a, b, c).random() ** (0.5 if b < 100 else 1.5)
        said = right if rng.random() < 0.1 + 0.85 * known else right + rng.choice((-10, -10, -10, -1, 1, 2, a))
        if effect.prefix.endswith("numerals) is"):  # zero-shot's second stage
            return f" {said}."
        fate = rng.random() if self.failing else 1.0
        if fate < 0.004:
            return ConnectionError("the endpoint closed the connection")
        if fate < 0.03:
            return "<think>I could add them, or take them away, or begin anew. </think>I am not sure."
        if fate < 0.05:
            return f"The answer is {said}. Or else, the answer is {said + 1}."
        if fate < 0.06:
            return "<think>" + "Let me count again. " * 200
        if self.hostile and fate < 0.2:
            return f"{rng.choice(self.hostile)}\nThe answer is {said}."
        thought = f"First all that he bakes: {a} + {b} = {a + b}.\nThen without the sold ones: {a + b} - {c} = {said}."
        answer = f"He bakes {a + b} loaves and sells {c}. The answer is {said}."
        # A turn that was begun for it has no place for thinking any more.
        return f" {thought}\n{answer}" if effect.prefix else f"<think>{thought}</think>{answer}"


def judge(effect: Score) -> Scored:
    """A verifier that is right a little more often than not; its probabilities differ in every digit."""
    text = effect.turn.text
    rng = stream(0, "judge", text)
    found = re.findall(r"answer is (-?\d+)", text)
    right = bool(found) and int(found[-1]) == gold("\n".join(message.text for message in effect.messages))
    value = min(1.0, max(0.0, rng.gauss(0.65 if right else 0.4, 0.2)))
    return Scored((value - 1.0, -0.1), value, Usage(prompt=len(text), calls=1))


def write_tasks(folder: Path, problems: int) -> tuple[str, str]:
    """A file of problems and a family of problems with levels; and ``mine.py``, strategies of a user's own."""
    rng = stream(1, "rows")
    rows, seen = [], set()
    while len(rows) < problems:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        numbers = (a, b, rng.randint(1, a + b))
        if numbers not in seen:
            seen.add(numbers)
            rows.append({"question": QUESTION.format(*numbers), "answer": f"So. #### {a + b - numbers[2]}"})
    (folder / "bakery.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "loaves.py").write_text(FAMILY.format(question=QUESTION))
    (folder / "mine.py").write_text(STRATEGIES.format())
    return str(folder / "bakery.jsonl"), f"{folder / 'loaves.py'}:Loaves"


def synthetic(
    folder: Path,
    *,
    problems: int = 24,
    strategies: Sequence[str] = EVERY_KIND,
    reply: Callable[[Sample, int], str | Exception] | None = None,
    tasks: int = 2,
    max_tokens: int = 400,
) -> Evaluation:
    """An evaluation in ``folder / "evaluation"``."""
    folder.mkdir(parents=True, exist_ok=True)
    named = write_tasks(folder, problems)[:tasks]
    own = tuple(spec.replace("mine.py", str(folder / "mine.py")) for spec in strategies)
    settings = Settings(
        model="runs/nano/baker",
        model_id="scripted",
        tasks=named,
        strategies=own,
        problems=problems,
        max_tokens=max_tokens,
    )
    backend = Scripted(reply or Baker(), score=judge)
    return evaluate(settings, folder / "evaluation", lambda: backend)
