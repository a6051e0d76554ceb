"""What the description of the server (OpenAPI) says of predictions."""

from __future__ import annotations

from typing import Any

from specloom_serve.results import MEDIA_TYPES

TEXT = "text/plain; version=0.0.4"
"""The media type of the text format of Prometheus."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "properties": {
        "header": {"type": "string", "format": "binary", "description": "Of an ENVI pair."},
        "data": {"type": "string", "format": "binary", "description": "Of an ENVI pair."},
        "cube": {"type": "string", "format": "binary", "description": "As NPY (H, W, C)."},
        "valid": {
            "type": "string",
            "format": "binary",
            "description": "Which pixels of the cube count, as NPY, bool (H, W).",
        },
    },
}
_PATH = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "variable": {"type": "string"}},
    "required": ["path"],
    "additionalProperties": False,
}
_ANSWERS = {
    400: "The body, the path or a parameter is malformed.",
    401: "The token is missing or wrong.",
    403: "Paths are not allowed, or this one leads out of the root.",
    404: "There is no such file.",
    408: "The body did not arrive in time.",
    413: "The cube is too large.",
    415: "The body is of another type.",
    421: "The server is not called by that name.",
    422: "The cube does not fit the pipeline.",
    431: "The headers are too large.",
    503: "As many requests wait as may, or the server stops.",
    504: "There was no result before the deadline.",
}


def _parameter(name: str, about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": schema}


def _contents() -> dict[str, Any]:
    contents: dict[str, Any] = dict.fromkeys(MEDIA_TYPES.values(), _BINARY)
    contents["application/json"] = {"schema": {"type": "object"}}
    return contents


PREDICT: dict[str, Any] = {
    "summary": "Predict one cube.",
    "responses": {
        200: {"description": "The result in the wanted format.", "content": _contents()},
        **{status: {"description": text} for status, text in _ANSWERS.items()},
    },
    "openapi_extra": {
        "parameters": [
            _parameter(
                "format",
                "json: verdict, measures, objects; npy and png: one output; zip: all of it.",
                {"type": "string", "enum": list(MEDIA_TYPES), "default": "json"},
            ),
            _parameter("output", "The output that npy and png show.", {"type": "string"}),
            _parameter(
                "wavelengths",
                "Band centres in nm of a cube in a body, separated by commas.",
                {"type": "string"},
            ),
            _parameter(
                "deadline",
                "Seconds within which there is an answer, at most those of the server.",
                {"type": "number", "exclusiveMinimum": 0},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-npy": {**_BINARY, "example": "what numpy.save writes"},
                "application/json": {"schema": _PATH, "example": '{"path": "day/scene.hdr"}'},
                "multipart/form-data": {
                    "schema": _FORM,
                    "example": "header and data of ENVI, or cube and valid as NPY",
                },
            },
        },
    },
}
"""The options of the route ``/predict``."""
