"""A fitted pipeline as a server: ``specloom serve``, the engine behind it, and a client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

MODULES = {
    "Answer": "specloom_serve.answers",
    "AnswerError": "specloom_serve.errors",
    "Client": "specloom_serve.client",
    "DeadlineError": "specloom_serve.errors",
    "Engine": "specloom_serve.engine",
    "EngineStoppedError": "specloom_serve.errors",
    "Limits": "specloom_serve.settings",
    "QueueFullError": "specloom_serve.errors",
    "Upload": "specloom_serve.answers",
    "build_app": "specloom_serve.app",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe serve --write`.
__all__ = [
    "Answer",
    "AnswerError",
    "Client",
    "DeadlineError",
    "Engine",
    "EngineStoppedError",
    "Limits",
    "QueueFullError",
    "Upload",
    "build_app",
]

if TYPE_CHECKING:
    from specloom_serve.answers import Answer, Upload
    from specloom_serve.app import build_app
    from specloom_serve.client import Client
    from specloom_serve.engine import Engine
    from specloom_serve.errors import AnswerError, DeadlineError, EngineStoppedError, QueueFullError
    from specloom_serve.settings import Limits
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_commands() -> Mapping[str, str]:
    """Offer ``specloom serve``."""
    return {"serve": "specloom_serve.command:serve"}
