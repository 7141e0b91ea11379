"""A fitted predictor as one .npz file: plain arrays and a line of JSON, nothing pickled, bound to the embedder by its id."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from molt_magic.drafts import replacing
from molt_magic.embed import Embedder
from molt_magic.errors import StoreError
from molt_magic.files import make_folder
from molt_magic.quality.families import Families
from molt_magic.quality.features import Features
from molt_magic.quality.index import Index
from molt_magic.quality.kernel import Landmarks
from molt_magic.quality.latent import Latent
from molt_magic.quality.lexical import Lexical
from molt_magic.quality.neighbours import Neighbours
from molt_magic.quality.predictor import Predictor, State
from molt_magic.quality.prior import shipped
from molt_magic.quality.ridge import Ridge

logger = logging.getLogger("molt_magic")

_FAMILY = "family of "  # before the block of one of its ridges
VERSION = 3  # of the file and of all that makes features; another one is fitted anew


class Newer(StoreError):
    """A file of a version that this one does not know: it is left as it is."""


def save(predictor: Predictor, path: Path, note: Mapping[str, Any]) -> None:
    """Write a fitted predictor and a note (JSON) in place of what is there; a reader sees the old file or the new one.

    The file holds no prompt, only numbers made from them; it is readable for its owner only.

    Raises:
        OSError: it cannot be written.
        StoreError: what is there is of a newer version.
    """
    _refuse_newer(path)
    state = predictor.fitted
    arrays: dict[str, Any] = {
        "means": state.latent.means,
        "axes": state.latent.axes,
        "curves": state.curves,
        "counts": state.counts,
        "known": state.known,
        "near.vectors": state.near.index.vectors,
        "near.places": state.near.index.places,
        "near.centres": state.near.index.centres,
        "near.ends": state.near.index.ends,
        "near.targets": state.near.targets,
        "near.counts": state.near.counts,
        "with_task": state.with_task,
        "without_task": state.without_task,
    }
    families = {} if state.families is None else {f"{_FAMILY}{name}": r for name, r in state.families.ridges.items()}
    ridges = {**state.ridges, **families}
    for name, ridge in ridges.items():
        arrays |= {f"{name}.centre": ridge.centre, f"{name}.weights": ridge.weights, f"{name}.offset": ridge.offset}
        arrays[f"{name}.penalties"] = ridge.penalties
    if (features := state.features) is not None:
        marks = features.landmarks
        arrays |= {"terms": features.lexical.terms, "rarity": features.lexical.rarity}
        arrays |= {"vector_mean": features.mean, "topics": features.topics}
        arrays |= {"looks_mean": marks.mean, "looks_deviation": marks.deviation}
        arrays |= {"points": marks.points, "whitening": marks.whitening}
    about = {
        "version": VERSION,
        "embedder": predictor.embedder.id,
        "seed": predictor.seed,
        "models": state.models,
        "tasks": state.tasks,
        "background": state.background,
        "share": None if state.features is None else state.features.landmarks.share,
        "prior": None if state.features is None or state.features.prior is None else state.features.prior.id,
        "sharpness": None if state.families is None else state.families.sharpness,
        "ridges": {name: ridge.scale for name, ridge in ridges.items()},
        "note": dict(note),
    }
    make_folder(path.parent)
    with replacing(path) as draft, draft.open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about)), **arrays)


def read(path: Path, embedder: Embedder) -> tuple[Predictor, dict[str, Any]]:
    """The predictor of a file and its note.

    Raises:
        StoreError: there is no such file, it is damaged, or of another embedder, prior or version; without a fix, unless
            it is newer than this version: the fix depends on what the file is for.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            _check_version(about["version"], path)
            if about["embedder"] != embedder.id:
                raise StoreError(f"{path} belongs to the embedder {about['embedder']}, but {embedder.id} is in use.")
            if about["prior"] not in (None, shipped().id):
                raise StoreError(f"{path} rests on another prior than the one that ships.")
            predictor = Predictor(embedder=embedder, seed=about["seed"])
            predictor.state = _state(about, file)
            return predictor, about["note"]
    except FileNotFoundError:
        raise StoreError(f"There is no file {path}.") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}.") from error
    except StoreError:
        raise
    except Exception as error:  # numpy and zipfile raise a dozen kinds on what is cut off, overwritten or none of theirs
        raise StoreError(f"{path} is damaged, or no file of molt_magic's.") from error


def load(path: Path, embedder: Embedder) -> tuple[Predictor, dict[str, Any]] | None:
    """The predictor of a file and its note; None where it cannot be used: what it held is fitted anew then."""
    try:
        return read(path, embedder)
    except Newer as error:
        logger.warning("predicted quality is fitted anew, and not kept: %s", error)
        return None
    except StoreError:
        return None


def _check_version(version: object, path: Path) -> None:
    if isinstance(version, int) and version > VERSION:
        raise Newer(
            f"{path} was written by a newer molt_magic (version {version}, this one knows {VERSION}).",
            fix="Update with: pip install -U molt-magic; or set MOLT_HOME to another folder.",
        )
    if version != VERSION:
        raise StoreError(f"{path} was written by an older molt_magic (version {version}, this one knows {VERSION}).")


def _refuse_newer(path: Path) -> None:
    """Raises Newer. Whatever else is there may be replaced."""
    version = None
    # numpy and zipfile raise a dozen kinds on what is cut off or none of theirs
    with suppress(Exception), path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        version = json.loads(str(file["about"]))["version"]
    if isinstance(version, int) and version > VERSION:
        _check_version(version, path)


def _state(about: Mapping[str, Any], file: Mapping[str, Any]) -> State:
    features = None
    if about["share"] is not None:
        prior = None if about["prior"] is None else shipped()
        marks = Landmarks(file["looks_mean"], file["looks_deviation"], about["share"], file["points"], file["whitening"])
        features = Features(Lexical(file["terms"], file["rarity"]), marks, file["vector_mean"], file["topics"], prior)
    ridges = {
        name: Ridge(file[f"{name}.centre"], scale, file[f"{name}.weights"], file[f"{name}.offset"], file[f"{name}.penalties"])
        for name, scale in about["ridges"].items()
    }
    families = None
    if about["sharpness"] is not None:
        parts = {name.removeprefix(_FAMILY): ridge for name, ridge in ridges.items() if name.startswith(_FAMILY)}
        families = Families(parts, about["sharpness"])
    index = Index(file["near.vectors"], file["near.places"], file["near.centres"], file["near.ends"])
    return State(
        models=tuple(about["models"]),
        tasks=tuple(about["tasks"]),
        latent=Latent(file["means"], file["axes"]),
        curves=file["curves"],
        counts=file["counts"],
        background=about["background"],
        known=file["known"],
        near=Neighbours(index, file["near.targets"], file["near.counts"]),
        features=features,
        families=families,
        ridges={name: ridge for name, ridge in ridges.items() if not name.startswith(_FAMILY)},
        with_task=file["with_task"],
        without_task=file["without_task"],
    )
