"""Brings the README's pictures up to date from the screenshots of a test run: `python -m tests.browser.readme_images`.

They are made by the browser tests, so they show what is there. Here they are only made small: a palette instead of all colours.
"""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

# the screenshot, the picture, and how much of its height is shown, in pixels
SHOWN = (
    ("answer-details", "answer", None),
    ("compare-light", "compare", None),
    ("decisions-light", "decisions", None),
    ("dashboard-light", "dashboard", 860),
)
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
MOST_BYTES = 150_000


def main() -> None:
    artefacts = Path(os.environ.get("MOLT_ARTEFACTS") or ROOT / "tests" / "artefacts")
    FOLDER.mkdir(parents=True, exist_ok=True)
    for screenshot, name, height in SHOWN:
        file = FOLDER / f"{name}.png"
        picture = Image.open(artefacts / f"{screenshot}.png").convert("RGB")
        picture = picture.crop((0, 0, picture.width, height or picture.height))
        picture.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
        size = file.stat().st_size
        print(f"{file.relative_to(ROOT)}: {picture.width} x {picture.height}, {size:,} bytes")
        assert size <= MOST_BYTES, f"{file} is larger than {MOST_BYTES:,} bytes"


if __name__ == "__main__":
    main()
