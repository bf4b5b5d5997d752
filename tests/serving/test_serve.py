"""`distilkit serve` with real clients over a real socket: what is answered, refused and counted, and how it ends."""

import http.client
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cli_processes import Started, run_cli, started, wait_for
from tiny_rankers import MAX_LENGTH, save_tiny

import distilkit
from distilkit.evaluation.trec import read_run

pytest.importorskip("starlette", reason="starlette is not installed: pip install 'distilkit[serve]'")
pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'distilkit[serve]'")

Cli = Callable[..., Any]
REQUESTS, AT_ONCE = 200, 16
SECONDS = 60


class Client:
    """Sends requests to one server, each over a connection of its own."""

    def __init__(self, told: dict[str, Any], process: Started) -> None:
        self.told, self.process = told, process
        self.host, self.port = urlsplit(told["url"]).hostname or "", urlsplit(told["url"]).port or 0

    def send(self, path: str, body: bytes | None = None, method: str | None = None) -> tuple[int, bytes]:
        """Return the status and the body of an answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def rerank(self, path: str = "/rerank", **fields: Any) -> Any:
        """Return the answer to a request that is a right one."""
        status, body = self.send(path, json.dumps(fields).encode())
        assert status == 200, body
        return json.loads(body)

    def refused(self, body: bytes) -> tuple[int, str]:
        """Return the status and the sentence of a refusal."""
        status, answer = self.send("/rerank", body)
        told = json.loads(answer)
        assert told["error"] == told["message"]
        assert "\n" not in told["error"]
        return status, told["error"]


@contextmanager
def serving(model: Path, folder: Path, *more: object, gate: Path | None = None) -> Iterator[Client]:
    """Run the command in a process of its own, on a port that is free."""
    words = [str(word) for word in ("serve", model, "--port", 0, "--json", "--bf16", "false", *more)]
    run = (run_cli, words) if gate is None else (run_behind, gate, words)
    with started(*run, folder=folder) as process:
        line = wait_for(lambda: process.stdout.partition("\n")[0] if "\n" in process.stdout else "", process)
        yield Client(json.loads(line), process)


def run_behind(gate: Path, words: list[str]) -> None:
    """Be the command, with a ranker that scores more than two pairs only once a file is there."""
    from distilkit.api.rankers import LoadedRanker

    score = LoadedRanker.score

    def late(self: LoadedRanker, *given: Any) -> Any:
        while len(given) == 1 and len(given[0]) > 2 and not gate.exists():
            gate.with_name("begun").touch()
            time.sleep(0.005)
        return score(self, *given)

    LoadedRanker.score = late  # type: ignore[assignment,method-assign]
    run_cli(words)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    folder = tmp_path_factory.mktemp("served") / "tiny-cat"
    save_tiny(folder, tiny_checkpoint, "bert_cat")
    return folder


@pytest.fixture(scope="module")
def client(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Return a client of a server that every test of this file shares."""
    limits = ("--max-body", 0.01, "--max-texts", 50, "--max-characters", 2000)
    with serving(model, tmp_path_factory.mktemp("process"), *limits) as found:
        yield found


def test_many_at_once_get_what_rerank_writes(
    client: Client, model: Path, tiny_beir: Path, tmp_path: Path, cli: Cli
) -> None:
    output = tmp_path / "mine.trec"
    options = ("--data", tiny_beir, "--runs-dir", tmp_path / "runs", "--bf16", "false", "--depth", 12)
    outcome = cli("rerank", model, *options, "--output", output)
    assert outcome.code == 0, outcome.err
    texts, queries = (
        {one["_id"]: one["text"] for one in map(json.loads, (tiny_beir / name).read_text().splitlines())}
        for name in ("corpus.jsonl", "queries.jsonl")
    )
    ranked = list(read_run(output).items())
    assert max(len(found) for _, found in ranked) == 12

    def ask(number: int) -> None:
        """Ask for a query's passages in another order each time, and hold the answer against the run."""
        query, found = ranked[number % len(ranked)]
        given = found[number % len(found) :] + found[: number % len(found)]
        answer = client.rerank(query=queries[query], texts=[texts[name] for name, _ in given], raw_scores=True)
        assert sorted(one["index"] for one in answer) == list(range(len(given)))
        scores = [one["score"] for one in answer]
        assert scores == sorted(scores, reverse=True)
        assert scores == pytest.approx([dict(given)[given[one["index"]][0]] for one in answer], abs=1e-5)

    before = figure(client, 'requests_total{status="200"}'), figure(client, "texts_total")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(ask, range(REQUESTS)))
    assert figure(client, 'requests_total{status="200"}') - before[0] == REQUESTS
    pairs = sum(len(ranked[number % len(ranked)][1]) for number in range(REQUESTS))
    assert figure(client, "texts_total") - before[1] == pairs
    assert figure(client, "waiting_requests") == figure(client, "waiting_texts") == 0
    assert figure(client, "rounds_total") > 0


def figure(client: Client, name: str) -> float:
    """Return a figure of /metrics, 0 where there is none."""
    status, body = client.send("/metrics")
    assert status == 200
    lines = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if not line.startswith("#"))
    return float(lines.get(f"distilkit_{name}", 0))


def test_both_forms_are_answered(client: Client, model: Path) -> None:
    query, texts = "red apple", ["the red apple of deep desert", "the old river", ""]
    ours = distilkit.load(model, device="cpu").rank(query, texts)
    answer = client.rerank(query=query, texts=texts, return_text=True, raw_scores=True)
    assert [(one["index"], one["text"]) for one in answer] == [(one.index, one.passage) for one in ours]
    assert [one["score"] for one in answer] == pytest.approx([one.score for one in ours], abs=1e-5)
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        cohere = client.rerank(path, model="any", query=query, documents=[{"text": one} for one in texts], top_n=2)
        assert [one["index"] for one in cohere["results"]] == [one.index for one in ours[:2]]
        assert all(0 <= one["relevance_score"] <= 1 for one in cohere["results"])


def test_health_tells_what_is_served(client: Client) -> None:
    status, body = client.send("/health")
    about = {"model": "tiny-cat", "architecture": "bert_cat", "backend": "torch", "precision": "fp32"}
    assert (status, json.loads(body)) == (200, {"status": "ok", **about, "max_length": MAX_LENGTH})
    assert client.told.items() >= about.items()


def test_figures_are_those_of_prometheus(client: Client) -> None:
    client.rerank(query="q", texts=["a"])
    body = client.send("/metrics")[1].decode()
    assert body.endswith("\n")
    kinds = {line.split()[2]: line.split()[3] for line in body.splitlines() if line.startswith("# TYPE")}
    assert kinds["distilkit_requests_total"] == "counter"
    assert kinds["distilkit_request_seconds"] == "histogram"
    buckets = [float(line.rsplit(" ", 1)[1]) for line in body.splitlines() if "_seconds_bucket" in line]
    assert buckets == sorted(buckets)
    assert buckets[-1] == figure(client, "request_seconds_count") > 0


def test_what_is_refused(client: Client) -> None:
    long = json.dumps({"query": "q", "texts": ["red " * 100], "truncate": False}).encode()
    many = json.dumps({"query": "q", "texts": ["a"] * 51}).encode()
    for body, status, said in [
        (b"query=q", 400, "the body is not JSON"),
        (b'{"query": "q"}', 422, "texts or documents"),
        (many, 413, "51 texts"),
        (
            long,
            413,
            f"1 of 1 pairs are longer than {MAX_LENGTH} tokens and are cut to that length, which truncate = false",
        ),
        (b" " * 20_000, 413, "the body has more than 10,485 bytes"),  # read to its end
        (b" " * 1_000_000, 413, "the body has more than 10,485 bytes"),
    ]:
        try:
            assert client.refused(body)[0] == status, body[:40]
            assert said in client.refused(body)[1]
        except (BrokenPipeError, ConnectionResetError):
            assert len(body) == 1_000_000  # the connection was closed while it was still being sent
    for path, method, status in [("/rerank", "GET", 405), ("/nothing", "GET", 404), ("/health", "POST", 405)]:
        found = client.send(path, method=method)
        assert (found[0], "expected POST /rerank" in json.loads(found[1])["error"]) == (status, True)
    assert client.rerank(query="q", texts=["red " * 100]) != []  # cut, where nothing else is asked for


def test_bodies_that_come_in_pieces(client: Client) -> None:
    body = json.dumps({"query": "q", "texts": ["a", "b"]}).encode()
    head = b"POST /rerank HTTP/1.1\r\nHost: here\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    for pieces, status in (([body[:9], body[9:]], b"200"), ([b" " * 6000] * 2, b"413")):
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        assert raw(client, head + chunks).split()[1] == status
    assert raw(client, b"no HTTP at all\r\n\r\n").split()[1] == b"400"
    # Who says that more comes and leaves is not a harm to others.
    with socket.create_connection((client.host, client.port), SECONDS) as other:
        other.sendall(b"POST /rerank HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
    assert client.rerank(query="q", texts=["a"])[0]["index"] == 0


def raw(client: Client, sent: bytes) -> bytes:
    """Return what comes back for bytes, until the server closes the connection."""
    with socket.create_connection((client.host, client.port), SECONDS) as connection:
        connection.sendall(sent)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_what_is_under_way_before_it_ends(number: signal.Signals, model: Path, tmp_path: Path) -> None:
    texts = ["the red apple", "the old river", "the cold engine"] * 100
    gate = tmp_path / "gate"
    with serving(model, tmp_path, gate=gate) as client, ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(client.rerank, query="red apple", texts=texts) for _ in range(3)]
        # One is being scored, and the others wait for it.
        wait_for(lambda: figure(client, "waiting_requests") == 2, client.process)
        client.process.signal(number)
        wait_for(lambda: is_deaf(client), client.process)
        assert client.process.running
        gate.touch()
        assert [len(one.result()) for one in answers] == [300] * 3
        assert client.process.wait() == 0
        said = client.process.stdout.splitlines()[1:]
    assert [json.loads(one) for one in said] == [{"requests": 3}]
    assert client.process.stderr == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_is_told_may_stop_it_at_once(number: signal.Signals, tmp_path: Path) -> None:
    with started(run_stopped, number, folder=tmp_path) as process:
        assert process.wait() == 0
        assert (process.stdout, process.stderr) == ("told\n", "")


def run_stopped(number: signal.Signals) -> None:
    """Be a server that is stopped before its loop has begun."""
    from starlette.applications import Starlette

    from distilkit.serving.server import bound, run

    def announce() -> None:
        print("told", flush=True)
        signal.raise_signal(number)

    with bound("127.0.0.1", 0) as listening:
        run(Starlette(), listening, announce)


def is_deaf(client: Client) -> bool:
    """Tell whether no new request is let in."""
    try:
        client.send("/health")
    except OSError:
        return True
    return False


def test_whoever_listens_to_others_is_told(model: Path, tmp_path: Path) -> None:
    with serving(model, tmp_path, "--host", "0.0.0.0") as client:
        assert "can be reached from other machines: whoever reaches it can use the ranker" in client.process.stderr
        assert client.process.stderr.count("\n") == 1
        client.process.signal(signal.SIGTERM)
        assert client.process.wait() == 0


def test_an_onnx_file_is_served_alike(model: Path, tmp_path: Path, cli: Cli) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'distilkit[onnx]'")
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'distilkit[onnx]'")
    small = tmp_path / "int8"
    outcome = cli("export", model, "--format", "onnx", "--quantize", "int8", "--output", small)
    assert outcome.code == 0, outcome.err
    texts = ["the red apple of deep desert", "the old river", "", "red"]
    expected = distilkit.load(small).score("red apple", texts)
    with serving(small, tmp_path / "process") as client, ThreadPoolExecutor(8) as pool:
        assert (client.told["backend"], client.told["precision"]) == ("onnx", "int8")
        other = {"query": "cold engine", "texts": ["the river " * 9] * 9}
        asks = [{"query": "red apple", "texts": texts, "raw_scores": True} if n % 2 else other for n in range(40)]
        answers = list(pool.map(lambda one: client.rerank(**one), asks))
    for answer in answers[1::2]:  # exactly, whatever stood beside them
        assert {one["index"]: one["score"] for one in answer} == dict(enumerate(expected.tolist()))


def test_what_cannot_be_served(model: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, said in [
            ((model, "--port", port), f"--port {port}: another program listens there at 127.0.0.1; choose another"),
            ((model, "--host", "no such host"), "--host no such host: cannot be found"),
            ((model, "--host", "192.0.2.1", "--port", 0), "--host 192.0.2.1: cannot be listened at"),
            ((tmp_path / "absent", "--port", 0), "absent"),
            ((model, "--port", 0, "--backend", "onnx"), "holds no ONNX file of distilkit's"),
        ]:
            outcome = cli("serve", *arguments)
            assert (outcome.code, outcome.out) == (2, ""), outcome.err
            assert said in outcome.err
            assert outcome.err.count("\n") == 1
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    outcome = cli("serve", model)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "distilkit serve needs uvicorn, which is not installed: pip install 'distilkit[serve]'" in outcome.err


def test_a_client_that_leaves_is_not_waited_for(model: Path, tmp_path: Path) -> None:
    texts = ["the red apple", "the old river", "the cold engine"] * 100
    body = json.dumps({"query": "red apple", "texts": texts}).encode()
    head = b"POST /rerank HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % len(body)
    gate = tmp_path / "gate"
    with serving(model, tmp_path, "--max-waiting", 400, gate=gate) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.rerank, query="red apple", texts=texts)
        with socket.create_connection((client.host, client.port), SECONDS) as second:
            wait_for(gate.with_name("begun").exists, client.process)
            second.sendall(head + body)
            wait_for(lambda: figure(client, "waiting_requests") == 1, client.process)
            status, said = client.refused(body)
            assert (status, "300 texts of other requests wait already" in said) == (429, True)
        wait_for(lambda: figure(client, 'requests_total{status="499"}') == 1, client.process)
        gate.touch()
        assert len(first.result()) == 300
        client.rerank(query="q", texts=["a"])
        assert figure(client, "texts_total") == 301
