"""A language-model endpoint on loopback, for tests: implements the wire format and misbehaves on request.

Chat completions with log-probabilities and JSON schemas, completions with ``echo`` (prompt
log-probabilities as vLLM and llama-cpp-python return them), and what servers do besides: errors of any
form, edited replies, any bytes, hangs, half a body, drips, floods, dropped connections. It counts and
keeps every request. It is one asyncio loop in a thread of its own.
"""

import asyncio
import json
import re
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

Body = dict[str, Any]
Headers = dict[str, str]

_TOKEN = re.compile(r"10(?!\d)|\d|[^\W\d_]+|\s|.", re.DOTALL)


def tokens_of(text: str) -> list[str]:
    """The server's own tokens: numbers 0..10, words, single characters. Joined they are the text."""
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class Answer:
    """A chat or completion reply. ``numbers`` are alternatives (text -> log-probability) of its first token."""

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None
    numbers: Mapping[str, float] | None = None
    model: str | None = None


@dataclass(frozen=True)
class Fail:
    """An HTTP error."""

    status: int
    message: str = "scripted failure"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hang:
    """No reply until the client gives up or the server stops."""


@dataclass(frozen=True)
class HalfBody:
    """A reply whose JSON ends in the middle; the connection closes cleanly."""


@dataclass(frozen=True)
class Drop:
    """The connection is closed without a reply."""


@dataclass(frozen=True)
class Huge:
    """A reply of this many bytes."""

    n_bytes: int


@dataclass(frozen=True)
class Edited:
    """A reply of the format, changed by ``edit`` before it is written as JSON."""

    edit: Callable[[Body], Any]
    answer: Answer = Answer("words about cats")


@dataclass(frozen=True)
class Raw:
    """A reply of these very bytes."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Flood:
    """A reply without an end: ``piece`` again and again, with a pause between."""

    piece: bytes
    seconds: float = 0.0


Behaviour = Answer | Fail | Hang | HalfBody | Drop | Huge | Edited | Raw | Flood
Brain = Callable[[Body], Behaviour]
Numbers = Callable[[str, int], Mapping[str, float]]


def raw_json(value: Any, status: int = 200) -> Raw:
    """A reply that is ``value`` as JSON."""
    return Raw(json.dumps(value).encode(), status)


def certain(number: int) -> dict[str, float]:
    """Log-probabilities that leave no doubt about a number."""
    return {str(n): (0.0 if n == number else -30.0) for n in range(11)}


def instance_of(schema: Mapping[str, Any]) -> Any:
    """The plainest value that fits a JSON schema of objects, arrays, strings and numbers."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: instance_of(part) for name, part in schema["properties"].items()}
        case "array":
            return [instance_of(schema["items"])] * schema.get("minItems", 1)
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case _:
            return "a text"


def plain_brain(body: Body) -> Behaviour:
    """Fits the schema where there is one; else always the same sentence."""
    wanted = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Answer(json.dumps(instance_of(wanted)) if wanted else "words about cats")


class LlmServer:
    """Use as a context manager. ``script`` behaviours are taken first, one per request, then ``brain``."""

    def __init__(
        self,
        brain: Brain = plain_brain,
        numbers: Numbers | None = None,
        latency: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.brain = brain
        self._tls = tls
        self.numbers: Numbers = numbers or (lambda _prompt, _start: certain(0))
        self.latency = latency
        self.keep_requests = True
        self.script: deque[Behaviour] = deque()
        self.requests: list[Body] = []
        self.headers: list[Headers] = []
        self.paths: list[str] = []
        self.n_requests = 0
        self.n_answered = 0
        self.at_once = 0
        self.most_at_once = 0
        self.port = 0
        self._ready = threading.Event()
        self._arrived = threading.Condition()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return self.url_at("127.0.0.1")

    def url_at(self, host: str) -> str:
        """The base URL under another name of this machine."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/v1"

    def __enter__(self) -> "LlmServer":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._connection, "127.0.0.1", self.port, limit=2**24, backlog=1024, ssl=self._tls
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the client went away, as tests of time-outs make it do
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        body: Body = json.loads(raw) if raw else {}
        if method == "GET":
            models = {"object": "list", "data": [{"id": "tiny", "object": "model"}]}
            return await self._send(writer, 200, json.dumps(models).encode(), {})
        self._count(path, body, headers)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            behaviour = self.script.popleft() if self.script else self.brain(body)
            if self.latency:
                await asyncio.sleep(self.latency)
            return await self._behave(behaviour, body, writer)
        finally:
            self.at_once -= 1

    def wait_for(self, *, requests: int, seconds: float = 60.0) -> bool:
        """Wait until so many requests have come; False where they do not."""
        with self._arrived:
            return self._arrived.wait_for(lambda: self.n_requests >= requests, seconds)

    def _count(self, path: str, body: Body, headers: Headers) -> None:
        with self._arrived:
            self.n_requests += 1
            self._arrived.notify_all()
        if self.keep_requests:
            self.paths.append(path)
            self.requests.append(body)
            self.headers.append(headers)

    async def _behave(self, behaviour: Behaviour, body: Body, writer: asyncio.StreamWriter) -> bool:
        match behaviour:
            case Answer():
                return await self._send(writer, 200, json.dumps(self._reply(behaviour, body)).encode(), {})
            case Edited(edit, answer):
                return await self._send(writer, 200, json.dumps(edit(self._reply(answer, body))).encode(), {})
            case Raw(raw, status, content_type, headers):
                return await self._send(writer, status, raw, {"content-type": content_type, **headers})
            case Flood(piece, seconds):
                writer.write(b"HTTP/1.1 200 Scripted\r\ncontent-type: application/json\r\n\r\n")
                while True:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(seconds)
            case Fail(status, message, headers):
                error = {"error": {"message": message, "type": "scripted", "code": status}}
                return await self._send(writer, status, json.dumps(error).encode(), headers)
            case HalfBody():
                whole = json.dumps(chat_reply(Answer("words"), body)).encode()
                return await self._send(writer, 200, whole[: len(whole) // 2], {})
            case Huge(n_bytes):
                return await self._send(writer, 200, b'"' + b"x" * n_bytes + b'"', {})
            case Hang():
                await asyncio.sleep(3600)
        return False  # Drop: the connection closes

    def _reply(self, answer: Answer, body: Body) -> Body:
        self.n_answered += 1
        if "input" in body:
            return embedding_reply(body)
        return self._completion(answer, body) if "prompt" in body else chat_reply(answer, body)

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str]) -> bool:
        usual = {"content-type": "application/json", "content-length": str(len(body))}
        lines = [f"HTTP/1.1 {status} Scripted"]
        lines += [f"{name}: {value}" for name, value in (usual | dict(headers)).items()]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()
        return True

    def _completion(self, answer: Answer, body: Body) -> Body:
        """A text completion; with ``echo`` and ``logprobs`` the prompt's tokens and their alternatives."""
        prompt = body["prompt"]
        shown = (prompt if body.get("echo") else "") + answer.text
        tokens, places, offset = tokens_of(shown), [], 0
        for token in tokens:
            places.append(offset)
            offset += len(token)
        wanted = body.get("logprobs")
        if body.get("prompt_logprobs"):
            return envelope("text_completion", self._vllm_choice(answer, body), body, answer, prompt)
        alternatives = [top(self.numbers(shown, at), wanted or 0) for at in places]
        logprobs = {
            "tokens": tokens,
            "text_offset": places,
            "token_logprobs": [None, *(-1.0 for _ in tokens[1:])],
            "top_logprobs": [None, *alternatives[1:]],
        }
        choice = {"index": 0, "text": shown, "finish_reason": "length", "logprobs": logprobs if wanted else None}
        return envelope("text_completion", choice, body, answer, prompt)

    def _vllm_choice(self, answer: Answer, body: Body) -> Body:
        """vLLM's own form: per token of the prompt its entry first, then the likeliest others, by token id."""
        places: list[Body | None] = []
        offset = 0
        for token in tokens_of(body["prompt"]):
            best = top(self.numbers(body["prompt"], offset), body["prompt_logprobs"])
            entries = [(token, best.get(token, -9.0)), *((t, p) for t, p in best.items() if t != token)]
            places.append({f"{hash(t)}": {"logprob": p, "rank": 1, "decoded_token": t} for t, p in entries})
            offset += len(token)
        return {"index": 0, "text": answer.text, "finish_reason": "length", "logprobs": None, "prompt_logprobs": places}


def embedding_of(text: str) -> list[float]:
    """Counts of letters: texts of the same words are near to each other."""
    return [1.0 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]


def embedding_reply(body: Body) -> Body:
    """Embeddings of the texts, in an order of the server's own."""
    data = [{"object": "embedding", "index": i, "embedding": embedding_of(t)} for i, t in enumerate(body["input"])]
    n_in = sum(len(tokens_of(text)) for text in body["input"])
    usage = {"prompt_tokens": n_in, "total_tokens": n_in}
    return {"object": "list", "data": data[::-1], "model": f"{body['model']}-0125", "usage": usage}


def chat_reply(answer: Answer, body: Body) -> Body:
    """A chat completion, with log-probabilities where the request asks for them."""
    message = {"role": "assistant", "content": None if answer.refusal else answer.text, "refusal": answer.refusal}
    choice: Body = {"index": 0, "message": message, "finish_reason": answer.finish_reason, "logprobs": None}
    if body.get("logprobs"):
        first = answer.numbers or {tokens_of(answer.text or " ")[0]: -0.01}
        choice["logprobs"] = {
            "content": [
                token_entry(token, first if place == 0 else {token: -0.01}, body.get("top_logprobs", 0))
                for place, token in enumerate(tokens_of(answer.text))
            ]
        }
    prompt = "\n".join(m["content"] for m in body["messages"])
    return envelope("chat.completion", choice, body, answer, prompt)


def token_entry(token: str, alternatives: Mapping[str, float], n_top: int) -> Body:
    """One token of a chat completion's log-probabilities."""
    best = [{"token": t, "logprob": p, "bytes": None} for t, p in top(alternatives, n_top).items()]
    return {"token": token, "logprob": alternatives.get(token, -0.01), "bytes": None, "top_logprobs": best}


def top(alternatives: Mapping[str, float], n: int) -> dict[str, float]:
    """The ``n`` likeliest alternatives."""
    return dict(sorted(alternatives.items(), key=lambda pair: -pair[1])[:n])


def envelope(kind: str, choice: Body, body: Body, answer: Answer, prompt: str) -> Body:
    """The envelope of a choice."""
    n_in, n_out = len(tokens_of(prompt)), len(tokens_of(answer.text))
    return {
        "id": "reply-1",
        "object": kind,
        "created": 0,
        "model": answer.model or f"{body.get('model')}-0613",
        "choices": [choice],
        "usage": {
            "prompt_tokens": n_in,
            "completion_tokens": n_out,
            "total_tokens": n_in + n_out,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }
