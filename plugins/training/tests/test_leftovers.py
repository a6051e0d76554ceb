"""What a killed run leaves in its folder is removed before the run goes on."""

from types import SimpleNamespace

from specloom import process_tag
from specloom_training.gradient import cache, record


def test_only_unfinished_files_and_caches_are_removed(tmp_path):
    (tmp_path / "record").mkdir()
    (tmp_path / f"{cache.PREFIX}0").mkdir()
    left = [f".phase-0.safetensors.{process_tag()}", ".phase-1.safetensors.4711"]
    other = ["phase-0.safetensors", ".phase-0.safetensors", ".notes.txt"]
    for name in [*left, *other]:
        (tmp_path / "record" / name).write_text("")
    record.remove_leftovers(SimpleNamespace(folder=str(tmp_path)))
    assert sorted(path.name for path in (tmp_path / "record").iterdir()) == sorted(other)
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
