from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Array(_message.Message):
    __slots__ = ("shape", "dtype", "data", "without_data")
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_DATA_FIELD_NUMBER: _ClassVar[int]
    shape: _containers.RepeatedScalarFieldContainer[int]
    dtype: str
    data: bytes
    without_data: bool
    def __init__(self, shape: _Optional[_Iterable[int]] = ..., dtype: _Optional[str] = ..., data: _Optional[bytes] = ..., without_data: _Optional[bool] = ...) -> None: ...

class File(_message.Message):
    __slots__ = ("path", "variable")
    PATH_FIELD_NUMBER: _ClassVar[int]
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    path: str
    variable: str
    def __init__(self, path: _Optional[str] = ..., variable: _Optional[str] = ...) -> None: ...

class EnviPair(_message.Message):
    __slots__ = ("header", "data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    header: bytes
    data: bytes
    def __init__(self, header: _Optional[bytes] = ..., data: _Optional[bytes] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("array", "file", "envi", "wavelengths", "valid", "outputs", "without_outputs", "picture")
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    ENVI_FIELD_NUMBER: _ClassVar[int]
    WAVELENGTHS_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    array: Array
    file: File
    envi: EnviPair
    wavelengths: _containers.RepeatedScalarFieldContainer[float]
    valid: Array
    outputs: _containers.RepeatedScalarFieldContainer[str]
    without_outputs: bool
    picture: str
    def __init__(self, array: _Optional[_Union[Array, _Mapping]] = ..., file: _Optional[_Union[File, _Mapping]] = ..., envi: _Optional[_Union[EnviPair, _Mapping]] = ..., wavelengths: _Optional[_Iterable[float]] = ..., valid: _Optional[_Union[Array, _Mapping]] = ..., outputs: _Optional[_Iterable[str]] = ..., without_outputs: _Optional[bool] = ..., picture: _Optional[str] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("outputs", "verdict", "reason", "measures", "objects", "has_objects", "domain", "unjudged", "pixels", "notes", "seconds", "pipeline", "png")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Array
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Array, _Mapping]] = ...) -> None: ...
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    HAS_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PIPELINE_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    outputs: _containers.MessageMap[str, Array]
    verdict: str
    reason: str
    measures: Measures
    objects: _containers.RepeatedCompositeFieldContainer[Object]
    has_objects: bool
    domain: Domain
    unjudged: int
    pixels: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    pipeline: str
    png: bytes
    def __init__(self, outputs: _Optional[_Mapping[str, Array]] = ..., verdict: _Optional[str] = ..., reason: _Optional[str] = ..., measures: _Optional[_Union[Measures, _Mapping]] = ..., objects: _Optional[_Iterable[_Union[Object, _Mapping]]] = ..., has_objects: _Optional[bool] = ..., domain: _Optional[_Union[Domain, _Mapping]] = ..., unjudged: _Optional[int] = ..., pixels: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ..., pipeline: _Optional[str] = ..., png: _Optional[bytes] = ...) -> None: ...

class Measures(_message.Message):
    __slots__ = ("objects", "largest", "decided", "unjudged", "level", "shape", "seconds", "doubts")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    DOUBTS_FIELD_NUMBER: _ClassVar[int]
    objects: int
    largest: int
    decided: float
    unjudged: float
    level: float
    shape: float
    seconds: float
    doubts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, objects: _Optional[int] = ..., largest: _Optional[int] = ..., decided: _Optional[float] = ..., unjudged: _Optional[float] = ..., level: _Optional[float] = ..., shape: _Optional[float] = ..., seconds: _Optional[float] = ..., doubts: _Optional[_Iterable[str]] = ...) -> None: ...

class Object(_message.Message):
    __slots__ = ("label", "pixels", "area", "unit", "row", "column", "x", "y", "top", "left", "bottom", "right", "mean_score", "max_score", "surround_score", "contrast")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    AREA_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    MEAN_SCORE_FIELD_NUMBER: _ClassVar[int]
    MAX_SCORE_FIELD_NUMBER: _ClassVar[int]
    SURROUND_SCORE_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    label: int
    pixels: int
    area: float
    unit: str
    row: float
    column: float
    x: float
    y: float
    top: int
    left: int
    bottom: int
    right: int
    mean_score: float
    max_score: float
    surround_score: float
    contrast: float
    def __init__(self, label: _Optional[int] = ..., pixels: _Optional[int] = ..., area: _Optional[float] = ..., unit: _Optional[str] = ..., row: _Optional[float] = ..., column: _Optional[float] = ..., x: _Optional[float] = ..., y: _Optional[float] = ..., top: _Optional[int] = ..., left: _Optional[int] = ..., bottom: _Optional[int] = ..., right: _Optional[int] = ..., mean_score: _Optional[float] = ..., max_score: _Optional[float] = ..., surround_score: _Optional[float] = ..., contrast: _Optional[float] = ...) -> None: ...

class Domain(_message.Message):
    __slots__ = ("level", "shape", "dead_bands", "saturated", "dark", "unjudged", "scores", "reasons")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DEAD_BANDS_FIELD_NUMBER: _ClassVar[int]
    SATURATED_FIELD_NUMBER: _ClassVar[int]
    DARK_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    level: float
    shape: float
    dead_bands: _containers.RepeatedScalarFieldContainer[int]
    saturated: float
    dark: float
    unjudged: float
    scores: float
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[float] = ..., shape: _Optional[float] = ..., dead_bands: _Optional[_Iterable[int]] = ..., saturated: _Optional[float] = ..., dark: _Optional[float] = ..., unjudged: _Optional[float] = ..., scores: _Optional[float] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("name", "bands", "nodes", "outputs", "rules", "notes", "json")
    class OutputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    BANDS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    bands: int
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    outputs: _containers.ScalarMap[str, str]
    rules: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    json: str
    def __init__(self, name: _Optional[str] = ..., bands: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ..., outputs: _Optional[_Mapping[str, str]] = ..., rules: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., json: _Optional[str] = ...) -> None: ...

class Node(_message.Message):
    __slots__ = ("name", "type", "inputs", "outputs", "parameters")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    inputs: _containers.RepeatedCompositeFieldContainer[Port]
    outputs: _containers.RepeatedCompositeFieldContainer[Port]
    parameters: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Port, _Mapping]]] = ..., parameters: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Port(_message.Message):
    __slots__ = ("name", "axes", "dtype", "unit", "is_optional", "doc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AXES_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    IS_OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    name: str
    axes: str
    dtype: str
    unit: str
    is_optional: bool
    doc: str
    def __init__(self, name: _Optional[str] = ..., axes: _Optional[str] = ..., dtype: _Optional[str] = ..., unit: _Optional[str] = ..., is_optional: _Optional[bool] = ..., doc: _Optional[str] = ...) -> None: ...
