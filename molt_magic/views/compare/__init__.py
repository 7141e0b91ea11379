"""Several answers to one question, side by side: while they arrive, as a static display, and as a form."""
