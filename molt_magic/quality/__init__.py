"""Predicted quality: P(an answer of this model to this prompt is good), what it rests on, and how it learns."""

from molt_magic.quality.live import Prediction, QualityModel
from molt_magic.quality.outcomes import Vector
from molt_magic.quality.predictor import Assessment, Predictor

__all__ = ["Assessment", "Prediction", "Predictor", "QualityModel", "Vector"]
