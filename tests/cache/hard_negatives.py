"""Hard negatives: pairs of prompts that look alike and want different answers.

Written by hand before the guard was tried on any of them, and apart from `pairs.py`, which the guard was made with. A line of
`hard_negatives.txt` holds both prompts: `{first|second}` marks where they differ, `# name` begins a category. In each category
the even lines were open while the guard was loosened and the odd ones were looked at after. "phrasings" came last, against the
rules by which two phrasings of a question are one. "order of names" and "white space" are later still: faults that a
review found, and more like them, mended with all of them open. White space is one space, but for ␣ and ␉: a space that stays,
and a tab.
"""

import re
from pathlib import Path

_KEPT = str.maketrans({"␣": " ", "␉": "\t"})
_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def _prompt(written: str) -> str:
    return " ".join(written.split()).translate(_KEPT)


def _read() -> list[tuple[str, str, str]]:
    pairs, category = [], ""
    for line in Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            category = line[2:]
        elif line:
            pairs.append((category, *(_prompt(_CHOICE.sub(side, line)) for side in (r"\1", r"\2"))))
    return pairs


PAIRS = _read()
"""(category, one prompt, another); the guard does not know the words of the languages of "in German" and so on."""

HARD = [pair for pair in PAIRS if not pair[0].startswith("in ")]
FOREIGN_HARD = [pair for pair in PAIRS if pair[0].startswith("in ")]
