"""The chat protocols that we render, as data, and which of them a checkpoint speaks."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace

from thinkling.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Protocol:
    """What stands around the texts of a conversation.

    It begins with the special token ``begin``. A turn is the special token ``start``, the role, the special token
    ``middle``, the text ``gap``, what is said, the special token ``end``, the text ``after``. "" means none.
    """

    name: str
    begin: str
    start: str
    middle: str
    gap: str
    end: str
    after: str

    @property
    def marks(self) -> tuple[str, ...]:
        """The special tokens around every turn."""
        return tuple(filter(None, (self.start, self.middle, self.end)))


# ChatML, of Qwen and of the models made here; and the format of Meta's model card for Llama 3.
CHATML = Protocol("ChatML", "", "<|im_start|>", "", "\n", "<|im_end|>", "\n")
LLAMA3 = Protocol("Llama 3", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "\n\n", "<|eot_id|>", "")
PROTOCOLS = (CHATML, LLAMA3)


def spoken(special: Container[str], template: str = "", bos: str = "") -> Protocol:
    """The protocol whose special tokens the vocabulary has, and the chat template names if there is one.

    A template that opens with the beginning-of-sequence token ``bos`` makes a conversation begin with it.
    Raises UserError where no protocol fits, or more than one: a guess would let the model read nonsense.
    """
    fitting = [
        protocol
        for protocol in PROTOCOLS
        if all(mark in special and mark in (template or mark) for mark in protocol.marks)
    ]
    if len(fitting) != 1:
        known = "; ".join(f"{protocol.name}: {' '.join(protocol.marks)}" for protocol in PROTOCOLS)
        found = " and ".join(protocol.name for protocol in fitting) or "neither"
        raise UserError(
            f"cannot chat with this model: expected a vocabulary and chat template of one protocol ({known}), came "
            f"{found}; it can still continue plain text (`thinkling complete`)"
        )
    return replace(fitting[0], begin=bos) if bos and "bos_token" in template else fitting[0]
