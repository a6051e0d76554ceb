"""A saved pipeline applied to cubes: ``predict`` for one, ``predict_all`` for many."""

from specloom_cubes.predict.many import predict_all
from specloom_cubes.predict.scene import Prediction, predict

__all__ = ["Prediction", "predict", "predict_all"]
