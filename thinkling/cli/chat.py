"""A conversation in the terminal, thinking dimmed, every token shown as it is drawn."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from thinkling.cli.terminal import BOLD, DIM, Paint, Speaker, striped
from thinkling.core.errors import UserError
from thinkling.core.seeds import derive
from thinkling.core.types import Message, Sampling

if TYPE_CHECKING:
    from thinkling.api import LocalModel, Reply

HELP = """\
/think on|off|auto   make the model think first, forbid it, or let it choose
/temperature X       0 is greedy; 1 is the model's own distribution
/system TEXT         what the model is told before the conversation (starts it anew); empty: nothing
/tokens              the last exchange with its token boundaries
/reset               forget the conversation
/help                this list
/quit                leave (so does Ctrl-D)"""

THINK = {"on": True, "off": False, "auto": None}


@dataclass
class Chat:
    """A conversation with a model; ``say`` answers a line, ``command`` obeys one that begins with ``/``."""

    model: LocalModel
    out: TextIO
    think: bool | None = None
    temperature: float = 0.0
    max_tokens: int | None = None  # of one answer; None: as long as the context lasts
    system: str = ""
    seed: int = 0
    turns: list[Message] = field(default_factory=list)
    last: Reply | None = None

    def say(self, text: str) -> Reply:
        """Answer ``text``, streaming the answer; the turn is forgotten again if it is interrupted."""
        opening = [Message.system(self.system)] if self.system else []
        messages = [*opening, *self.turns, Message.user(text)]
        sampling = Sampling(temperature=self.temperature, max_tokens=self.max_tokens or self.model.max_len)
        seed = derive(self.seed, "chat", len(self.turns))
        speaker = Speaker(self.model.tokenizer, self.out, thinking=bool(self.think))
        try:
            reply = self.model.chat(messages, think=self.think, sampling=sampling, seed=seed, on_token=speaker.push)
        finally:
            speaker.finish()
        self._footer(reply, speaker)
        self.turns += [Message.user(text), reply.message]
        self.last = reply
        return reply

    def command(self, line: str) -> bool:
        """Obey ``/name value``; False when the conversation is over."""
        name, _, value = line[1:].partition(" ")
        commands: dict[str, Callable[[str], None]] = {
            "think": self._set_think,
            "temperature": self._set_temperature,
            "system": self._set_system,
            "tokens": self._show_tokens,
            "reset": lambda _: self._reset(),
            "help": lambda _: self._tell(HELP),
        }
        if name in ("quit", "exit"):
            return False
        if name in commands:
            commands[name](value.strip())
        else:
            self._tell(f"there is no /{name}; the commands are:\n{HELP}")
        return True

    def _set_think(self, value: str) -> None:
        if value not in THINK:
            self._tell(f"/think is on, off or auto; came {value!r}")
            return
        self.think = THINK[value]
        self._tell({True: "thinks first", False: "answers at once", None: "chooses itself"}[self.think])

    def _set_temperature(self, value: str) -> None:
        try:
            self.temperature = Sampling(temperature=float(value)).temperature
        except ValueError:
            self._tell(f"/temperature takes a number of at least 0; came {value!r}")
            return
        self._tell(f"temperature {self.temperature:g}")

    def _set_system(self, value: str) -> None:
        self.system = value
        self._reset()

    def _show_tokens(self, _: str) -> None:
        if self.last is None:
            self._tell("nothing has been said yet")
            return
        ids = [*self.last.prompt, *self.last.completion.tokens]
        self.out.write(striped(self.model.tokenizer, ids, self.out) + "\n")
        self._tell(f"{len(self.last.prompt)} tokens of prompt, {len(self.last.completion.tokens)} of answer")

    def _reset(self) -> None:
        self.turns, self.last = [], None
        self._tell("a new conversation")

    def _footer(self, reply: Reply, speaker: Speaker) -> None:
        cut = ", cut off there" if reply.completion.finish == "length" else ""
        rate = f", {speaker.rate():,.0f} tokens/s" if speaker.count > 1 else ""
        self._tell(f"{speaker.count} tokens{rate}{cut}")

    def _tell(self, text: str) -> None:
        self.out.write(Paint(self.out)(DIM, text) + "\n")
        self.out.flush()


def converse(chat: Chat, lines: Iterable[str]) -> None:
    """Answer line after line until /quit or the end of the input."""
    for line in lines:
        line = line.strip()
        if not line:
            continue
        try:
            if not line.startswith("/"):
                chat.say(line)
            elif not chat.command(line):
                return
        except UserError as error:
            chat.out.write(f"error: {error}\n")
        except KeyboardInterrupt:
            chat.out.write("(interrupted; the turn is forgotten)\n")


def typed_lines(out: TextIO) -> Iterable[str]:
    """What a person types, with a prompt and line editing; or the lines of a pipe, echoed."""
    if not sys.stdin.isatty():
        for line in sys.stdin:
            out.write(f"> {line.rstrip()}\n")
            yield line
        return
    import readline  # noqa: F401  (importing it gives input() its history and editing)

    while True:
        try:
            yield input(Paint(out)(BOLD, "> "))
        except EOFError:
            out.write("\n")
            return
        except KeyboardInterrupt:
            out.write("\n(Ctrl-D or /quit leaves)\n")
