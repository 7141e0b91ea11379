"""`python -m molt_magic` is `molt`."""

from __future__ import annotations

import sys

from molt_magic.cli import main

sys.exit(main())
