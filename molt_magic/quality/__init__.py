"""Predicted quality: P(an answer of this model to this prompt is good), what it rests on, and how it learns."""

from molt_magic.quality.lengths import Answered
from molt_magic.quality.live import QualityModel
from molt_magic.quality.outcomes import Vector
from molt_magic.quality.prediction import Prediction
from molt_magic.quality.predictor import Assessment, Predictor
from molt_magic.quality.promise import Kept, Promise, Span

__all__ = ["Answered", "Assessment", "Kept", "Prediction", "Predictor", "Promise", "QualityModel", "Span", "Vector"]
