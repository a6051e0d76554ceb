"""Compiles the kernels into a wheel, where there is a C compiler; else the wheel has none."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
TARGET = "SPECLOOM_NATIVE_TARGET"
"""The environment variable with the target of ziglang and the tag of the wheel; see make wheels."""


class NativeHook(BuildHookInterface[Any]):
    """Adds the library to the wheel, whose tag then names the platform."""

    _folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the wheel is an editable one, which compiles when it is first used."""
        if self.target_name != "wheel" or version == "editable":
            return
        toolchain = _toolchain()
        chosen = os.environ.get(TARGET, "")
        if chosen == "none":
            return
        folder = Path(tempfile.mkdtemp())
        self._folder = folder
        tag = _build_for(toolchain, chosen, folder) if chosen else _build_here(toolchain, folder)
        if not tag:
            self.app.display_warning("specloom-native: no C compiler, so the wheel has no library")
            return
        for file in (*folder.glob("kernels.*"), folder / toolchain.DESCRIPTION):
            build_data["force_include"][str(file)] = f"specloom_native/library/{file.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled: the wheel has it."""
        if self._folder is not None:
            shutil.rmtree(self._folder)


def _toolchain() -> Any:
    file = ROOT / "specloom_native" / "toolchain.py"
    spec = spec_from_file_location("specloom_native_toolchain", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _build_here(toolchain: Any, folder: Path) -> str:
    """Compile for this machine; the tag of its platform, or nothing where that fails."""
    try:
        target = toolchain.here()
    except toolchain.BuildError:
        return ""
    for compiler in toolchain.compilers():
        try:
            toolchain.build(compiler, target, folder)
        except toolchain.BuildError:
            continue
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
    return ""


def _build_for(toolchain: Any, chosen: str, folder: Path) -> str:
    """Compile for another machine with ziglang; the tag of its platform."""
    triple, machine, system, tag = chosen.split(",")
    target = toolchain.Target(machine, system, ("-target", triple))
    compiler = next(one for one in toolchain.compilers() if "ziglang" in one.command)
    toolchain.build(compiler, target, folder)
    return tag
