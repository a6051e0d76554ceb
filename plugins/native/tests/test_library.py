"""Where the library comes from, and when the pure engine runs."""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from specloom import ConfigError
from specloom_native import engine, loading, native_library, toolchain

COMPILER = next(toolchain.compilers(), None)
compiled = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def new_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("SPECLOOM_NATIVE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "PREBUILT", tmp_path / "no library")
    loading._engine.cache_clear()
    yield tmp_path / "cache/specloom/native-1"
    loading._engine.cache_clear()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a library of this machine."""
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("built")
    toolchain.build(COMPILER, toolchain.here(), folder)
    return folder


def test_zero_turns_it_off(monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", "0")
    assert engine().name == "pure"
    assert engine().reason == "SPECLOOM_NATIVE=0"
    assert engine().identity == "pure"
    assert native_library() is None


def test_another_value_is_an_error(monkeypatch):
    monkeypatch.setenv("SPECLOOM_NATIVE", "no")
    with pytest.raises(ConfigError) as caught:
        engine()
    assert caught.value.what == "SPECLOOM_NATIVE is 'no'"
    assert caught.value.fix == "set SPECLOOM_NATIVE to 0, 1 or avx2, or unset it"


@compiled
def test_it_is_compiled_into_the_cache_where_a_compiler_is(new_cache):
    found = engine()
    if found.library is None:
        pytest.skip(found.reason)
    assert found.reason == f"compiled by {COMPILER.name}"
    folder = new_cache / found.key
    description = json.loads((folder / "build.json").read_text())
    assert description["source"] == toolchain.source_hash()
    assert found.identity == f"{found.name} {found.key}"
    before = (folder / "build.json").stat().st_mtime_ns
    loading._engine.cache_clear()
    assert engine().key == found.key
    assert (folder / "build.json").stat().st_mtime_ns == before
    assert [path.name for path in new_cache.iterdir()] == [found.key]


@compiled
def test_without_a_home_folder_the_pure_engine_runs(new_cache, monkeypatch):
    """As in a container for a user that it does not know."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert engine().name == "pure"
    assert engine().reason == "there is no home folder; set SPECLOOM_NATIVE_CACHE"
    monkeypatch.setenv("SPECLOOM_NATIVE_CACHE", str(new_cache))
    loading._engine.cache_clear()
    assert engine().reason == f"compiled by {COMPILER.name}"


def test_without_a_compiler_the_pure_engine_runs(new_cache, monkeypatch):
    monkeypatch.setattr(toolchain, "compilers", lambda: iter(()))
    assert engine().name == "pure"
    assert engine().reason == (
        "no library for this machine is installed, and there is no C compiler"
    )


def test_a_compiler_that_fails_is_tried_once(new_cache, tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    broken = tmp_path / "cc"
    broken.write_text(f'#!/bin/sh\necho call >> {calls}\necho "error: broken" >&2\nexit 1\n')
    broken.chmod(0o755)
    compiler = toolchain.Compiler((str(broken),), "broken 1.0")
    monkeypatch.setattr(toolchain, "compilers", lambda: iter([compiler]))
    for _ in range(2):
        loading._engine.cache_clear()
        assert engine().name == "pure"
        assert engine().reason == f"{broken} fails: error: broken"
    assert calls.read_text().splitlines() == ["call"]


SHORTAGES = {
    "it was killed": "kill -9 $$",
    "a part of it was killed": "echo 'error: Killed signal terminated program cc1' >&2; exit 1",
    "the disk was full": "echo 'error: writing: No space left on device' >&2; exit 1",
}


@pytest.mark.skipif(os.name == "nt", reason="the compiler is a script")
@pytest.mark.parametrize("script", SHORTAGES.values(), ids=SHORTAGES)
def test_a_compiler_that_fails_for_a_while_is_tried_again(new_cache, tmp_path, monkeypatch, script):
    failing = tmp_path / "cc"
    failing.write_text(f"#!/bin/sh\n{script}\n")
    failing.chmod(0o755)
    compiler = toolchain.Compiler((str(failing),), "failing 1.0")
    monkeypatch.setattr(toolchain, "compilers", lambda: iter([compiler]))
    assert engine().name == "pure"
    assert engine().reason.startswith(f"{failing} fails: ")
    assert list(new_cache.iterdir()) == []


def test_another_kind_of_processor_takes_the_pure_engine(new_cache, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert engine().reason == "there are no kernels for the processor riscv64"


def test_an_old_processor_takes_the_pure_engine(new_cache, built, monkeypatch):
    monkeypatch.setattr(loading, "PREBUILT", built)

    class Old:
        def processor_level(self):
            return 0

    monkeypatch.setattr(loading.ctypes, "CDLL", lambda path: Old())
    assert engine().reason == "the processor lacks AVX2 or fused multiply-adds"


def test_a_library_of_the_package_is_taken_first(new_cache, built, monkeypatch):
    monkeypatch.setattr(loading, "PREBUILT", built)
    monkeypatch.setattr(toolchain, "compilers", lambda: iter(()))
    if engine().library is None:
        pytest.skip(engine().reason)
    assert engine().reason == "installed with the package"
    assert not new_cache.exists()


def test_a_library_of_another_source_is_not_taken(new_cache, built, tmp_path, monkeypatch):
    folder = shutil.copytree(built, tmp_path / "other")
    description = json.loads((folder / "build.json").read_text())
    (folder / "build.json").write_text(json.dumps(description | {"source": "0" * 64}))
    monkeypatch.setattr(loading, "PREBUILT", folder)
    monkeypatch.setattr(toolchain, "compilers", lambda: iter(()))
    assert engine().name == "pure"


def test_a_library_that_was_changed_is_not_loaded(new_cache, built, tmp_path, monkeypatch):
    folder = shutil.copytree(built, tmp_path / "changed")
    library = folder / toolchain.library_name(sys.platform)
    library.write_bytes(library.read_bytes() + b"\0")
    monkeypatch.setattr(loading, "PREBUILT", folder)
    assert engine().name == "pure"
    assert engine().reason == f"{library} was changed after it was built"


@compiled
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no modes of files")
def test_a_cache_that_others_may_write_to_is_not_used(new_cache):
    new_cache.mkdir(parents=True)
    new_cache.chmod(0o777)
    assert engine().name == "pure"
    assert engine().reason == f"{new_cache} can be written by other users"


@compiled
def test_no_compiler_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "COMPILE", (*toolchain.COMPILE, "-Werror"))
    assert toolchain.build(COMPILER, toolchain.here(), tmp_path).stat().st_size < 200_000


@compiled
def test_a_wheel_has_the_library_and_works_without_a_compiler(tmp_path):
    source = tmp_path / "native"
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "plugins/native", source, ignore=ignored)
    program = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith("specloom_native-")
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    assert wheel.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    program = "import specloom_native as n; print(n.__file__, n.engine().reason)"
    environment = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(tmp_path / "installed")}
    environment["SPECLOOM_NATIVE_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    file, _, reason = done.stdout.strip().partition(" ")
    assert file == str(tmp_path / "installed/specloom_native/__init__.py")
    if "lacks" not in reason:
        assert reason == "installed with the package"


def test_a_wheel_made_without_a_compiler_is_for_any_platform(tmp_path):
    source = tmp_path / "native"
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(ROOT / "plugins/native", source, ignore=ignored)
    program = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    environment = {**os.environ, "SPECLOOM_NATIVE_TARGET": "none"}
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=source, check=True, env=environment
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
