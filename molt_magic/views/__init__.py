"""What a person sees. Everything a model wrote is untrusted here: shown as text or sanitised Markdown, in every medium."""
