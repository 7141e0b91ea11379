"""The default embedder: one vector per token, averaged. No network, no graph, some 0.1 ms a prompt."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from molt_magic.embed.files import package_file
from molt_magic.embed.vectors import unit_rows
from molt_magic.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WINDOW = 8192  # characters given to the tokenizer at once: it knows no words, so a long text is one word to it


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

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of `texts`; see `Embedder`."""
        import numpy as np

        tokenizer, table = self._loaded or self._load()
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            ids: list[int] = []
            for start in range(0, len(text), _WINDOW):
                # encode, not encode_batch: its thread pool prints a warning into the notebook when the kernel forks later
                ids += tokenizer.encode(text[start : start + _WINDOW], add_special_tokens=False).ids
            if ids and text.strip():
                rows[row] = np.add.reduce(table[ids], axis=0, dtype=np.float32) / len(ids)  # the mean
        return unit_rows(rows)

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
