"""Questions for the bench: as many different ones as wanted, and for each another way to ask it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

# fmt: off
_DO = (
    "clean", "repair", "paint", "store", "choose", "insure", "ship", "measure", "sell", "photograph", "lubricate", "disinfect",
    "install", "recycle", "wrap", "label", "weigh", "test", "restore", "rent",
)
_THINGS = (
    "bicycle", "violin", "microscope", "water pump", "sewing machine", "solar panel", "wooden boat", "greenhouse", "telescope",
    "coffee grinder", "chess clock", "drone", "printing press", "leather jacket", "beehive", "camera lens", "radiator",
    "wheelchair", "fish tank", "garden fence", "lawn mower", "piano", "smoke alarm", "typewriter", "wine cellar", "kayak",
    "loom", "compass", "chimney", "hearing aid", "heat pump", "rain barrel", "tractor", "saddle", "mattress", "bookshelf",
    "safe", "lantern", "turntable", "generator",
)
_WHEN = (
    "before a long winter", "on a small budget", "without special tools", "in a rented flat", "for a school project",
    "after a flood", "in a humid climate", "for a family of four", "when it is new", "at high altitude", "by the sea",
    "in less than an hour", "for an exhibition", "when parts are missing", "in a warehouse", "for export", "on a farm",
    "with bare hands", "under time pressure", "in the desert",
)
_PROPERTIES = (
    "price", "weight", "history", "carbon footprint", "resale value", "typical lifetime", "power consumption", "market share",
    "legal status", "main ingredient", "ideal temperature", "usual fault", "safety record", "annual production",
    "environmental impact", "average delay", "recommended dose", "cultural meaning", "tax treatment", "failure rate",
)
_TOPICS = (
    "photosynthesis", "inflation", "plate tectonics", "machine learning", "fermentation", "glacier melt", "public transport",
    "vaccination", "urban farming", "nuclear fusion", "child labour", "deep sea mining", "bird migration", "quantum computing",
    "coral bleaching", "supply chains", "jazz improvisation", "soil erosion", "cryptography", "sleep apnea", "space debris",
    "water rights", "renewable energy", "gene editing", "medieval trade", "food waste", "ocean currents", "data privacy",
    "bridge design", "language loss", "wild fires", "remote work", "antibiotic resistance", "tea culture", "chess theory",
    "crop rotation", "air traffic control", "pension funds", "volcanic soil", "city planning",
)
_READERS = (
    "a ten year old", "a new colleague", "the city council", "a nurse", "a retired engineer", "my grandmother", "a journalist",
    "an investor", "a biology class", "a museum guide", "a farmer", "a judge", "first year students", "a tourist",
    "a software team", "an insurance agent", "a sports coach", "a plumber", "a shop owner", "the night shift",
)
_FORMS = (
    "poem", "press release", "speech", "blog post", "dialogue", "fable", "review", "quiz", "petition", "lesson plan",
    "short story", "memo", "radio script", "product page",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Question:
    """One question, asked in two ways that mean the same."""

    text: str
    otherwise: str  # in words of which the guard says so, and of which the second embedder has to say so, too


def questions(seed: int) -> Iterator[Question]:
    """Different questions in an order drawn by `seed`, more than a million of them."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    seen: set[str] = set()
    while True:
        question = _draw(rng)
        if question.text not in seen:
            seen.add(question.text)
            yield question


def _draw(rng: random.Random) -> Question:
    kind = rng.random()
    if kind < 0.1:
        do = f"{rng.choice(_DO)} a {rng.choice(_THINGS)} {rng.choice(_WHEN)}"
        return Question(f"How do I {do}?", f"What are some good ways to {do}?")
    if kind < 0.4:
        what, thing, when = rng.choice(_PROPERTIES), rng.choice(_THINGS), rng.choice(_WHEN)
        told = f"{what} of a {thing} {when} in {rng.randrange(1950, 2026)}"
        return Question(f"What is the {told}?", f"what is {told}")
    if kind < 0.7:
        form, topic, reader = rng.choice(_FORMS), rng.choice(_TOPICS), rng.choice(_READERS)
        told = f"{form} about {topic} for {reader} in {rng.randrange(4, 80)} lines"
        return Question(f"Write a {told}", f"write {told}")
    (topic, other), reader = rng.sample(_TOPICS, 2), rng.choice(_READERS)
    told = f"connected with {other} to {reader}"
    return Question(f"Explain how {topic} is {told}", f"explain how {topic} is really {told}")
