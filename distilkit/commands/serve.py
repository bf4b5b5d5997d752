"""`distilkit serve`: a ranker behind HTTP, until it is stopped."""

import json
import os
import sys
from pathlib import Path
from socket import socket
from typing import Any

from distilkit import options
from distilkit.api.rankers import LoadedRanker, load
from distilkit.errors import Stopped, UserError
from distilkit.extras import require
from distilkit.serving.asked import Limits
from distilkit.serving.figures import ServerFigures
from distilkit.serving.line import Line
from distilkit.serving.server import BACKLOG, bound, is_loopback, run, url
from distilkit.tables import plain


def serve(asked: options.Serve) -> str:
    """Answer requests until SIGINT or SIGTERM; return how many there were.

    Raises UserError for a port that is in use, a model that cannot be loaded, and where the extra `serve` is missing.
    """
    for package in ("starlette", "uvicorn"):
        require(package, "serve", "distilkit serve")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("serve is one process: start it without torchrun or accelerate")
    try:
        with bound(asked.host, asked.port) as listening:
            requests = _answered(asked, _opened(asked), listening)
    except KeyboardInterrupt:
        raise Stopped("stopped before anything was served") from None
    return json.dumps({"requests": requests}) if asked.json_ else f"stopped; {requests} requests were answered"


def _opened(asked: options.Serve) -> LoadedRanker:
    ranker = load(
        asked.model,
        architecture=asked.architecture,
        query_length=asked.query_length,
        document_length=asked.document_length,
        max_length=asked.max_length,
        query_prefix=asked.query_prefix,
        document_prefix=asked.document_prefix,
        runs_dir=asked.runs_dir,
        batch_size=asked.batch_size,
        bf16=asked.wants_bf16,
        backend=asked.backend,
    )
    ranker.score("a query", ["a text", "another one"])  # the first call sets kernels up, which nobody has to wait for
    return ranker


def _answered(asked: options.Serve, ranker: LoadedRanker, listening: socket) -> int:
    """Serve until the end is asked for; return how many requests were answered."""
    from distilkit.serving.app import make_app  # the extra is there

    precision, figures = ranker.module.stored or ranker.precision, ServerFigures()
    about: dict[str, Any] = {
        "model": Path(asked.model).name,
        "architecture": ranker.architecture,
        "backend": ranker.module.backend,
        "precision": precision,
        **ranker.lengths,
    }
    limits = Limits(int(asked.max_body * 2**20), asked.max_texts, asked.max_characters)
    # Whole numbers are scaled by what is in a batch: alone, a request has the same scores whatever others ask for.
    joins = precision != "int8"
    listening.listen(BACKLOG)  # before anybody is told of it
    with Line(ranker, figures, most_waiting=asked.max_waiting, joins=joins) as line:
        run(make_app(line, figures, limits, about), listening, lambda: _announce(asked, about, listening))
    return figures.requests


def _announce(asked: options.Serve, about: dict[str, Any], listening: socket) -> None:
    if not is_loopback(listening):
        print(
            f"distilkit: {url(listening)} can be reached from other machines: whoever reaches it can use the "
            "ranker, without a password and without encryption",
            file=sys.stderr,
        )
    if asked.json_:
        print(json.dumps({"url": url(listening), **about}), flush=True)
    else:
        what = f"{plain(about['model'])} ({about['architecture']}, {about['backend']}, {about['precision']})"
        print(f"{what} answers POST {url(listening)}/rerank; Ctrl-C stops it", flush=True)
