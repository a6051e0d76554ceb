import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from specloom import ConfigError, IntegrityError, UnavailableError
from specloom_adaclip.weights.download import download

sys.path.append(str(Path(__file__).parent))
serving = import_module("file_server").serving
DATA = save({"a": torch.arange(5000.0)})


@pytest.fixture
def server():
    with serving(DATA) as made:
        yield made


def fetched(server, tmp_path, **options):
    part = tmp_path / "parts" / "a"
    download(server.url, part, pause=0, **options)
    return part.read_bytes()


def test_a_file_arrives_and_progress_is_reported(server, tmp_path):
    shown = []
    assert fetched(server, tmp_path, progress=lambda *x: shown.append(x)) == DATA
    assert shown[-1] == (len(DATA), len(DATA))
    assert [one.name for one in (tmp_path / "parts").iterdir()] == ["a"]


def test_an_interrupted_download_is_continued_by_itself(server, tmp_path):
    server.script[:] = ["drop", "503", "drop", "good"]
    assert fetched(server, tmp_path, size=len(DATA)) == DATA
    half = len(DATA) // 2
    assert server.requests[:3] == [None, f"bytes={half}-", f"bytes={half}-"]
    assert int(server.requests[3][6:-1]) > half


def test_one_that_gave_up_is_continued_by_the_next_command(server, tmp_path):
    server.script[:] = ["drop", "503", "503", "503"]
    with pytest.raises(
        UnavailableError, match=r"stopped after \d+ bytes: 503 .*\n  fix: run the s"
    ):
        fetched(server, tmp_path)
    assert (tmp_path / "parts/a").stat().st_size == len(DATA) // 2
    assert fetched(server, tmp_path) == DATA
    assert server.requests[-1] == f"bytes={len(DATA) // 2}-"


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    server.script[:] = ["drop", "plain"]
    assert fetched(server, tmp_path) == DATA


def test_a_file_that_changed_meanwhile_is_downloaded_again(server, tmp_path):
    server.script[:] = ["drop", "503", "503", "503"]
    with pytest.raises(UnavailableError):
        fetched(server, tmp_path)
    server.data = save({"b": torch.ones(9000)})
    assert fetched(server, tmp_path) == server.data


def test_a_part_that_is_complete_is_taken(server, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/a").write_bytes(DATA)
    assert fetched(server, tmp_path) == DATA
    assert server.requests == [f"bytes={len(DATA)}-"]
    assert fetched(server, tmp_path, size=len(DATA)) == DATA
    assert len(server.requests) == 1
    (tmp_path / "parts/a").write_bytes(DATA + b"more")
    assert fetched(server, tmp_path) == DATA


def test_a_page_is_refused_and_not_stored(server, tmp_path):
    server.script[:] = ["page"]
    with pytest.raises(
        IntegrityError, match=r"it is an HTML page, .*\n  fix: download it with a b"
    ):
        fetched(server, tmp_path)
    assert not (tmp_path / "parts/a").exists()


def test_another_length_than_known_is_refused_before_it_arrives(server, tmp_path):
    with pytest.raises(IntegrityError, match=rf"would send {len(DATA)} bytes, but the file has 7"):
        fetched(server, tmp_path, size=7)


def test_what_the_server_refuses_is_reported_without_another_attempt(server, tmp_path):
    server.script[:] = ["404"]
    with pytest.raises(UnavailableError, match="answers 404 Not Found"):
        fetched(server, tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_reported(tmp_path):
    with serving(b"") as gone:
        pass
    with pytest.raises(UnavailableError, match=r"stopped after 0 bytes: .*refused"):
        fetched(gone, tmp_path)
    with pytest.raises(ConfigError, match="'file:///etc/passwd' is no http address"):
        download("file:///etc/passwd", tmp_path / "a")


def test_a_folder_that_cannot_be_written_is_reported(server, tmp_path):
    (tmp_path / "parts").write_text("a file")
    with pytest.raises(UnavailableError, match="parts/a cannot be written"):
        fetched(server, tmp_path)
