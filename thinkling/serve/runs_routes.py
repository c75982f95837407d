"""Training runs and evaluations over HTTP: the list, the curves while they grow, and the reports.

A report is a page of its own with scripts of its own. It is served into a sandbox: its policy gives it an origin
that is nobody's, so that it can read nothing of this server, and no network.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from thinkling.serve.errors import RESPONSES, ApiError
from thinkling.serve.runs import NoSuchRun, Runs, State
from thinkling.serve.state import ServerState

AT_ONCE = 2
REPORT_CSP = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
Result = TypeVar("Result")
Named = Annotated[str, Path(pattern=r"^[0-9a-f]{24}$", description="As the list of runs has it.")]


class StageBody(BaseModel):
    name: str
    state: State
    report: bool = Field(description="Whether its folder holds a report.")
    series: bool = Field(description="Whether it has curves.")


class RunBody(BaseModel):
    id: str
    name: str
    kind: Literal["training", "evaluation"]
    state: State = Field(description="`stopped`: cut off before its end; the same command goes on.")
    updated: float = Field(description="Seconds since 1970.")
    report: bool
    stages: list[StageBody]


class RunsBody(BaseModel):
    runs: list[RunBody]


class CurvesBody(BaseModel):
    """`[step, value]` by name; a value is null where it was no finite number."""

    stage: str
    next: int = Field(description="The line of the log to go on from, as `after`.")
    reset: bool = Field(description="Whether these are all points, in place of those told before.")
    series: dict[str, list[tuple[float, float | None]]]


def router(state: ServerState) -> APIRouter:
    """The routes of ``/api/runs`` and ``/runs``."""
    routes = APIRouter(tags=["runs"], responses={status: RESPONSES[status] for status in (400, 401, 403, 404, 500)})
    busy = asyncio.Semaphore(AT_ONCE)

    async def call(function: Callable[[Runs], Result]) -> Result:
        if state.runs is None:
            raise ApiError(404, "this server shows no runs; it was started without a folder of them", code="no_runs")
        async with busy:
            try:
                return await asyncio.to_thread(function, state.runs)
            except NoSuchRun as error:
                raise ApiError(404, str(error), code="run_not_found") from error

    @routes.get("/api/runs", responses={200: {"model": RunsBody}})
    async def runs() -> Response:
        """Runs and evaluations, the last changed first."""
        return _json(await call(lambda runs: json.dumps({"runs": [asdict(run) for run in runs.all()]})))

    @routes.get("/api/runs/{id}/curves", responses={200: {"model": CurvesBody}})
    async def curves(
        id: Named,
        stage: Annotated[str, Query(max_length=255)],
        after: Annotated[int, Query(ge=0, le=2**53, description="`next` of an earlier answer.")] = 0,
    ) -> Response:
        """What a stage has logged: from the beginning at most 2,000 points each, with `after` only what is new."""
        return _json(await call(lambda runs: json.dumps({"stage": stage, **asdict(runs.curves(id, stage, after))})))

    @routes.get("/runs/{id}/report", response_class=Response, responses=_PAGE)
    async def report(request: Request, id: Named) -> Response:
        """The report of a run or an evaluation, a page to be shown in a frame."""
        content, etag = await call(lambda runs: _tagged(runs.report(id)))
        headers = {"content-security-policy": REPORT_CSP, "cache-control": "no-cache", "etag": etag}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    return routes


_PAGE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}},
    304: {"description": "Unchanged."},
}


def _tagged(content: bytes) -> tuple[bytes, str]:
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
