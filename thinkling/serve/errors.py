"""Errors as OpenAI's API has them: ``{"error": {"message", "type", "param", "code"}}``, whatever went wrong.

Routes raise ``ApiError``. What else may be raised on the way (a body that does not validate, an unknown path, a
``UserError`` from another room) is turned into the same shape here. What nobody foresaw is caught by
`thinkling.serve.security`: the client is told no more than the request's id, under which the log has the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from thinkling.core.errors import UserError

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class ApiError(HTTPException):
    """An answer that is an error. ``type`` follows from the status unless given; ``param`` names the field at fault.

    A `HTTPException`, because FastAPI turns any other exception into a 400 where it is raised under a body's reading.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.type = type or error_type(status)


def error_type(status: int) -> str:
    """OpenAI's ``type`` for a status."""
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def error_body(message: str, type: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """The error as JSON; also what a stream that has begun sends as its last event."""
    return {"error": {"message": _sendable(message), "type": type, "param": param and _sendable(param), "code": code}}


def _sendable(text: str) -> str:
    """Half a surrogate pair, which JSON can hold and UTF-8 cannot, may have come in with what is quoted."""
    return text.encode("utf-8", "replace").decode()


def response(error: ApiError) -> JSONResponse:
    """The response that an error becomes."""
    body = error_body(error.message, error.type, code=error.code, param=error.param)
    return JSONResponse(body, error.status, dict(error.headers or {}))


class ErrorDetail(BaseModel):
    message: str = Field(description="What was expected, what came, and what to do.")
    type: str = Field(description="Kind of error, by status.", examples=["invalid_request_error"])
    param: str | None = Field(description="The field at fault, by its path in the body.")
    code: str | None = Field(description="A name for this error, for programs.", examples=["model_not_found"])


class ErrorBody(BaseModel):
    """Every error has this shape."""

    error: ErrorDetail


def _documented(description: str, *, retry: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"model": ErrorBody, "description": description}
    if retry:
        found["headers"] = {"retry-after": {"description": "Seconds.", "schema": {"type": "string"}}}
    return found


# For `responses=` of routes: what each may answer instead of its own.
RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _documented("The request cannot be served as it is; `param` names the field."),
    401: _documented("No key, or a wrong one."),
    403: _documented("The request comes from another site, or under a name that is not this server's."),
    404: _documented("Nothing of that name (code `model_not_found` for a model)."),
    405: _documented("The path knows other methods only."),
    413: _documented("The body is larger than this server takes."),
    429: _documented("Too many requests are waiting.", retry=True),
    500: _documented("A fault of the server's own; its log has the request's id."),
    502: _documented("The server behind this one failed."),
    503: _documented("The model is loading, or the server is about to stop.", retry=True),
}


def install(app: FastAPI) -> None:
    """Make every error that ``app`` can foresee come out in one shape."""

    async def api_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, ApiError)
        return response(error)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return response(from_validation(error))

    async def http_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return response(_from_http(error, request))

    async def user_error(request: Request, error: Exception) -> JSONResponse:
        return response(ApiError(400, str(error)))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(UserError, user_error)


def from_validation(error: RequestValidationError) -> ApiError:
    """The first fault of a request, with the path of its field: ``messages.0.content``."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"the body is not valid JSON: {first.get('ctx', {}).get('error', 'it cannot be parsed')}")
    where = ".".join(str(step) for step in first["loc"][1:])
    # Not the value that came: it may be a prompt, and errors end up in logs.
    return ApiError(400, f"{where or 'body'}: {first['msg']}", param=where or None)


def _from_http(error: HTTPException, request: Request) -> ApiError:
    said, headers, path = error.detail, error.headers, request.url.path
    if error.status_code == 404 and said == HTTPStatus.NOT_FOUND.phrase:
        said = f"there is nothing at {path}; /openapi.json lists what there is"
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request))
        said, headers = f"{path} takes {allowed}; came {request.method}", {"allow": allowed}
    return ApiError(error.status_code, said, headers=headers)


def _methods(request: Request) -> list[str]:
    """What a path takes, by all its routes; the framework tells those of the first."""
    return [
        method
        for method in _METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]
