"""What a server allows: sizes, numbers and times."""

from __future__ import annotations

from dataclasses import dataclass

from specloom import ConfigError


@dataclass(frozen=True)
class Limits:
    """Limits on requests, each checked before memory is taken.

    Args:
        body_bytes: Bytes of the pixels of a cube in a body.
        pixels: Rows times columns of a cube.
        bands: Bands of a cube.
        header_bytes: Bytes of the address and the headers of a request.
        requests: Requests for predictions that are received, wait or are computed.
        body_seconds: Seconds within which a body must arrive.
        objects: Objects that an answer lists.

    Raises:
        ConfigError: A limit is not above 0.
    """

    body_bytes: int = 500_000_000
    pixels: int = 100_000_000
    bands: int = 10_000
    header_bytes: int = 16_384
    requests: int = 8
    body_seconds: float = 60.0
    objects: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                what = f"the limit {name!r} is {value}"
                raise ConfigError(what, fix="set a number above 0")
