"""Step-level beam search, guided by a process verifier (Snell et al. 2024, arXiv:2408.03314, section 5.1).

Each beam is continued in ``expand`` ways up to the end of its next step; a process verifier judges every
step of every partial solution, and the ``width`` best go on. A solution's value is the ``score`` of its steps'
probabilities: their product, their minimum, or the last (Lightman et al. 2023, arXiv:2305.20050, appendix F).
Pruned branches stay in the trace, and in the bill.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Candidate, Message, Part, Sample, Sampled, Score, Scored
from thinkling.reasoning.best_of_n import value_of
from thinkling.reasoning.strategy import Setting, elect
from thinkling.rollout.driver import Rollout
from thinkling.tasks.steps import AGGREGATIONS, split_steps, step_marks


@dataclass(frozen=True)
class _Beam:
    """A solution so far: what was written (thinking where the protocol has it), and its place in the record."""

    work: str = ""
    index: int = -1
    value: float = 0.0
    sampled: Sampled | None = None


@dataclass(frozen=True)
class BeamSearch:
    """``width`` beams, each continued ``expand`` times per step, ``steps`` steps at most."""

    width: int = 4
    expand: int = 4
    steps: int = 24
    temperature: float = 1.0
    verifier: str = ""
    score: Literal["product", "minimum", "last"] = "minimum"

    def needs(self, setting: Setting, text: bool) -> Sequence[str]:
        if not self.verifier:
            raise UserError("beam search is guided by a process verifier: name its folder, verifier=PATH")
        return ("prefix", "until", "value")

    def answer(self, ask: Sample, setting: Setting) -> Rollout[Sampled]:
        thinks = setting.capabilities.think and bool(ask.messages) and ask.think is not False
        sampling = replace(ask.sampling, temperature=self.temperature)
        ask = replace(ask, sampling=sampling, n=self.expand, until=_step_is_over, think=True if thinks else ask.think)
        record: list[Candidate] = []
        live: list[_Beam] = [_Beam()]
        done: list[_Beam] = []
        for depth in range(self.steps):
            grown = yield from self._grow(ask, live, depth, thinks, record)
            yield from self._judge(ask, grown, record)
            best = sorted(grown, key=lambda beam: -beam.value)[: self.width - len(done)]
            for beam in grown:
                record[beam.index] = replace(record[beam.index], weight=beam.value, kept=beam in best)
            done += [beam for beam in best if _finished(beam)]
            live = [beam for beam in best if not _finished(beam)]
            if not live or len(done) >= self.width:
                break
        return self._choose(ask, done or live, record, setting)

    def _grow(
        self, ask: Sample, live: Sequence[_Beam], depth: int, thinks: bool, record: list[Candidate]
    ) -> Rollout[list[_Beam]]:
        """Every beam's continuations by one step; equal ones are kept once."""
        effects = [
            replace(ask, prefix=ask.prefix + beam.work, seed=derive(ask.seed, "beam", depth, place))
            for place, beam in enumerate(live)
        ]
        replies: tuple[list[Sampled], ...] = yield tuple(effects)
        grown: dict[tuple[str, bool, str], _Beam] = {}
        for beam, reply in zip(live, replies, strict=True):
            for sampled in reply:
                child = _step(ask, beam, sampled, thinks)
                turn = child.sampled
                assert turn is not None
                record.append(Candidate(turn.message, None, 0.0, turn.usage, turn.finish, "step", beam.index, False))
                key = (child.work, _finished(child), turn.message.text if thinks else "")
                grown.setdefault(key, replace(child, index=len(record) - 1))
        return list(grown.values())

    def _judge(self, ask: Sample, grown: list[_Beam], record: list[Candidate]) -> Rollout[None]:
        """Each beam's value from the verifier's probabilities after its steps (and, of a finished one, its end)."""
        effects = []
        for beam in grown:
            turn = record[beam.index].message
            marks = step_marks(turn) if _finished(beam) else _marks(beam.work)
            effects.append(Score(ask.messages, turn, self.verifier, marks, ask.prefix))
        scores: tuple[Scored, ...] = yield tuple(effects)
        for place, scored in enumerate(scores):
            ended = (value_of(scored),) if _finished(grown[place]) or not scored.values else ()
            values = (*scored.values, *ended)
            grown[place] = replace(grown[place], value=AGGREGATIONS[self.score](values))

    def _choose(self, ask: Sample, beams: Sequence[_Beam], record: list[Candidate], setting: Setting) -> Sampled:
        """The answer of the best finished beam; the record keeps the whole tree."""
        samples, finals = [], []
        for beam in beams:
            assert beam.sampled is not None
            answer = setting.kind.answer(beam.sampled.message.text)
            record[beam.index] = replace(record[beam.index], answer=answer)
            samples.append(beam.sampled)
            finals.append(replace(record[beam.index], role="answer"))
        chosen = elect(samples, finals, ask.seed, max)
        assert chosen.trace is not None
        tied = tuple(beams[place].index for place in chosen.trace.tied)
        note = f"{len(record)} steps sampled, {sum(not made.kept for made in record)} pruned"
        return replace(chosen, trace=replace(chosen.trace, candidates=tuple(record), tied=tied, note=note))


def _step_is_over(text: str) -> bool:
    """Whether a further word would begin a second step."""
    return len(split_steps(text + "x")) > 1


def _step(ask: Sample, beam: _Beam, sampled: Sampled, thinks: bool) -> _Beam:
    """The beam with what was sampled; where that ran into the next step, only its first."""
    message = sampled.message
    if not ask.messages:  # plain text comes as the continuation alone
        message = Message.assistant(beam.work + message.text)
    whole = (message.thinking or "") if thinks else message.text
    new = whole.removeprefix((ask.prefix if ask.messages else "") + beam.work)
    open_step = _step_is_over(new) and not (thinks and any(part.kind == "text" for part in message.parts))
    work = beam.work + (split_steps(new + "x")[0].rstrip() if open_step else new)
    if open_step:
        message = Message("assistant", (Part("think" if thinks else "text", work),))
    return _Beam(work, sampled=replace(sampled, message=message, finish="abort" if open_step else sampled.finish))


def _finished(beam: _Beam) -> bool:
    """Whether nothing follows: the turn has ended, or its tokens have."""
    return beam.sampled is not None and beam.sampled.finish != "abort"


def _marks(work: str) -> tuple[int, ...]:
    marks, at = [], 0
    for step in split_steps(work):
        at += len(step)
        marks.append(at)
    return tuple(marks)
