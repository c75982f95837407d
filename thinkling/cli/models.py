"""Models by what a user writes: a folder, "nano", or ``openai:MODEL@BASE_URL``; each as a backend for rollouts."""

from __future__ import annotations

from thinkling.core.artifact import MANIFEST, Artifact
from thinkling.core.locate import find_model
from thinkling.rollout.backend import Backend

REMOTE = "openai:"


def model_id(model: str) -> str:
    """What identifies the model: an artifact's id, a folder's resolved path, or the endpoint with what it is told.

    Options of the endpoint that change no answer (how many requests at once, prices) are no part of it.
    """
    if model.startswith(REMOTE):
        from thinkling.remote.endpoint import parse_endpoint

        return parse_endpoint(model).identity
    folder = find_model(model)
    return Artifact.open(folder).manifest.id if (folder / MANIFEST).exists() else str(folder.resolve())


def open_model(
    model: str, *, max_len: int = 4096, slots: int = 256, precision: str = "auto", judged: bool = False
) -> Backend:
    """The model behind the interface of rollouts.

    ``max_len``: tokens of prompt and answer together, cut to what the model holds; ``slots``: sequences at
    once; both, and ``precision``, are a local model's. ``judged``: verifiers will be named, which run here
    even if the model does not.
    """
    if not model.startswith(REMOTE):
        folder = find_model(model)  # before torch is imported, so that a wrong name is told at once
        from thinkling.cli.hooks import open_backend

        return open_backend(folder, max_len=max_len, slots=slots, precision=precision)
    from thinkling.remote.backend import open_remote

    policy = open_remote(model)
    if not judged:
        return policy
    from thinkling.engine.backend import VerifierBackend
    from thinkling.engine.verifiers import open_verifier
    from thinkling.rollout.routed import Routed

    return Routed(policy, VerifierBackend(open_verifier))
