"""Brings the README's pictures up to date from the screenshots of a test run: `python -m tests.browser.readme_images`.

They are made by the browser tests, so they show what is there. Here they are only made small: a palette instead of all colours.
"""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

SHOWN = ("answer-details", "compare-light", "decisions-light", "dashboard-light")
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 150_000


def main() -> None:
    artefacts = Path(os.environ.get("MOLT_ARTEFACTS") or ROOT / "tests" / "artefacts")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in SHOWN:
        file = FOLDER / f"{name.removesuffix('-light').removesuffix('-details')}.png"
        picture = Image.open(artefacts / f"{name}.png").convert("RGB")
        picture.quantize(64, dither=Image.Dither.NONE).save(file, optimize=True)
        size = file.stat().st_size
        print(f"{file.relative_to(ROOT)}: {picture.width} x {picture.height}, {size:,} bytes")
        assert size <= MOST_BYTES, f"{file} is larger than {MOST_BYTES:,} bytes"


if __name__ == "__main__":
    main()
