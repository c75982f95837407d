"""A model from a folder, ready to be asked: what `import thinkling` offers, and what the terminal uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from thinkling.core.artifact import MANIFEST, Artifact
from thinkling.core.errors import ContextFull
from thinkling.core.locate import find_model
from thinkling.core.seeds import derive
from thinkling.core.types import Completion, Message, Request, Sampling
from thinkling.engine.engine import Engine
from thinkling.model.checkpoint import load_checkpoint
from thinkling.tokenizer.bpe import Tokenizer
from thinkling.tokenizer.chat import TAGS, opening_ids, parse, prompt_ids, stop_ids

LONGEST = 4096  # tokens of context that are kept at most, however long the model could go


@dataclass(frozen=True, slots=True)
class Reply:
    """An assistant's turn: the parsed message, and the ids it came from."""

    message: Message
    prompt: tuple[int, ...]
    completion: Completion

    @property
    def text(self) -> str:
        """The answer, without the thinking."""
        return self.message.text

    @property
    def thinking(self) -> str | None:
        """The thinking, or None where the model answered at once."""
        return self.message.thinking


class LocalModel:
    """A checkpoint in Hugging Face layout, with its tokenizer, behind the batched engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config, weights = load_checkpoint(folder)
        self.tokenizer = Tokenizer.load(folder)
        self.max_len = min(LONGEST, self.config.max_position_embeddings)
        marked = (folder / MANIFEST).exists()
        weights_id = Artifact.open(folder).manifest.id if marked else folder.name
        self.engine = Engine(
            weights, self.config, slots=8, max_len=self.max_len, weights_id=weights_id, tokenizer=self.tokenizer
        )

    def ask(
        self, question: str, *, think: bool | None = None, sampling: Sampling | None = None, seed: int = 0
    ) -> Reply:
        """Answer one question; the arguments are those of ``chat``."""
        return self.chat([Message.user(question)], think=think, sampling=sampling, seed=seed)

    def chat(
        self,
        messages: Sequence[Message],
        *,
        think: bool | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        on_token: Callable[[int], None] | None = None,
    ) -> Reply:
        """The assistant's next turn after ``messages``.

        ``think``: True makes the model think first, False forbids it, None lets it choose.
        ``sampling``: greedy unless given. ``on_token`` is called with each id as it is drawn.
        Raises UserError where the conversation leaves no room for an answer.
        """
        ids = prompt_ids(self.tokenizer, messages, think=think)
        tag = self.tokenizer.special.get(TAGS["think"][0])
        banned = (tag,) if think is False and tag is not None else ()
        request = self._request(ids, sampling, seed, banned)
        completion = self._run(request, on_token)
        message = parse(self.tokenizer, completion.tokens, thinking=bool(think))
        return Reply(message, tuple(ids), completion)

    def complete(
        self,
        prompt: str,
        *,
        sampling: Sampling | None = None,
        seed: int = 0,
        on_token: Callable[[int], None] | None = None,
    ) -> str:
        """Continue plain text, as a base model does; returns the continuation alone."""
        ids = [*opening_ids(self.tokenizer), *self.tokenizer.encode(prompt)]
        completion = self._run(self._request(ids, sampling, seed, ()), on_token)
        ends = set(stop_ids(self.tokenizer))
        return self.tokenizer.decode([token for token in completion.tokens if token not in ends])

    def _request(self, ids: Sequence[int], sampling: Sampling | None, seed: int, banned: tuple[int, ...]) -> Request:
        room = self.max_len - len(ids)
        if room < 1:
            raise ContextFull(
                f"the prompt has {len(ids)} tokens, and this model holds {self.max_len} with the answer; "
                "shorten it, or start a new conversation",
                len(ids),
                self.max_len,
            )
        sampling = sampling or Sampling(temperature=0.0, max_tokens=room)
        sampling = replace(sampling, max_tokens=min(room, sampling.max_tokens))
        return Request(tuple(ids), sampling, derive(seed, "api"), stop_ids(self.tokenizer), banned=banned)

    def _run(self, request: Request, on_token: Callable[[int], None] | None) -> Completion:
        handle = self.engine.submit(request)
        try:
            while True:
                for event in self.engine.step():
                    if on_token is not None and event.token_id is not None:
                        on_token(event.token_id)
                    if event.completion is not None:
                        return event.completion
        except BaseException:  # Ctrl-C as well: the engine stays usable for the next question
            self.engine.cancel(handle)
            raise


def load(model: str | Path | None = None) -> LocalModel:
    """A model from a folder in Hugging Face layout, or the packaged one for None or "nano".

    A folder with a manifest is verified first. Raises UserError for a folder that is unfinished, damaged,
    of another architecture, or no model at all.
    """
    return LocalModel(find_model(model))
