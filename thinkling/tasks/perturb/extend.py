"""One more step: the same beginning, one step further. Who recites gives the answer before that step."""

from __future__ import annotations

import random
import re

from thinkling.core.types import Problem
from thinkling.tasks import coin
from thinkling.tasks.chain import HELD_OUT, SEEN, Event, equations
from thinkling.tasks.grading import number
from thinkling.tasks.perturb.change import Change, Refused, solutions, with_solutions
from thinkling.tasks.perturb.redraw import LIMITS, draw_event, sorted_again
from thinkling.tasks.perturb.wording import Slots, take_apart
from thinkling.tasks.words import CONTAINERS, FIRST_NAMES, plural, pronoun

# A question for what one person holds at the end: "How many red marbles does Tom have now?".
_HOLDS = re.compile(
    r"How many (?P<things>(?!(?:more|fewer|less|of|other|total)\b)[a-z]+(?: [a-z]+){0,2}) "
    r"(?:does|will) (?P<who>[A-Z][a-z]+|she|he) have (?:now|left|in the end|at the end)\?"
)


def extend(problem: Problem, rng: random.Random) -> Change:
    """A built-in problem at the next level. Refused for families that are no chain of steps."""
    if problem.family == "chain":
        return _chain(problem, rng)
    if problem.family == "letters":
        return _letters(problem, rng)
    if problem.family == "coin":
        return _coin(problem, rng)
    if problem.family == "sort":
        return _sort(problem, rng)
    raise Refused("the problem is no chain of steps that could go on")


def extend_text(problem: Problem, rng: random.Random) -> Change:
    """A foreign problem whose answer is a whole number, with an addition or a subtraction appended.

    Where the last sentence asks what somebody has in the end, the story goes on before it; else the
    question is followed by one about its answer. Refused without a single question at the end.
    """
    gold = number(problem.answer)
    if gold is None or gold.denominator != 1 or gold < 0:
        raise Refused("the answer is not a whole number")
    prompt = problem.prompt.rstrip()
    if not prompt.endswith("?") or prompt.count("?") != 1:
        raise Refused("the problem does not end in its only question")
    amount = rng.randint(3, 12)
    grows = gold <= amount or rng.random() < 0.5
    question = re.search(r"(?:(?<=[.!]\s)|^)[^.!?]*\?$", prompt)
    holds = _HOLDS.fullmatch(question.group()) if question else None
    if question and question.start() and holds:
        event = (
            f"Then {holds['who']} {'gets' if grows else 'loses'} {amount} {'more ' if grows else ''}{holds['things']}."
        )
        prompt = f"{prompt[: question.start()]}{event} {question.group()}"
    else:
        appended = f"add {amount} to" if grows else f"subtract {amount} from"
        prompt = f"{prompt} Then {appended} that number: what is the result?"
    answer = gold + amount if grows else gold - amount
    step = f"{gold}{'+' if grows else '-'}{amount}={answer}"
    solved = [f"{solution} {step}" for solution in solutions(problem.meta)]
    meta = with_solutions(problem.meta, solved) if solved else problem.meta
    return Change(prompt, str(answer), problem.level + 1, meta, new_gold=True)


def _chain(problem: Problem, rng: random.Random) -> Change:
    meta, slots = problem.meta, take_apart(problem)
    event = None
    while event is None:
        event = draw_event(rng, rng.choice(list(LIMITS)), int(problem.answer))
    wording = (*SEEN, *HELD_OUT)[meta["template"]]
    prompt = slots.with_sentence(_told(slots, str(wording[event[0]]), event, rng), -1)
    events = [(str(op), int(a), int(b)) for op, a, b in (*meta["events"], event)]
    rows = equations(meta["start"], events)
    child = {**meta, "events": [list(one) for one in events], "steps": [list(row) for row in rows]}
    return Change(prompt, str(rows[-1][3]), problem.level + 1, child, new_gold=True)


def _told(slots: Slots, template: str, event: Event, rng: random.Random) -> str:
    """The sentence of one event, with the story's own people and things as far as it names them."""
    _, a, b = event
    name, thing = slots.word("n"), slots.word("t")
    assert name is not None and thing is not None  # every opening names both
    friend = slots.word("f") or rng.choice([other for other in FIRST_NAMES if other != name])
    known = (slots.word("box"), slots.word("boxes"))
    box = next((item for item in CONTAINERS if item == known[0] or plural(item) == known[1]), None)
    box = box or rng.choice(CONTAINERS)
    he = pronoun(name) if template.startswith("Then") else pronoun(name).capitalize()
    times = "doubles" if a == 2 else "triples"
    words = {"n": name, "p": he, "f": friend, "t": thing, "box": box, "boxes": plural(box)}
    return template.format(a=a, b=b, times=times, grows=times, **words)


def _letters(problem: Problem, rng: random.Random) -> Change:
    slots, names = take_apart(problem), list(problem.meta["words"])
    names.append(rng.choice([name for name in FIRST_NAMES if name not in names]))
    prompt = slots.filled({"w0": " ".join(names), "c0": ", ".join(names)})
    meta = {**problem.meta, "words": names, "steps": [[name, name[-1]] for name in names]}
    return Change(prompt, "".join(name[-1] for name in names), problem.level + 1, meta, new_gold=True)


def _coin(problem: Problem, rng: random.Random) -> Change:
    meta, slots = problem.meta, take_apart(problem)
    name = rng.choice([name for name in FIRST_NAMES if name not in meta["names"]])
    flips = rng.random() < 0.5
    _, flip, leave, _ = (*coin.SEEN, *coin.HELD_OUT)[meta["template"]]
    prompt = slots.with_sentence((flip if flips else leave).format(n=name), -1)
    heads = (problem.answer == "yes") != flips
    child = {**meta, "names": [*meta["names"], name], "flips": [*meta["flips"], flips]}
    child["steps"] = [*meta["steps"], [name, flips, coin.side(heads)]]
    return Change(prompt, "yes" if heads else "no", problem.level + 1, child)


def _sort(problem: Problem, rng: random.Random) -> Change:
    slots, numbers = take_apart(problem), list(problem.meta["numbers"])
    numbers.append(rng.choice([item for item in range(10, 100) if item not in numbers]))
    return sorted_again(problem, slots, numbers)
