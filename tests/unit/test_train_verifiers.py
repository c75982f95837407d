"""Verifiers: what they are trained on, that the engine reads what was trained, and what their report says."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from thinkling.core.errors import UserError
from thinkling.core.stage import StageContext
from thinkling.core.types import Message, Problem, Score, Scored, Usage, Verdict
from thinkling.engine.backend import LocalBackend, probability
from thinkling.engine.engine import Engine
from thinkling.engine.scoring import judged
from thinkling.engine.verifiers import open_verifier
from thinkling.model.checkpoint import save_checkpoint
from thinkling.model.config import ModelConfig
from thinkling.model.transformer import Packed, Transformer
from thinkling.rollout.episodes import ask_user
from thinkling.tasks import registry
from thinkling.tasks.coin import Coin
from thinkling.tasks.sets import problems
from thinkling.tasks.steps import step_marks
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import END
from thinkling.train import outcome_verifier, process_verifier, solutions, verifier
from thinkling.train.losses import verifier_loss
from thinkling.train.outcome_verifier import every_token
from thinkling.train.process_verifier import first_errors, step_ends
from thinkling.train.solutions import Attempts, Solution
from thinkling.train.value_model import ValueModel, load_value_model
from thinkling.train.verifier import examples, fitting
from thinkling.train.verifier_report import (
    SIZES,
    Group,
    auc,
    best_of,
    calibration,
    choosing,
    estimate,
    ranking,
    redraws,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    texts = [
        p.prompt + " The answer is heads, tails, yes, no. " for p in problems(registry.family("coin"), "train", 60, 1)
    ]
    tokenizer = Tokenizer.train(texts, 400)
    tokenizer.save(folder)
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, intermediate_size=48, max_position_embeddings=512,
    )  # fmt: skip
    save_checkpoint(folder, config, Transformer(config, seed=1).state())
    return folder


def attempts(count: int = 6, family: str = "chain") -> list[Attempts]:
    """Worked solutions with and without slips, each step right with some share."""
    maker = registry.family(family)
    rng = np.random.default_rng(4)
    made = []
    for problem in problems(maker, "train", count, 7):
        turns = [maker.solve(problem, style, random.Random(i), slip=i % 2 > 0) for i, style in enumerate(maker.styles)]
        rows = []
        for turn in turns:
            verdict = maker.grade(problem, turn.text)
            shares = tuple(rng.integers(0, 9, len(step_marks(turn))) / 8)
            rows.append(Solution(turn, verdict.score or 0.0, verdict.extracted, step_marks(turn), shares))
        made.append(Attempts(problem, tuple(rows)))
    return made


def recipe(kind: str, **settings: object) -> verifier.VerifierRecipe:
    cls = {"outcome-verifier": outcome_verifier.Recipe, "process-verifier": process_verifier.Recipe}[kind]
    small = {
        "stage": kind, "seed": 3, "steps": 3, "families": ["coin"], "problems": 6, "samples": 3, "batch": 4,
        "windows": 2, "length": 256, "max_tokens": 12, "held_out": 4, "held_out_samples": 4, "measure_every": 2,
    }  # fmt: skip
    return cls.model_validate_json(json.dumps(small | settings))


# --- the model -----------------------------------------------------------------------------------


def trained_model(folder: Path) -> ValueModel:
    made = load_value_model(folder)
    with torch.no_grad():
        made.weights["value_head"].copy_(torch.randn(32, generator=torch.Generator().manual_seed(2)))
        made.weights["value_bias"].fill_(0.3)
    made.refresh()
    return made


def test_the_engine_says_what_the_trained_head_says(model: Path, tmp_path: Path) -> None:
    made, tokenizer = trained_model(model), Tokenizer.load(model)
    save_checkpoint(tmp_path, made.config, made.state())
    again = load_value_model(tmp_path)
    assert torch.equal(again.weights["value_head"], made.weights["value_head"])
    assert {"value_head.weight": (1, 32), "value_head.bias": (1,)}.items() <= {
        name: tuple(tensor.shape) for name, tensor in made.state().items()
    }.items()

    one = attempts(1)[0]
    turn = judged(tokenizer, Score(ask_user(one.problem), one.solutions[1].turn, marks=one.solutions[1].marks))
    packed = Packed.whole(torch.tensor([turn.ids]))
    rows = torch.tensor(sorted({*turn.places, len(turn.ids) - 1}))
    logits, _ = again.logits(packed, rows)
    engine = Engine(made.state(), made.config, slots=4, max_len=512, dtype="float32")
    said = engine.values([turn.ids[: row + 1] for row in rows.tolist()])
    assert logits.tolist() == pytest.approx(said, abs=1e-4)


def test_a_verifier_goes_on_as_a_language_model_with_the_same_trunk(model: Path) -> None:
    made, plain = load_value_model(model), Transformer(ModelConfig.from_hf(model), seed=1)
    packed = Packed.whole(torch.arange(20)[None])
    assert torch.equal(made.hidden(packed), plain.hidden(packed))
    assert made.logits(packed, torch.arange(20))[0].tolist() == [0.0] * 20


# --- what it learns ------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [every_token, step_ends])
def test_a_step_is_the_sum_of_solutions_judged_one_by_one(model: Path, labels: verifier.Labels) -> None:
    made, tokenizer = trained_model(model), Tokenizer.load(model)
    groups = examples(attempts(), tokenizer, labels)
    learner = verifier.Learner(recipe("outcome-verifier", batch=6, windows=2), made, groups, tokenizer.special_id(END))
    row = learner.step(0)
    found = {name: weight.grad.clone() for name, weight in made.weights.items() if weight.grad is not None}

    slow = trained_model(model)
    total = torch.zeros(())
    flat = [example for group in groups for example in group]
    for example in flat:
        place = torch.from_numpy(np.flatnonzero(~np.isnan(example.label)))
        logits, _ = slow.logits(Packed.whole(torch.tensor([example.ids])), place)
        label = torch.from_numpy(example.label)[place]
        each = torch.nn.functional.binary_cross_entropy(logits.sigmoid(), label)
        loss = each / len(flat)
        loss.backward()
        total += loss.detach()
    slow.collect_gradients()
    assert row["loss"] == pytest.approx(float(total), rel=1e-4) and row["solutions"] == len(flat)
    assert set(found) == {name for name, weight in slow.weights.items() if weight.grad is not None} - {"head"}
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, slow.weights[name].grad, atol=1e-5, rtol=1e-3, msg=name)


def test_every_epoch_has_every_problem_once_in_an_order_of_its_own(model: Path) -> None:
    groups = examples(attempts(6), Tokenizer.load(model), every_token)
    learner = verifier.Learner(recipe("outcome-verifier", batch=4), load_value_model(model), groups, 0)
    places = [learner._place(i) for i in range(18)]
    epochs = [places[at : at + 6] for at in (0, 6, 12)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs) and len(set(map(tuple, epochs))) > 1
    fresh = verifier.Learner(recipe("outcome-verifier", batch=4), load_value_model(model), groups, 0)
    assert [fresh._place(i) for i in range(9, 18)] == places[9:], "a resumed run draws the same"


def test_labels_lie_on_the_solution_alone(model: Path) -> None:
    tokenizer = Tokenizer.load(model)
    one = attempts(1)[0]
    for solution in one.solutions:
        turn = judged(tokenizer, Score(ask_user(one.problem), solution.turn, marks=solution.marks))
        everywhere = every_token(solution, turn)
        assert sorted(everywhere) == list(range(len(turn.prompt), len(turn.ids)))
        assert set(everywhere.values()) == {solution.score}
        steps = step_ends(solution, turn)
        assert steps[len(turn.ids) - 1] == solution.score and len(steps) == len(solution.marks) + 1
        for mark, place, share in zip(solution.marks, turn.places, solution.shares, strict=True):
            assert steps[place] == share
            spelled = tokenizer.decode(
                i for i in turn.ids[len(turn.prompt) : place + 1] if i not in tokenizer.special.values()
            )
            assert spelled == ((solution.turn.thinking or "") + solution.turn.text)[:mark]


def test_soft_labels_are_learned_as_probabilities() -> None:
    logit = torch.zeros(3, requires_grad=True)
    label, weight = torch.tensor([0.25, 1.0, 0.0]), torch.tensor([1.0, 0.5, 0.0])
    loss = verifier_loss(logit, label, weight)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.5 * np.log(2))
    assert logit.grad is not None and logit.grad.tolist() == pytest.approx([0.25, -0.25, 0.0])


def test_solutions_longer_than_a_window_are_left_out(model: Path) -> None:
    tokenizer, all_of_them = Tokenizer.load(model), attempts(3)
    sizes = [[len(verifier._judged(tokenizer, one.problem, s).ids) for s in one.solutions] for one in all_of_them]
    limit = sorted(size for group in sizes for size in group)[5]
    kept = fitting(all_of_them, tokenizer, limit)
    assert [len(one.solutions) for one in kept] == [sum(size <= limit for size in group) for group in sizes]


# --- the policy's side ---------------------------------------------------------------------------


def sampler(model: Path, folder: Path, **settings: object) -> solutions.Sampler:
    options = {"seed": 5, "think": True, "max_len": 256, "dtype": torch.float32} | settings
    return solutions.Sampler(
        StageContext(folder),
        model,
        solutions.Sampling(temperature=1.0, max_tokens=10),
        **options,  # type: ignore[arg-type]
    )


def test_solutions_are_graded_kept_and_not_sampled_twice(model: Path, tmp_path: Path) -> None:
    family = [registry.family("coin")]
    first = sampler(model, tmp_path).attempts(family, "train", 5, 3)
    assert [one.problem for one in first] == problems(family[0], "train", 5, 5)
    assert all(solution.turn.thinking is not None for one in first for solution in one.solutions)
    again = sampler(model, tmp_path)
    again.backend = None  # type: ignore[assignment]
    assert again.attempts(family, "train", 5, 3) == first
    assert sampler(model, tmp_path / "other").attempts(family, "train", 5, 3) == first
    assert sampler(model, tmp_path / "seed", seed=6).attempts(family, "train", 5, 3) != first


class Parity:
    """A family whose answers are right where they have an even number of characters."""

    name = "parity"
    styles = ("steps",)

    def grade(self, problem: Problem, text: str) -> Any:
        return SimpleNamespace(score=float(len(text) % 2 == 0))


def test_a_step_is_worth_the_share_of_continuations_that_come_out_right(model: Path, tmp_path: Path) -> None:
    made = sampler(model, tmp_path)
    problem = problems(registry.family("coin"), "train", 1, 5)[0]
    turns = [
        Message.assistant("The answer is yes.", think="Ida flips. Zoe does not. So"),
        Message.assistant("No. Yes."),
    ]
    known = [Solution(turn, 1.0, "yes", step_marks(turn)) for turn in (turns[0], turns[0], turns[1])]
    submitted = []
    submit = made.backend.submit
    made.backend.submit = lambda effect: (submitted.append(effect), submit(effect))[1]  # type: ignore[method-assign]
    (one,) = made._continue(Parity(), [Attempts(problem, tuple(known))], 6)  # type: ignore[arg-type]
    assert [(e.prefix, e.think, e.thought, e.n) for e in submitted] == [
        ("Ida flips.", True, None, 6),
        ("Ida flips. Zoe does not.", True, None, 6),
        ("Ida flips. Zoe does not. So", True, None, 6),
        ("No.", False, None, 6),
    ], "a beginning that two solutions share is continued once"
    assert len({e.seed for e in submitted}) == 4
    assert [s.marks for s in one.solutions] == [s.marks for s in known]
    assert one.solutions[0].shares == one.solutions[1].shares and len(one.solutions[0].shares) == 3

    made.backend.submit = submit  # type: ignore[method-assign]
    for effect, share in zip(submitted, (*one.solutions[0].shares, *one.solutions[2].shares), strict=True):
        said = serve(made.backend, effect)
        assert share == np.mean([len(sampled.message.text) % 2 == 0 for sampled in said])


def serve(backend: LocalBackend, effect: solutions.Sample) -> Sequence[solutions.Sampled]:
    backend.submit(effect)
    while True:
        for _, result in backend.poll():
            assert isinstance(result, list)
            return result


# --- the report ----------------------------------------------------------------------------------

JUDGED = st.lists(
    st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.sampled_from([0.0, 1.0, 0.25])), min_size=1, max_size=9
)


@given(JUDGED)
def test_auc_is_the_share_of_pairs_ranked_rightly(judged_ones: list[tuple[float, float]]) -> None:
    value, right = (np.asarray(column) for column in zip(*judged_ones, strict=True))
    pairs = [
        (right[i] * (1 - right[j]), float(value[i] > value[j]) + 0.5 * float(value[i] == value[j]))
        for i in range(len(value)) for j in range(len(value))
    ]  # fmt: skip
    total = sum(weight for weight, _ in pairs)
    found = auc(value, right, np.ones((1, len(value))))[0]
    assert np.isnan(found) if not total else found == pytest.approx(sum(w * won for w, won in pairs) / total)


@given(JUDGED, st.integers(1, 10))
def test_best_of_n_is_the_mean_over_all_subsets(judged_ones: list[tuple[float, float]], n: int) -> None:
    value, right = (np.asarray(column) for column in zip(*judged_ones, strict=True))
    subsets = list(itertools.combinations(range(len(value)), min(n, len(value))))
    best = [np.mean([right[i] for i in subset if value[i] == max(value[list(subset)])]) for subset in subsets]
    if len(set(value)) == len(value):
        assert best_of(value, right, n) == pytest.approx(np.mean(best))
    else:  # of equal values one is drawn, whichever of them are in the subset
        assert 0 <= best_of(value, right, n) <= 1


def group(
    value: Sequence[float], right: Sequence[float], answer: Sequence[str | None] = (), family: str = "a"
) -> Group:
    return Group(family, np.asarray(value, float), np.asarray(right, float), tuple(answer))


def test_ranking_within_problems_is_not_fooled_by_their_difficulty() -> None:
    """A verifier that knows which problems are easy, and nothing else."""
    easy = [group([0.8, 0.8, 0.8], [1, 1, 0]) for _ in range(10)]
    hard = [group([0.2, 0.2, 0.2], [0, 0, 1], family="b") for _ in range(10)]
    found = ranking([*easy, *hard, group([0.9], [1])], 1)
    assert found["within"]["value"] == 0.5 and found["within"]["n"] == 20
    assert found["pooled"]["value"] > 0.6 and found["pooled"]["n"] == 61
    assert {family: made["n"] for family, made in found["within_by_family"].items()} == {"a": 10, "b": 10}
    assert found["pooled"]["low"] <= found["pooled"]["value"] <= found["pooled"]["high"]


def test_calibration_counts_what_it_says() -> None:
    found = calibration([group([0.25] * 4, [1, 0, 0, 0]), group([0.75, 0.75], [0, 0])], 1)
    assert found["ece"]["value"] == pytest.approx(0.75 * 2 / 6)
    assert found["brier"]["value"] == pytest.approx((0.75**2 + 3 * 0.25**2 + 2 * 0.75**2) / 6)
    assert found["brier_constant"]["value"] == pytest.approx(1 / 6 * 5 / 6)
    assert [(row["from"], row["n"], row["value"], row["right"]) for row in found["reliability"]] == [
        (0.2, 4, 0.25, 0.25), (0.7, 2, 0.75, 0.0),
    ]  # fmt: skip


def test_choosing_beside_the_majority() -> None:
    """Three answers in four are "x" and wrong; the verifier knows, mostly."""
    values, answers = [0.1, 0.2, 0.1, 0.9], ["x", "x", "x", "y"]
    rows = choosing([group(values, [0, 0, 0, 1], answers) for _ in range(5)], 1)
    assert [row["n"] for row in rows] == [n for n in SIZES if n <= 4]
    last = {name: made["value"] for name, made in rows[-1].items() if name != "n"}
    assert last == {
        "random": 0.25, "majority": 0.0, "verifier": 1.0, "weighted": 1.0, "any": 1.0,
        "verifier_minus_majority": 1.0, "weighted_minus_majority": 1.0,
    }  # fmt: skip
    assert rows[1]["verifier"]["value"] == pytest.approx(0.5), "the right one of four is among two in half the cases"
    assert rows[1]["majority"]["value"] == pytest.approx(0.25, abs=0.1), "a tie is half right"
    assert rows[0]["majority"]["value"] == pytest.approx(0.25, abs=0.1) and rows[0]["random"]["n"] == 5


def test_intervals_redraw_problems_within_families() -> None:
    weights = redraws(["a", "b", "a"], 1)
    assert weights[0].tolist() == [1, 1, 1] and set(weights[:, 1]) == {1.0}
    assert (weights[:, [0, 2]].sum(axis=1) == 2).all() and len(set(weights[:, 0])) == 3
    assert estimate(np.asarray([0.0, np.nan, 1.0]), weights)["n"] == 2
    assert estimate(np.asarray([np.nan] * 3), weights) == {"value": None, "low": None, "high": None, "n": 0}


def test_the_first_wrong_step_is_where_the_value_falls_most() -> None:
    made = [
        Attempts(one.problem, tuple(s for s in one.solutions if s.turn.thinking))
        for one in attempts(40)
        if one.problem.level > 2
    ]
    wrong = [
        [process_verifier.first_wrong_step(one.problem, s.turn.thinking or "") for s in one.solutions] for one in made
    ]

    def said(at: int | None, solution: Solution, miss: int = 0) -> Scored:
        k = len(solution.marks) if at is None else (at + miss) % len(solution.marks)
        values = tuple(0.9 - 0.01 * i if i < k else 0.1 for i in range(len(solution.marks)))
        return Scored((), 0.5, Usage(), values)

    for miss, expected in ((0, 1.0), (1, 0.0)):
        told = [
            [said(k, s, miss) for k, s in zip(row, one.solutions, strict=True)]
            for one, row in zip(made, wrong, strict=True)
        ]
        found = first_errors(made, told, 1)
        assert found["verifier"]["value"] == expected and found["thoughts"] == sum(
            k is not None for row in wrong for k in row
        )
        assert 0 < found["chance"]["value"] < 0.5 and found["labels"]["value"] < 1.0


# --- the stages ----------------------------------------------------------------------------------


def context(folder: Path, **parents: Path) -> StageContext:
    ctx = StageContext(folder)
    ctx.parents.update({role: SimpleNamespace(path=path) for role, path in parents.items()})  # type: ignore[misc]
    return ctx


@pytest.fixture
def every_third(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model never solves anything: here every third answer is right, whatever it says."""
    asked = itertools.count()
    verdicts = [Verdict(float(i == 0), "graded", "ab"[i > 1]) for i in range(3)]
    monkeypatch.setattr(Coin, "grade", lambda self, problem, text: verdicts[next(asked) % 3])


def test_an_outcome_and_a_process_verifier_from_training_to_use(model: Path, tmp_path: Path, every_third: None) -> None:
    outcome = context(tmp_path / "outcome", model=model, policy=model)
    metrics = outcome_verifier.run(outcome, recipe("outcome-verifier", think=True))
    assert set(metrics) == {"within", "pooled", "ece", "brier", "brier_constant", "too_long"}
    report = json.loads((outcome.path / "report.json").read_text())
    assert [row["n"] for row in report["choosing"]] == [1, 2, 4] and report["pooled"] == metrics["pooled"]
    logged = [row["held_out"] for row in outcome.rows() if "held_out" in row]
    assert len(logged) == 2 and logged[-1]["pooled"] == metrics["pooled"], "measured at step 2 and at the end"

    process = context(tmp_path / "process", model=model, policy=model, outcome=outcome.path)
    metrics = process_verifier.run(process, recipe("process-verifier", continuations=2, held_out_continuations=2))
    report = json.loads((process.path / "report.json").read_text())
    assert set(report["solutions"]) == {"product", "minimum", "last"} == set(metrics["within"])
    assert set(report["outcome_verifier"]) == {"steps", "solutions", "first_error"} < set(report)
    assert metrics["outcome_verifier"]["steps"] == {
        name: report["outcome_verifier"]["steps"][name] for name in metrics["steps"]
    }

    # What was trained is what judges: by its folder, through a backend over another model.
    tokenizer = Tokenizer.load(model)
    plain = Engine(Transformer(ModelConfig.from_hf(model)).state(), ModelConfig.from_hf(model), slots=2, max_len=256)
    backend = LocalBackend(plain, tokenizer, verifiers=lambda folder: open_verifier(folder, dtype="float32"))
    turn = Message.assistant("The answer is yes.", think="Ida flips.")
    ticket = backend.submit(Score((Message.user("Heads?"),), turn, verifier=str(outcome.path)))
    ((number, scored),) = backend.poll()
    assert number == ticket and isinstance(scored, Scored)
    made = load_value_model(outcome.path)
    ids = judged(tokenizer, Score((Message.user("Heads?"),), turn)).ids
    logit, _ = made.logits(Packed.whole(torch.tensor([ids])), torch.tensor([len(ids) - 1]))
    assert scored.value == pytest.approx(probability(float(logit.detach())), abs=1e-5) and scored.value != 0.5


def test_a_policy_that_is_always_wrong_teaches_nothing(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"all \d+ solutions score 0; a verifier learns from right ones beside wrong"):
        outcome_verifier.run(context(tmp_path, model=model, policy=model), recipe("outcome-verifier"))


def test_a_folder_that_is_no_verifier_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no verifier: its weights have no value_head.weight; train one with"):
        open_verifier(model)
    with pytest.raises(UserError, match="no such folder"):
        open_verifier(tmp_path / "nowhere")

    made = trained_model(model)
    narrow = {**made.state(), "value_head.weight": torch.zeros(1, 31)}
    save_checkpoint(tmp_path / "narrow", made.config, narrow)
    Tokenizer.load(model).save(tmp_path / "narrow")
    with pytest.raises(UserError, match="has 31 numbers; expected 32"):
        open_verifier(tmp_path / "narrow")

    save_checkpoint(tmp_path / "foreign", made.config, made.state())
    larger = Tokenizer.train([p.prompt for p in problems(registry.family("chain"), "train", 60, 1)], 450)
    assert larger.vocab_size > made.config.vocab_size
    larger.save(tmp_path / "foreign")
    with pytest.raises(UserError, match=r"its tokenizer has ids up to \d+, but the model's embedding ends at"):
        open_verifier(tmp_path / "foreign")
