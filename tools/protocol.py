"""The Python modules of the protocol buffers of ``specloom serve``: ``python tools/protocol.py``.

They are made by grpcio-tools from ``service.proto``; tests/test_protocol.py holds them up to date.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLUGIN = Path("plugins/serve")
FOLDER = Path("specloom_serve/protocol")
PROTO = FOLDER / "service.proto"


def generate(target: Path) -> list[Path]:
    """Make the modules below a folder, and return them relative to it.

    Raises:
        RuntimeError: protoc reports an error, which it prints.
    """
    from grpc_tools import protoc

    arguments = [
        "protoc",
        f"--proto_path={ROOT / PLUGIN}",
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--python_out={target}",
        f"--pyi_out={target}",
        f"--grpc_python_out={target}",
        PROTO.as_posix(),
    ]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc cannot translate {PROTO}")
    return sorted(file.relative_to(target) for file in (target / FOLDER).glob("*_pb2*"))


def main() -> int:
    """Write the modules into the package."""
    with tempfile.TemporaryDirectory() as folder:
        for file in generate(Path(folder)):
            shutil.copyfile(Path(folder) / file, ROOT / PLUGIN / file)
            print(PLUGIN / file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
