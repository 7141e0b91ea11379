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

    from molt_magic.embed.words import Words

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WINDOW = 8192  # characters given to the tokenizer at once: it knows no words, so a long text is one word to it
_SPACE = "\u2581"  # the tokenizer's, which begins every word, and is never inside or at the end of a token but of spaces alone
_SPECIAL = "<"  # begins <s> and the like, around which the tokenizer cuts

_lock = threading.Lock()
_loaded: tuple[Tokenizer, Words] | None = None  # one a process: 18 MB, the same for everybody


class StaticEmbedder:
    """The 256-d `l2_supercat` vectors of the package `wordllama` (MIT), read as files.

    The package is not imported: its loader looks the files up over the network, and importing it configures logging.
    Files are read at the first `embed`; `WeightsError` is raised there when they are missing.
    """

    id = "wordllama-l2_supercat-256"
    dim = 256

    def __init__(self) -> None:
        # a text, the sum and the length of that: a fit looks at a question, and then the classifier does
        self._last: tuple[str, NDArray[np.float32], float] | None = None

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`."""
        if len(texts) == 1:
            return self._vector(texts[0])[None]
        import numpy as np

        rows = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            rows[row] = self._vector(text)
        return rows

    def _vector(self, text: str) -> NDArray[np.float32]:
        last = self._last
        if last is None or last[0] != text:
            total = self._total(text)  # of which the mean is a fraction, and points the same way
            self._last = last = text, total, math.sqrt(total.dot(total)) or 1.0
        _, total, length = last
        return total / length

    def _total(self, text: str) -> NDArray[np.float32]:
        """The sum of the vectors of the tokens of a text. How it is added up depends on nothing but the text."""
        text = text if text.strip() else ""
        tokenizer, met = _loaded or _load()
        words = text.split(" ")
        if len(text) <= _WINDOW and "" not in words and _SPACE not in text and _SPECIAL not in text:
            return met.total(words)
        # encode, not encode_batch: its thread pool prints a warning into the notebook when the kernel forks later
        parts = [text[start : start + _WINDOW] for start in range(0, len(text), _WINDOW)]
        return met.of_tokens([token for part in parts for token in tokenizer.encode(part, add_special_tokens=False).ids])


def _load() -> tuple[Tokenizer, Words]:
    global _loaded
    with _lock:
        if _loaded is None:
            from safetensors import safe_open
            from tokenizers import Tokenizer

            from molt_magic.embed.words import Words

            weights = package_file("wordllama", _WEIGHTS, install="wordllama")
            file_of_tokens = package_file("wordllama", _TOKENIZER, install="wordllama")
            try:
                with safe_open(weights, framework="numpy") as file:
                    table = file.get_tensor("embedding.weight")
                tokenizer = Tokenizer.from_file(str(file_of_tokens))
            except Exception as error:  # noqa: BLE001 - both libraries raise bare ones for a damaged file
                raise WeightsError(
                    f"The vectors of wordllama cannot be read ({type(error).__name__}).",
                    fix="Run: pip install --force-reinstall wordllama",
                ) from None
            if table.shape != (tokenizer.get_vocab_size(), StaticEmbedder.dim):
                raise WeightsError(
                    f"The vectors of wordllama have the shape {table.shape}, not one for its tokenizer.",
                    fix="Run: pip install --force-reinstall wordllama",
                )
            model = tokenizer.model  # which cuts a word as in any text, in a third of the time that `encode` takes

            def tokens_of(word: str) -> list[int]:
                return [token.id for token in model.tokenize(_SPACE + word)]

            _loaded = (tokenizer, Words(tokens_of, table))
        return _loaded
