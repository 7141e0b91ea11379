"""The file of a cassette: a line of JSON an answer, in the order in which they were first given.

The first line names the models that were ready while it was recorded, so that a replay considers the same ones. A line holds
the whole question (for the reader, and to find the nearest one) and the whole answer, but no time of day and no price: an
answer that comes out the same leaves its line untouched, so the difference between two recordings is what changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from molt_magic.drafts import replacing
from molt_magic.errors import StoreError
from molt_magic.files import make_folder
from molt_magic.lock import locked
from molt_magic.serial import canonical_key, completion_from_json, message_to_json
from molt_magic.types import Call, Completion, Usage

VERSION = 1
KEY_DIGITS = 16  # hexadecimal, of 64: a cassette has thousands of lines, not billions
_DELIVERY = ("stream",)  # parameters that say how an answer travels, not what it is


@dataclass(frozen=True, slots=True)
class Recording:
    """One answered call."""

    key: str
    model: str  # the catalog's name
    messages: tuple[Mapping[str, Any], ...]
    params: Mapping[str, Any]
    completion: Completion
    latency_s: float
    ttft_s: float | None

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        contents = [message["content"] for message in self.messages if message["role"] == "user"]
        last = contents[-1] if contents else ""
        return last if isinstance(last, str) else "\n".join(str(part.get("text", "")) for part in last)


def params_of(call: Call) -> dict[str, Any]:
    """What of a call's parameters shapes its answer."""
    return {name: value for name, value in call.params.items() if name not in _DELIVERY}


def key_of(call: Call) -> str:
    """What makes two calls the same: model, messages, parameters, schema, which sample. Not where the model is reached."""
    parts = {
        "model": call.model,
        "messages": [message_to_json(message) for message in call.messages],
        "params": params_of(call),
        "schema": None if call.schema is None else dict(call.schema),
        "sample": call.sample,
    }
    return canonical_key(parts)[:KEY_DIGITS]


class Tape:
    """Reads and writes one cassette; several kernels may record on it at once.

    Args:
        path: the file; made (0600) at the first recording.
        locks: folder of the lock by which kernels take turns; beside the tape it would end up in somebody's commit.

    Every method raises StoreError, with the fix, where the file is no cassette or cannot be used.
    """

    def __init__(self, path: Path, *, locks: Path) -> None:
        self.path = path
        self._lock = locks / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.lock"
        self._lines: dict[str, Mapping[str, Any]] = {}  # key -> its line, in the file's order
        self._models: tuple[str, ...] = ()
        self._stamp: tuple[int, int] | None = None
        self._whole = False  # whether the file is there and ends with a whole line: only then may one be appended

    @property
    def models(self) -> tuple[str, ...]:
        """The models that were ready while it was recorded."""
        self._read()
        return self._models

    def __len__(self) -> int:
        self._read()
        return len(self._lines)

    def __iter__(self) -> Iterator[Recording]:
        self._read()
        return (_recording(line) for line in list(self._lines.values()))

    def find(self, key: str) -> Recording | None:
        """The recorded answer of a call, by its `key_of`."""
        self._read()
        line = self._lines.get(key)
        return None if line is None else _recording(line)

    def keep(self, key: str, line: Mapping[str, Any], models: Sequence[str]) -> None:
        """Write an answer's `line_of`, in the place of an older one to the same call, and the models that are ready.

        On disk, whole, when this returns. A line whose answer is the old one stays as it was, its times included.
        """
        with self._exclusive():
            self._read()
            old = self._lines.get(key)
            same = old is not None and {**old, **_TIMES} == {**line, **_TIMES}
            if same and tuple(models) == self._models:
                return
            appended = old is None and self._whole and tuple(models) == self._models
            self._lines[key] = old if same and old is not None else line
            self._models = tuple(models)
            if appended:
                self._append(line)
            else:
                self._write_all()

    # the file

    def _read(self) -> None:
        """Take in the file where it changed since."""
        try:
            status = self.path.stat()
            if (stamp := (status.st_mtime_ns, status.st_size)) == self._stamp:
                return
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            self._lines, self._models, self._stamp, self._whole = {}, (), None, False
            return
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"The cassette {self.path} cannot be read: {error}.", fix="Make it a readable file.") from error
        lines = text.removesuffix("\n").split("\n") if text else []  # an answer may hold what else separates lines
        self._whole = text.endswith("\n")
        whole = len(lines) if self._whole else len(lines) - 1
        parsed = [self._parsed(number, line, cut=number > whole) for number, line in enumerate(lines, 1)]
        head, *rest = parsed or [None]
        self._models = self._head(head)
        self._lines = {line["key"]: line for line in rest if line is not None}
        self._stamp = stamp

    def _parsed(self, number: int, line: str, *, cut: bool) -> Mapping[str, Any] | None:
        try:
            found = json.loads(line)
            if number > 1:
                _recording(found)
            return dict(found)
        except (ValueError, KeyError, TypeError, AttributeError):
            if cut and number > 1:  # whoever wrote it was killed in the middle: it was never handed over as recorded
                return None
            raise StoreError(
                f"Line {number} of {self.path} is not a recorded answer.", fix="Mend or remove that line, or record anew."
            ) from None

    def _head(self, head: Mapping[str, Any] | None) -> tuple[str, ...]:
        version = None if head is None else head.get("molt_cassette")
        if head is None or not isinstance(version, int) or not isinstance(head.get("models"), list):
            raise StoreError(
                f"{self.path} is not a cassette.", fix="Name another file; one that is not there yet is made by recording."
            )
        if version > VERSION:
            raise StoreError(
                f"{self.path} was recorded by a newer molt_magic (format {version}, this one knows {VERSION}).",
                fix="Update with: pip install -U molt-magic; or record anew.",
            )
        return tuple(map(str, head["models"]))

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            make_folder(self.path.parent)
            make_folder(self._lock.parent)
            with locked(self._lock, waiting=lambda: None):
                yield
        except OSError as error:
            self._stamp = None  # what is held may not be what is there
            raise StoreError(
                f"The cassette {self.path} cannot be written: {error.strerror or error}.",
                fix="Choose a folder that you may write to: %route cassette record FILE.",
            ) from error

    def _append(self, line: Mapping[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(_text(line))
            file.flush()
            os.fsync(file.fileno())
        self._stamp_it()

    def _write_all(self) -> None:
        """Beside the old file, then in its place: a reader sees the one or the other."""
        with replacing(self.path) as draft:
            with draft.open("w", encoding="utf-8", newline="\n") as file:
                file.write(_text({"molt_cassette": VERSION, "models": list(self._models)}))
                file.writelines(map(_text, self._lines.values()))
            if self.path.exists():
                draft.chmod(self.path.stat().st_mode & 0o777)
        self._whole = True
        self._stamp_it()

    def _stamp_it(self) -> None:
        status = self.path.stat()
        self._stamp = (status.st_mtime_ns, status.st_size)


_TIMES: Mapping[str, Any] = {"latency_s": None, "ttft_s": None}


def line_of(call: Call, completion: Completion, *, latency_s: float, ttft_s: float | None) -> dict[str, Any]:
    """An answered call as it is written; what is empty is left out, so that a person can read the rest."""
    usage = {name: value for name, value in asdict(completion.usage).items() if value and name != "cost_usd"}
    messages = [{k: v for k, v in message_to_json(m).items() if v or k == "content"} for m in call.messages]
    line = {
        "key": key_of(call),
        "model": call.model,
        "purpose": call.purpose,
        "messages": messages,
        "params": params_of(call),
        "schema": call.schema,
        "sample": call.sample,
        "answer": completion.text,
        "served_model": completion.model,
        "finish_reason": completion.finish_reason,
        "usage": usage,
        "logprobs": None if completion.logprobs is None else [round(value, 4) for value in completion.logprobs],
        "tool_calls": [dict(each) for each in completion.tool_calls],
        "latency_s": round(latency_s, 3),
        "ttft_s": None if ttft_s is None else round(ttft_s, 3),
    }
    always = ("answer", "messages", "usage", *_TIMES)
    written: dict[str, Any] = json.loads(json.dumps({k: v for k, v in line.items() if v or k in always}, default=dict))
    return written


def _recording(line: Mapping[str, Any]) -> Recording:
    completion = completion_from_json(
        {
            "text": line["answer"],
            "model": line.get("served_model", line["model"]),
            "usage": asdict(Usage(**line["usage"])),
            "finish_reason": line.get("finish_reason", "stop"),
            "logprobs": line.get("logprobs"),
            "tool_calls": line.get("tool_calls", ()),
        }
    )
    if completion is None:
        raise ValueError("no answer")
    if not all(isinstance(message, dict) and {"role", "content"} <= message.keys() for message in line["messages"]):
        raise ValueError("no messages")
    if not all(isinstance(value, int) for value in line["usage"].values()):
        raise ValueError("no counts of tokens")
    if not all(math.isfinite(float(line.get(name) or 0.0)) for name in _TIMES):
        raise ValueError("no seconds")
    return Recording(
        key=line["key"],
        model=line["model"],
        messages=tuple(line["messages"]),
        params=line.get("params", {}),
        completion=completion,
        latency_s=float(line.get("latency_s") or 0.0),
        ttft_s=line.get("ttft_s"),
    )


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
