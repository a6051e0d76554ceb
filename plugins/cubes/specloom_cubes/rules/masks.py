"""Which file or array is the mask of a cube, and what is not.

A mask that the user names is the mask. Otherwise it is

- a file named after the cube with ``gt``, ``mask`` or ``label`` after it; or
- a file of the cube's name with few grey levels or colours: one of many is a preview; or
- the only array of the cube's size in its own file that holds class numbers: integers or bool, of
  few distinct values. An array of floating-point numbers is one only where its own name says so
  (MATLAB saves every number as double). Names of validity (``valid``, ``good pixels``), quality
  (``qa``, ``flags``) and geometry (``elevation``, ``zenith``) are no masks.

An array whose name says which pixels are valid excludes the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from specloom import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from specloom_cubes.formats.variable import Variable

MOST_CLASSES = 64
"""An array of more distinct values is no mask unless it is named."""

LISTED = 3
"""How many files and arrays a message lists."""

WHITE = 255
"""What a mask of 8 bits often has for its one class."""

LARGEST_CLASS = 64
"""Greater numbers between 0 and 255 are grey levels of a smooth edge, rather than classes."""

Role: TypeAlias = Literal["class", "map", "valid", "invalid", "other", ""]
"""What the name of an array says that it holds; empty where it says nothing.

A ``map`` is often a map of classes, but not always.
"""

CLASSES = """
mask masks gt label labels class classes truth groundtruth annotation annotations
target targets anomaly anomalies segmentation
"""
QUALITY = """
quality qa qc flag flags cloud clouds cirrus haze uncertainty confidence probability score scores
"""
GEOMETRY = """
elevation elev altitude height dem dsm dtm slope aspect zenith azimuth angle distance dist range
depth latitude lat longitude lon easting northing glt igm row rows column columns
"""
QUANTITIES = "aerosol aot aod temperature time"

WORDS: Mapping[Role, frozenset[str]] = {
    "class": frozenset(CLASSES.split()),
    "map": frozenset(("map", "maps")),
    "other": frozenset(f"{QUALITY} {GEOMETRY} {QUANTITIES}".split()),
}
ROLES: Sequence[Role] = ("other", "class", "map")
"""The roles that single words name, the strongest first."""

GOOD = re.compile(r"(is)?valid|good|usable")
BAD = re.compile(r"(is)?invalid|nodata|bad|dead|defective|missing")
PIXELS = frozenset(("pixel", "pixels", "px", "data", "mask"))

PICTURES = (".png", ".bmp")
"""Endings of pictures that can hold class numbers."""

NOT_READ = (".gif", ".tga", ".pgm", ".ppm", ".pbm", ".jp2", ".psd", ".svg", ".exr", ".heic")
"""Endings of other pictures: one that is named like a mask is an error."""

LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp")
"""Endings of pictures whose compression changes the numbers."""

REFERENCE = re.compile(
    r"(?:^|[ ._-])(?:white|dark){1,2}[ ._-]?ref(?:erence)?s?(?=$|[ ._\d-])", re.IGNORECASE
)
HIDDEN = re.compile(r"\.[^.]|~\$")
NOISE = frozenset(("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"))
"""Files and folders that systems put beside the user's own."""


class Rejected(NamedTuple):
    """A file or an array that may look like the mask of a cube and is not taken as it.

    Args:
        name: The name of the file, or of the array.
        problem: Why it is not taken.
    """

    name: str
    problem: str

    def __str__(self) -> str:
        return f"{self.name} ({self.problem})"


@dataclass(frozen=True)
class MaskFinding:
    """Where the mask of a cube is, or why nothing is.

    Args:
        path: The file; None where the cube has no mask.
        variable: The array in it, where the file holds several.
        source: Where it was found, in words.
        rejected: Files and arrays that are not taken as the mask.
    """

    path: Path | None
    variable: str | None
    source: str
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class OwnArrays:
    """The arrays of a cube's own file that may be its mask.

    Args:
        masks: The arrays.
        rejected: Arrays of the cube's size that are not taken as the mask.
    """

    masks: tuple[Variable, ...] = ()
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True)
class ValidityArrays:
    """The arrays of a cube's own file that say which pixels are valid, by their names.

    Args:
        valid: Names of arrays that are not 0 where the pixel is valid.
        invalid: Names of arrays that are not 0 where it is not.
    """

    valid: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return self.valid + self.invalid


def is_noise(path: PurePath) -> bool:
    """Whether a path within the user's folder is hidden, or made by a system or an editor."""
    for part in path.parts:
        if HIDDEN.match(part) or part.lower() in NOISE:
            return True
    return path.stem.endswith("-checkpoint")


def is_reference(name: str) -> bool:
    """Whether a file's name says that it is a white or dark reference of a capture."""
    return REFERENCE.search(name) is not None


def refused(path: Path) -> DataError:
    """That a mask is a picture that cannot be one, by the ending of its name."""
    kind = path.suffix.removeprefix(".")
    if path.suffix.lower() in LOSSY:
        return lossy(path, kind)
    return DataError(
        f"the mask {path} is a {kind.upper()} picture, which is not read", fix="save it as PNG"
    )


def lossy(path: Path, kind: str) -> DataError:
    """That a mask is a picture whose compression changes the numbers."""
    return DataError(
        f"the mask {path} is a {kind.upper()} picture: its compression changes the class numbers",
        fix="save the mask as PNG from what it was made of; a converted copy has the changes",
    )


def check_size(path: Path, shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    """Accept a mask that has the rows and columns of its cube.

    Args:
        path: The mask.
        shape: Its rows and columns.
        size: Those of the cube, and maybe its bands, for messages.

    Raises:
        DataError: They differ; it says whether the mask would fit another way.
    """
    rows, columns = size[:2]
    if shape == (rows, columns):
        return
    what = f"the mask {path} is {_by(shape)}, the cube is {_by(size[:2])}"
    if shape == size[1:]:
        what = f"the mask {path} is {_by(shape)}, the cube {_by(size)}: bands come first"
        raise DataError(what, fix="save the cube as rows x columns x bands")
    if shape == (columns, rows):
        raise DataError(f"{what}: transposed, it would fit", fix="transpose the mask")
    raise DataError(what, fix="give the mask of this cube")


def role_of(name: str) -> Role:
    """What the name of an array says that it holds.

    What it says of validity comes first (``valid_mask``), then what is no class
    (``cloud_mask``, ``elevation_map``).
    """
    words = _words(name)
    joined = "".join(words)
    if _says(BAD, words, joined):
        return "invalid"
    if _says(GOOD, words, joined):
        return "valid"
    for role in ROLES:
        if not WORDS[role].isdisjoint(words):
            return role
    return ""


def own_arrays(
    arrays: Sequence[Variable], size: tuple[int, int], load: Callable[[str], NDArray[Any]]
) -> OwnArrays:
    """Which arrays of a cube's own file may be its mask.

    Args:
        arrays: What the file holds.
        size: Rows and columns of the cube.
        load: Reads an array; used only where the names and types do not say it.
    """
    validity = validity_arrays(arrays, size)
    masks = []
    rejected = []
    for one in arrays:
        if one.name in validity.names:
            continue
        if _is_transposed(one, size):
            rejected.append(Rejected(one.name, f"it is {_by(one.shape)}: transposed, it would fit"))
        if not _fits(one, size):
            continue
        problem = _problem_of(one, load)
        if problem:
            rejected.append(Rejected(one.name, problem))
        else:
            masks.append(one)
    return OwnArrays(tuple(masks), tuple(rejected))


def note_on_rejected(path: Path | str, rejected: Sequence[Rejected]) -> str:
    """That a cube has no mask though its file holds, or beside it lies, what may look like one.

    Args:
        path: The cube.
        rejected: What is not taken as the mask, one or more.
    """
    listed = ", ".join(map(str, rejected[:LISTED]))
    if len(rejected) > LISTED:
        listed = f"{listed} and {len(rejected) - LISTED} more"
    return str(
        DataError(
            f"{path} has no mask; not taken as one: {listed}",
            fix="name the mask with mask or mask_variable, or write find_mask: false if none is",
        )
    )


def validity_arrays(arrays: Iterable[Variable], size: tuple[int, int]) -> ValidityArrays:
    """Which arrays of a cube's own file say which pixels are valid: whole numbers or bool.

    Args:
        arrays: What the file holds.
        size: Rows and columns of the cube.
    """
    by_role: dict[Role, list[str]] = {"valid": [], "invalid": []}
    for one in arrays:
        role = role_of(one.name)
        if role in by_role and _fits(one, size) and _is_integer(one):
            by_role[role].append(one.name)
    return ValidityArrays(tuple(by_role["valid"]), tuple(by_role["invalid"]))


def notes_on_labels(labels: NDArray[np.int32], path: Path | str) -> tuple[str, ...]:
    """What a user should know of a mask: grey levels between 0 and 255 are no classes.

    A mask that was resized or saved with loss has them at the edges of what is white in it.
    """
    numbers, counts = np.unique(labels, return_counts=True)
    if WHITE not in numbers or 0 not in numbers or numbers[-1] != WHITE:
        return ()
    between = (numbers > 0) & (numbers < WHITE)
    if not between.any() or numbers[between].max() <= LARGEST_CLASS:
        return ()
    white = int(counts[numbers == WHITE][0])
    grey = int(counts[between].sum())
    what = (
        f"{path} has {white:,} px of 255 and {grey:,} px of {int(between.sum())} grey levels "
        "between 0 and 255: it looks like a mask that was resized or saved with loss"
    )
    fix = "save it again with the nearest neighbour, without loss: each grey level is a class"
    return (str(DataError(what, fix=fix)),)


def _fits(one: Variable, size: tuple[int, int]) -> bool:
    return one.is_plane and one.shape == size


def _is_transposed(one: Variable, size: tuple[int, int]) -> bool:
    """Whether an array that is named like a mask has the columns and rows of the cube."""
    is_turned = one.is_plane and one.shape == (size[1], size[0]) and size[0] != size[1]
    return is_turned and role_of(one.name) == "class"


def _problem_of(one: Variable, load: Callable[[str], NDArray[Any]]) -> str:
    """Why an array of the cube's size is not its mask unless it is named; empty where it is."""
    role = role_of(one.name)
    if role in ("valid", "invalid"):
        return "its name says which pixels are valid, which whole numbers or bool must say"
    if role == "other":
        return "its name says that it holds something else"
    if _is_integer(one):
        return "" if role == "class" else _problem_of_numbers(load(one.name), role)
    if role == "":
        assert one.dtype is not None, "a plane is a numeric array"
        return f"it holds {one.dtype.name}"
    values = load(one.name)
    values = values[~np.isnan(values)]
    if (values != np.rint(values)).any():
        return "it holds numbers that are not whole"
    return _problem_of_numbers(values, role)


def _problem_of_numbers(values: NDArray[Any], role: Role) -> str:
    """Why whole numbers are no classes; empty where they may be."""
    numbers = np.unique(values)
    if len(numbers) > MOST_CLASSES:
        return f"it holds {len(numbers):,} distinct values"
    if role == "" and numbers.tolist() == [1]:
        return "it is 1 everywhere"
    return ""


def _is_integer(one: Variable) -> bool:
    return one.dtype is not None and one.dtype.kind in "biu"


def _says(pattern: re.Pattern[str], words: Sequence[str], joined: str) -> bool:
    """Whether words name validity: alone, or together with a word for pixels."""
    found = [word for word in words if pattern.fullmatch(word)]
    if any("valid" in word or word == "nodata" for word in found):
        return True
    if found:
        return not PIXELS.isdisjoint(words)
    rest = pattern.sub("", joined, count=1)
    is_word_pair = rest in PIXELS or rest in ("ity", "")
    return pattern.match(joined) is not None and is_word_pair


def _words(name: str) -> list[str]:
    """The words of the last part of an array's name, in lower case."""
    last = name.rstrip("/").rpartition("/")[2]
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", last)
    return [word.lower() for word in re.findall(r"[A-Za-z]+", spaced)]


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
