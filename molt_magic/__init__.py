"""Route every prompt of a notebook to the right model, and say why."""

__version__ = "0.1.0"
