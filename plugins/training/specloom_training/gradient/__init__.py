"""Gradient training: a phase around a plain loop and, where it is needed, PyTorch Lightning."""

from specloom_training.gradient.trainer import GradientTrainer

__all__ = ["GradientTrainer"]
