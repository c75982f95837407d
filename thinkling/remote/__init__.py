"""Models behind an OpenAI-compatible endpoint, through the same backend interface as the engine, without torch.

Read ``endpoint`` (what a user writes: ``openai:MODEL@BASE_URL?option=value``), ``backend`` (tickets, one
background thread), ``bodies`` and ``replies`` (effects to JSON and back), ``attempts`` (when to try again,
and what to tell when that does not help), ``limits`` (requests and tokens per minute), ``ledger`` (what
it cost), ``transport`` and ``http1`` (kept-alive connections below httpx). ``backend.open_remote`` opens one.
"""
