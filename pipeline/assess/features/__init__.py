"""All declared features, in the order of their families. `FEATURES` is the table."""

from pipeline.assess.features import material, suspect, urgency
from pipeline.assess.features.registry import FEATURES, Feature

__all__ = ["FEATURES", "Feature", "material", "suspect", "urgency"]
