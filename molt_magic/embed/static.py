"""The default embedder: one vector per token, averaged. No network, no graph, some 0.01 ms a prompt of known words."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.embed.files import package_file
from molt_magic.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WINDOW = 8192  # characters given to the tokenizer at once: it knows no words, so a long text is one word to it
_SPACE = "\u2581"  # the tokenizer's, which begins every word, and is never inside or at the end of a token but of spaces alone
_SPECIAL = "<"  # begins <s> and the like, around which the tokenizer cuts
_LEARNED = 512  # tokens of a text at most whose words are remembered ...
_REMEMBERED = 2048  # ... and of all of them, 1 kB each


class StaticEmbedder:
    """The 256-d `l2_supercat` vectors of the package `wordllama` (MIT), read as files.

    The package is not imported: its loader looks the files up over the network, and importing it configures logging.
    Files are read at the first `embed`; `WeightsError` is raised there when they are missing.
    """

    id = "wordllama-l2_supercat-256"
    dim = 256

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: tuple[Tokenizer, NDArray[np.float16]] | None = None
        self._words: dict[str, NDArray[np.float32]] = {}  # the vectors of their tokens: looking up a word takes 0.1 us
        self._remembered = 0  # tokens of the words

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`."""
        import numpy as np

        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            if text.strip():
                total = np.add.reduce(self._vectors(text), axis=0)  # of which the mean is a fraction, and points the same way
                if length := math.sqrt(total @ total):
                    np.divide(total, length, out=rows[row])
        return rows

    def _vectors(self, text: str) -> NDArray[np.float32]:
        """Of the tokens of a text, one after the other."""
        import numpy as np

        words = text.split(" ")
        if whole := len(text) <= _WINDOW:
            try:
                return np.concatenate([self._words[word] for word in words])
            except KeyError:
                pass  # there is a new one
        tokenizer, table = self._loaded or self._load()
        # encode, not encode_batch: its thread pool prints a warning into the notebook when the kernel forks later
        parts = [text[start : start + _WINDOW] for start in range(0, len(text), _WINDOW)]
        found = [tokenizer.encode(part, add_special_tokens=False) for part in parts]
        ids = np.array([token for part in found for token in part.ids], dtype=np.intp)
        vectors = table.take(ids, axis=0).astype(np.float32)
        if whole and len(ids) <= _LEARNED and "" not in words and _SPACE not in text and _SPECIAL not in text:
            self._learn(words, found[0].tokens, vectors)
        return vectors

    def _learn(self, words: list[str], tokens: list[str], vectors: NDArray[np.float32]) -> None:
        """Remember the words of a text whose tokens these are."""
        starts = [place for place, token in enumerate(tokens) if token[0] == _SPACE]
        if len(starts) != len(words):
            return
        if self._remembered > _REMEMBERED:
            self._words, self._remembered = {}, 0
        for word, start, end in zip(words, starts, [*starts[1:], len(tokens)], strict=True):
            if word not in self._words:
                self._words[word] = vectors[start:end].copy()
                self._remembered += end - start

    def _load(self) -> tuple[Tokenizer, NDArray[np.float16]]:
        with self._lock:
            if self._loaded is None:
                from safetensors import safe_open
                from tokenizers import Tokenizer

                weights = package_file("wordllama", _WEIGHTS, install="wordllama")
                words = package_file("wordllama", _TOKENIZER, install="wordllama")
                try:
                    with safe_open(weights, framework="numpy") as file:
                        table = file.get_tensor("embedding.weight")
                    tokenizer = Tokenizer.from_file(str(words))
                except Exception as error:  # noqa: BLE001 - both libraries raise bare ones for a damaged file
                    raise WeightsError(
                        f"The vectors of wordllama cannot be read ({type(error).__name__}).",
                        fix="Run: pip install --force-reinstall wordllama",
                    ) from None
                if table.shape != (tokenizer.get_vocab_size(), self.dim):
                    raise WeightsError(
                        f"The vectors of wordllama have the shape {table.shape}, not one for its tokenizer.",
                        fix="Run: pip install --force-reinstall wordllama",
                    )
                self._loaded = (tokenizer, table)
            return self._loaded
