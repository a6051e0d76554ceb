"""What tests of whole runs share: commands in processes of their own, and folders of runs."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
from array import array
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "plugins/README.md"


def guide(block):
    """The commands of one block of the author's guide."""
    found = re.findall(r"```console\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return found[block].splitlines()


def call(command, *arguments, cwd, code=0, **environment):
    """Run ``specloom``, ``pip`` or another command of this environment; what it said."""
    module = () if command == "python" else ("-m", command)
    done = subprocess.run(
        [sys.executable, "-B", *module, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def safetensors(**arrays):
    header, data = {}, b""
    for name, (kind, code, values) in arrays.items():
        raw = array(code, values).tobytes()
        header[name] = {
            "dtype": kind,
            "shape": [len(values)],
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def made(place, *, mean=(1.0, 2.0), iou=0.5, **more):
    """The folder of a run, as far as it is looked at."""
    place.mkdir(parents=True)
    data = safetensors(**{"rx.mean": ("F32", "f", mean), "rx.n": ("I64", "q", [3])})
    (place / "pipeline.safetensors").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    (place / "pipeline.yaml").write_text(f"state:\n  file: x\n  sha256: {digest}\n")
    (place / "metrics.json").write_text(json.dumps({"test": {"m/iou": iou, "m/nan": float("nan")}}))
    record = {
        "run": {"nodes": {"rx": {"type": "rx.RXGlobal", "config": {"eps": 0}}}},
        "seed": 0,
        "device": "cpu",
        "specloom": "0.1.0",
        "ended": "2026",
        "file": "run.yaml",
        "packages": {"numpy": "2.0"},
        "python": "3.11.7",
        **more,
    }
    (place / "run.json").write_text(json.dumps(record))
    return place
