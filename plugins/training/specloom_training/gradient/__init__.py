"""Gradient training: a phase around PyTorch Lightning."""

from specloom_training.gradient.trainer import GradientTrainer

__all__ = ["GradientTrainer"]
