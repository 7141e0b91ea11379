"""Keys, prompts and files: what is never shown, never written down, and for nobody else to read."""
