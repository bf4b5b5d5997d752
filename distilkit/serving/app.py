"""The paths of a server: /rerank, /health and /metrics."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from distilkit.serving.asked import Limits, Refused, Scores, asked_in
from distilkit.serving.figures import ServerFigures
from distilkit.serving.line import Line, Waiting

# Cohere's clients put a version before the path.
RERANK = ("/rerank", "/v1/rerank", "/v2/rerank")
BODY_SECONDS = 30.0
"""How long a client may take to send a body."""
DISCARDED = 4
"""Bodies of up to so many times the limit are read to their end, so that their clients read the refusal."""
LEFT = 499
"""What is counted for a client that left before it was answered, as nginx does."""
# text-embeddings-inference's word for each refusal.
TYPES = {429: "Overloaded", 500: "Backend", 503: "Unhealthy"}


def make_app(line: Line, figures: ServerFigures, limits: Limits, about: dict[str, Any]) -> Starlette:
    """Return the application that answers by a line's scores; `about` is what /health tells of the ranker."""

    async def rerank(request: Request) -> Response:
        start = time.perf_counter()
        answer = await _answered(request, line, limits)
        figures.answered(answer.status_code, time.perf_counter() - start)
        return answer

    async def health(request: Request) -> Response:
        if not line.works:
            return refusal(Refused(503, "the thread that scores has ended"))
        return JSONResponse({"status": "ok", **about})

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(figures.to_text(*line.waiting), media_type="text/plain; version=0.0.4")

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = "expected POST /rerank, GET /health or GET /metrics"
        answer = refusal(Refused(error.status_code, f"{request.method} {request.url.path} is not served; {known}"))
        answer.headers.update(error.headers or {})
        return answer

    get: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [("/health", health), ("/metrics", metrics)]
    routes = [
        *(Route(path, rerank, methods=["POST"]) for path in RERANK),
        *(Route(path, endpoint, methods=["GET"]) for path, endpoint in get),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: unknown})


def refusal(refused: Refused) -> JSONResponse:
    """Return a sentence as both services send theirs: text-embeddings-inference as `error`, Cohere as `message`."""
    kind = TYPES.get(refused.status, "Validation")
    headers = {"Retry-After": "1"} if refused.status == 429 else None
    told = {"error": str(refused), "error_type": kind, "message": str(refused)}
    return JSONResponse(told, refused.status, headers)


async def _answered(request: Request, line: Line, limits: Limits) -> Response:
    try:
        asked = asked_in(await _body(request, limits.body), limits)
        scores = await _scored(request, line, Waiting(asked.query, asked.texts, asked.whole))
        return JSONResponse(asked.answer(scores))
    except Refused as refused:
        answer = refusal(refused)
        if refused.status in (408, 413):
            answer.headers["Connection"] = "close"  # what is left of the body is not read
        return answer
    except ClientDisconnect:
        return Response(status_code=LEFT)


async def _body(request: Request, most: int) -> bytes:
    """Return a request's body; raises Refused for one that is too large or does not come."""
    refused = Refused(413, f"the body has more than {most:,} bytes, the most that is read")
    declared = int(request.headers.get("content-length", "0"))
    if declared > most and (declared > DISCARDED * most or "expect" in request.headers):
        raise refused
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size <= most:
                    parts.append(part)
                elif size > DISCARDED * most:
                    break
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:.0f} seconds") from None
    if size > most:
        raise refused
    return b"".join(parts)


async def _scored(request: Request, line: Line, waiting: Waiting) -> Scores:
    """Return a request's scores; one whose client has left does not wait any longer, and raises ClientDisconnect."""
    scored = asyncio.wrap_future(line.add(waiting))
    left = asyncio.ensure_future(request.receive())  # after the body nothing comes but the client's end
    try:
        both: set[asyncio.Future[Any]] = {scored, left}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not scored.done():
            raise ClientDisconnect
        return scored.result()
    finally:
        scored.cancel()
        left.cancel()
        with suppress(asyncio.CancelledError):
            await left
