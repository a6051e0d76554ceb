"""The server: bytes as of ``specloom predict``, refusals, and what follows them."""

import asyncio
import gzip
import io
import json
import sys
import threading
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from specloom_predict.command import predict as command
from specloom_serve import AnswerError, Client, Engine, Limits, build_app
from specloom_serve.errors import RefusedError
from specloom_serve.npy_body import receive_cube

sys.path.append(str(Path(__file__).parent))
toys = import_module("serve_toys")
BANDS = toys.BANDS
scene = toys.scene
folder = toys.folder
predictor = toys.predictor
NPY = {"Content-Type": "application/x-npy"}
HOSTS = ("127.0.0.1",)
SAVE = "send what numpy.save writes of an array (rows, columns, bands)"
BELOW = "name a file below the root of the server, relative to it"


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a cube, and links that lead out of it."""
    found = tmp_path_factory.mktemp("cubes")
    outside = tmp_path_factory.mktemp("outside")
    (found / "day").mkdir()
    np.save(found / "day" / "scene.npy", scene())
    np.save(outside / "secret.npy", scene())
    (found / "link.npy").symlink_to(outside / "secret.npy")
    (found / "linked").symlink_to(outside)
    (found / "pair.hdr").write_text(
        "ENVI\nsamples = 2\nlines = 2\nbands = 6\ndata type = 4\ninterleave = bip\n"
    )
    (found / "pair.img").symlink_to(outside / "secret.npy")
    (found / "text.npy").write_text("no cube")
    return found


@pytest.fixture(scope="module")
def http(predictor, root):
    limits = Limits(body_bytes=100_000, pixels=5000, requests=4, body_seconds=0.5)
    app = build_app(predictor, root=root, hosts=HOSTS, limits=limits)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def served(http):
    """The client; after the test, the next request is served."""
    yield http
    answer = http.post("/predict", content=npy(scene()), headers=NPY)
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "reject"


def refused(answer, status, what, fix=None):
    """Assert how a request was refused."""
    error = answer.json()["error"]
    assert (answer.status_code, error["what"]) == (status, what)
    if fix is not None:
        assert error["fix"] == fix


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_bytes_equal_those_of_the_command(http, folder, tmp_path, dtype, order):
    cube = np.asarray(scene().astype(dtype), order=order)
    np.save(tmp_path / "cube.npy", cube)
    arguments = [folder, tmp_path / "cube.npy", "--out", tmp_path / "out", "--device", "cpu"]
    assert CliRunner().invoke(command, [*map(str, arguments), "--quiet"]).exit_code == 0
    written = {file.name: file.read_bytes() for file in (tmp_path / "out" / "cube").glob("*.npy")}
    assert {"scores.npy", "decisions.npy"} <= written.keys()
    for name in ("scores", "decisions"):
        answer = http.post(f"/predict?format=npy&output={name}", content=npy(cube), headers=NPY)
        assert answer.headers["content-type"] == "application/x-npy"
        assert answer.content == written[f"{name}.npy"]
    answer = http.post("/predict?format=zip", content=npy(cube), headers=NPY)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert json.loads(found.pop("result.json"))["verdict"] == "reject"
    assert found == written


def test_a_path_gives_the_bytes_of_a_body(http):
    by_body = http.post("/predict?format=npy", content=npy(scene()), headers=NPY)
    by_path = http.post("/predict?format=npy", json={"path": "day/scene.npy"})
    assert by_body.content == by_path.content
    picture = http.post("/predict?format=png&output=decisions", json={"path": "day/scene.npy"})
    assert picture.content.startswith(b"\x89PNG")


def test_json_has_verdict_measures_objects_and_domain(http):
    found = http.post("/predict", json={"path": "day/scene.npy"}).json()
    assert found["verdict"] == "reject"
    assert found["measures"]["objects"] == len(found["objects"]) == 1
    assert found["reason"] == "objects > 0 (objects: 1)"
    assert found["objects"][0]["pixels"] == 6
    assert found["outputs"]["scores"] == {"shape": [30, 40], "dtype": "float32"}
    assert (found["unjudged"], found["pixels"]) == (0, 1200)
    assert found["domain"] is not None


def test_pixels_of_nan_are_unjudged(served):
    cube = scene()
    cube[0, :3] = np.nan
    found = served.post("/predict", content=npy(cube), headers=NPY).json()
    assert found["unjudged"] == 3
    everywhere = served.post(
        "/predict", content=npy(np.full((20, 20, BANDS), np.nan, np.float32)), headers=NPY
    ).json()
    assert (everywhere["verdict"], everywhere["unjudged"]) == ("unjudged", 400)


def header(shape, descr="<f4"):
    """The start of an NPY file with any shape and type."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


LONG = b"\x93NUMPY\x02\x00\xff\xff\xff\xff"
BODIES = {
    "empty": (b"", 400, "the body ends after 0 of 8 bytes of the start of an NPY file"),
    "text": (b"0123456789", 400, "the body is no NPY file"),
    "version": (b"\x93NUMPY\x09\x00" + b"0" * 90, 400, "the body is no NPY file"),
    "header cut": (npy(scene())[:20], 400, "the body ends after 10 of 118 bytes of the NPY header"),
    "header long": (LONG, 400, "the NPY header has 4294967295 bytes, where 4096 may be"),
    "header damaged": (b"\x93NUMPY\x01\x00\x04\x00{{{{", 400, "the NPY header is damaged"),
    "pixels cut": (
        npy(scene())[:-5],
        400,
        "the body has 28923 bytes, its NPY header says 28928",
    ),
    "pixels more": (
        npy(scene()) + b"12",
        400,
        "the body has 28930 bytes, its NPY header says 28928",
    ),
    "axes": (
        npy(scene()[0]),
        400,
        "the array has the shape (40, 6), where (H, W, C) with pixels is needed",
    ),
    "no pixel": (
        npy(scene()[:0]),
        400,
        "the array has the shape (0, 40, 6), where (H, W, C) with pixels is needed",
    ),
    "objects": (header((2, 2, 6), "|O"), 415, "the array is of type object, which is not read"),
    "complex": (
        npy(np.zeros((2, 2, 6), complex)),
        415,
        "the array is of type complex128, which is not read",
    ),
    "big-endian": (
        npy(np.zeros((2, 2, 6), ">f4")),
        415,
        "the array is of type big-endian float32, which is not read",
    ),
    "huge": (
        header((10**9, 10**9, 6)),
        413,
        "the cube has 1000000000000000000 pixels, where 5000 may be",
    ),
    "many bands": (
        header((1, 1, 10**12)),
        413,
        "the cube has 1000000000000 bands, where 10000 may be",
    ),
    "many bytes": (
        header((50, 100, 6), "<f8"),
        413,
        "the cube has 240000 bytes, where 100000 may be",
    ),
    "bands": (npy(scene(bands=5)), 422, "the cube has 5 bands, the pipeline was made for 6"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_malformed_body_is_refused(served, name):
    body, status, what = BODIES[name]
    refused(served.post("/predict", content=body, headers=NPY), status, what)


def test_random_bodies_are_refused_or_served(served):
    rng = np.random.default_rng(7)
    good = np.frombuffer(npy(scene()), np.uint8)
    for _ in range(150):
        body = good.copy()
        places = rng.integers(0, 128, 3)
        body[places] = rng.integers(0, 256, 3)
        answer = served.post("/predict", content=body.tobytes(), headers=NPY)
        assert answer.status_code in (200, 400, 413, 415, 422), answer.text


def chunks(*parts):
    yield from parts


def test_a_body_without_length_is_read_to_its_end(served):
    body = npy(scene())
    answer = served.post(
        "/predict?format=npy", content=chunks(body[:7], body[7:300], body[300:]), headers=NPY
    )
    assert answer.status_code == 200
    answer = served.post("/predict", content=chunks(body, b"more"), headers=NPY)
    refused(answer, 400, "the body is longer than its NPY header says", SAVE)
    answer = served.post("/predict", content=chunks(body[:-4]), headers=NPY)
    refused(answer, 400, "the body ends after 28796 of 28800 bytes of pixels", SAVE)


def envi():
    """The files of an ENVI pair with the scene, interleaved by line."""
    header = (
        "ENVI\nsamples = 40\nlines = 30\nbands = 6\n"
        "data type = 4\ninterleave = bil\nbyte order = 0\n"
    )
    return {"header": header.encode(), "data": scene().transpose(0, 2, 1).tobytes()}


def test_an_envi_pair_in_a_form_gives_the_bytes_of_an_array(http, folder, tmp_path):
    expected = http.post("/predict?format=npy", content=npy(scene()), headers=NPY).content
    assert http.post("/predict?format=npy", files=envi()).content == expected
    for name, content in envi().items():
        (tmp_path / f"cube.{'hdr' if name == 'header' else 'img'}").write_bytes(content)
    arguments = [folder, tmp_path / "cube.hdr", "--out", tmp_path / "out", "--device", "cpu"]
    assert CliRunner().invoke(command, [*map(str, arguments), "--quiet"]).exit_code == 0
    assert (tmp_path / "out" / "cube" / "scores.npy").read_bytes() == expected


def test_a_mask_in_a_form_says_which_pixels_count(http, predictor):
    valid = np.ones((30, 40), bool)
    valid[:5] = False
    files = {"cube": npy(scene()), "valid": npy(valid)}
    expected = predictor.predict(scene(), valid=valid)
    answer = http.post("/predict?format=npy&wavelengths=1,2,3,4,5,6", files=files)
    assert np.load(io.BytesIO(answer.content)).tobytes() == expected.scores.tobytes()
    bytes_of_two = np.full((30, 40), 2, np.uint8)
    bytes_of_two[:5] = 0
    files["valid"] = npy(valid)[:128] + bytes_of_two.tobytes()
    assert http.post("/predict?format=npy", files=files).content == answer.content


ONE = "send the files 'header' and 'data' of ENVI, or 'cube' and 'valid' as NPY"
FORMS = {
    "nothing of a cube": ({"valid": npy(np.ones((2, 2), bool))}, "has not the parts of one cube"),
    "half of a pair": ({"header": b"ENVI"}, "has not the parts of one cube"),
    "two cubes": ({**envi(), "cube": npy(scene())}, "has not the parts of one cube"),
    "another name": ({"file": b"x"}, "has a part of another name"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_without_a_cube_is_refused(served, name):
    files, what = FORMS[name]
    refused(served.post("/predict", files=files), 400, f"the form {what}", ONE)


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\n'
DAMAGED = {
    "no boundary": (
        {"Content-Type": "multipart/form-data"},
        b"",
        400,
        "the form has no boundary between its parts",
    ),
    "long boundary": (
        {"Content-Type": f"multipart/form-data; boundary={'b' * 71}"},
        b"",
        400,
        "the form has no boundary between its parts",
    ),
    "empty": (FORM, b"", 400, "the form has not the parts of one cube"),
    "no form": (FORM, b"0123", 400, "the form is damaged"),
    "no name": (FORM, b"--b\r\nX: y\r\n\r\n1\r\n--b--\r\n", 400, "a part of the form has no name"),
    "cut": (FORM, PART + b"123", 400, "the form ends within a part"),
    "twice": (
        FORM,
        PART + b"1\r\n" + PART + b"2\r\n--b--\r\n",
        400,
        "the form has two parts 'data'",
    ),
    "many headers": (FORM, b"--b\r\n" + b"X: y\r\n" * 1000, 400, "the form is damaged"),
    "long header": (FORM, b"--b\r\nX: " + b"y" * 9000, 400, "the form is damaged"),
    "large": (
        FORM,
        PART + bytes(100_001) + b"\r\n--b--\r\n",
        413,
        "the cube has more than 100000 bytes",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_form_is_refused(served, name):
    headers, body, status, what = DAMAGED[name]
    refused(served.post("/predict", content=body, headers=headers), status, what)
    refused(served.post("/predict", content=chunks(body), headers=headers), status, what)


def test_a_damaged_pair_is_named_without_the_folder_of_the_server(served):
    answer = served.post("/predict", files={**envi(), "data": b"short"})
    assert answer.status_code == 422
    assert answer.json()["error"]["where"] == "cube.hdr"
    assert "specloom-serve-" not in answer.text
    answer = served.post("/predict?wavelengths=1,2", files=envi())
    refused(answer, 400, "wavelengths are only for arrays in a body")
    mask = npy(np.ones((30, 40), np.float32))
    answer = served.post("/predict", files={"cube": npy(scene()), "valid": mask})
    refused(answer, 415, "the mask 'valid' is of type float32, not bool")
    answer = served.post(
        "/predict", files={"cube": npy(scene()), "valid": npy(np.ones((3, 4), bool))}
    )
    assert answer.status_code == 422
    assert answer.json()["error"]["what"].startswith("valid has the shape (3, 4)")


def test_the_page_of_the_addresses_loads_nothing(http):
    answer = http.get("/docs")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for address in ("/predict", "/health", "/ready", "/metrics", "/pipeline"):
        assert f"</span> {address}</h2>" in answer.text
    assert "multipart/form-data" in answer.text
    assert "http:" not in answer.text
    assert "<script" not in answer.text
    assert "//" not in answer.text.replace("</", "")


REQUESTS = {
    "type": (
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        415,
        "the body is none of NPY, JSON and a form by its content type",
        "send 'Content-Type: application/x-npy', or application/json with a path",
    ),
    "no JSON": (
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        400,
        "the body is no JSON",
        None,
    ),
    "deep JSON": (
        {"content": b"[" * 8000, "headers": {"Content-Type": "application/json"}},
        400,
        "the body is no JSON",
        None,
    ),
    "long JSON": (
        {"json": {"path": "x" * 9000}},
        413,
        "the JSON body has more than 8192 bytes",
        None,
    ),
    "no path": ({"json": {"path": 3}}, 400, "the body names no path", None),
    "other keys": (
        {"json": {"path": "a", "run": "b"}},
        400,
        "the body has other keys than path and variable",
        None,
    ),
    "variable": ({"json": {"path": "a", "variable": 3}}, 400, "the variable is no text", None),
    "length": (
        {"content": b"", "headers": {**NPY, "Content-Length": "-1"}},
        400,
        "the content length is no number",
        "send the number of bytes",
    ),
    "address": (
        {"json": {"path": "s3://bucket/cube.npy"}},
        400,
        "the path is an address or a pattern",
        BELOW,
    ),
    "pattern": ({"json": {"path": "*.npy"}}, 400, "the path is an address or a pattern", BELOW),
    "wavelengths": (
        {"json": {"path": "day/scene.npy"}, "params": {"wavelengths": "1,2,3,4,5,6"}},
        400,
        "wavelengths are only for arrays in a body",
        "leave them out: the file has its own",
    ),
    "zero": ({"json": {"path": "a\0b"}}, 400, "the path is an address or a pattern", BELOW),
    "absent": (
        {"json": {"path": "none.npy"}},
        404,
        "there is no such file below the root of the server",
        BELOW,
    ),
    "folder": (
        {"json": {"path": "day"}},
        404,
        "there is no such file below the root of the server",
        BELOW,
    ),
    "headers": (
        {"content": b"", "headers": {**NPY, "X-Long": "x" * 17_000}},
        431,
        None,
        "send fewer or shorter headers",
    ),
    "host": (
        {"content": b"", "headers": {**NPY, "Host": "evil.example"}},
        421,
        "the server is not called by that name",
        "use one of: 127.0.0.1",
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_request_is_refused(served, name):
    options, status, what, fix = REQUESTS[name]
    answer = served.post("/predict", **options)
    if what is None:
        what = answer.json()["error"]["what"]
        assert what.endswith("bytes, where 16384 may be")
    refused(answer, status, what, fix)


@pytest.mark.parametrize(
    "path", ["../outside/secret.npy", "/etc/passwd", "link.npy", "linked/secret.npy", "day/../.."]
)
def test_a_path_out_of_the_root_is_refused(served, path):
    answer = served.post("/predict", json={"path": path})
    refused(answer, 403, "the path leads out of the root of the server", BELOW)


@pytest.mark.parametrize("path", ["pair.hdr", "pair.img"])
def test_a_pair_whose_data_lie_outside_is_refused(served, path):
    answer = served.post("/predict", json={"path": path})
    assert answer.status_code == 403
    assert answer.json()["error"]["what"] in (
        "a file of the cube lies outside the root of the server",
        "the path leads out of the root of the server",
    )


def test_a_damaged_file_is_named_without_the_root(served, root):
    answer = served.post("/predict", json={"path": "text.npy"})
    assert answer.status_code == 422
    assert "text.npy" in answer.text
    assert str(root) not in answer.text


QUERIES = {
    "format=tiff": "there is no format 'tiff'",
    "formats=npy": "there is no parameter 'formats'",
    "output=score": "the pipeline has no output 'score'",
    "wavelengths=1,x": "of the parameter 'wavelengths' a part is no number",
    "wavelengths=nan": "of the parameter 'wavelengths' a part is no number",
    "deadline=0": "the deadline is no number above 0",
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_wrong_parameter_is_refused(served, query):
    answer = served.post(f"/predict?{query}", content=npy(scene()), headers=NPY)
    refused(answer, 400, QUERIES[query])


def test_wavelengths_of_another_number_are_refused(served):
    answer = served.post("/predict?wavelengths=1,2", content=npy(scene()), headers=NPY)
    refused(answer, 422, "the cube has 6 bands, and 2 wavelengths")


def test_without_a_root_there_are_no_paths(predictor):
    with TestClient(build_app(predictor)) as client:
        answer = client.post("/predict", json={"path": "scene.npy"})
    fix = "send the cube as a body, or start the server with --root DIR"
    refused(answer, 403, "this server takes no paths", fix)


def test_a_token_is_needed_but_by_probes(predictor):
    with TestClient(build_app(predictor, token="a-long-token-of-ours")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a"}):
            for address in ("/pipeline", "/metrics", "/openapi.json"):
                answer = client.get(address, headers=headers)
                fix = "send the header 'Authorization: Bearer TOKEN'"
                refused(answer, 401, "the token is missing or wrong", fix)
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/ready").status_code == 200
        caller = Client("http://testserver", token="a-long-token-of-ours", http=client)
        assert caller.predict(scene()).verdict == "reject"


class Blocked:
    """A predictor of which ``work`` can be held."""

    def __init__(self, engine):
        self.started = threading.Event()
        self.release = threading.Event()
        self.future = engine.submit(self.wait, 30)
        assert self.started.wait(10)

    def wait(self, predictor):
        self.started.set()
        assert self.release.wait(10)


def test_full_queue_deadline_and_too_many_requests(predictor):
    engine = Engine(predictor, waiting=1, deadline=30)
    app = build_app(predictor, engine=engine, limits=Limits(requests=2))
    with TestClient(app) as client:
        held = Blocked(engine)
        answer = client.post("/predict?deadline=0.05", content=npy(scene()), headers=NPY)
        late = "there was no result within 0.05 s"
        refused(answer, 504, late, "try again later, or with a longer deadline")
        waiting = engine.submit(lambda predictor: "done")
        answer = client.post("/predict", content=npy(scene()), headers=NPY)
        refused(answer, 503, "1 requests wait, and no more may")
        assert answer.headers["retry-after"] == "1"
        held.release.set()
        assert waiting.result(10) == "done"
        assert client.post("/predict", content=npy(scene()), headers=NPY).status_code == 200


def test_a_request_beyond_the_limit_is_refused(predictor):
    engine = Engine(predictor)
    app = build_app(predictor, engine=engine, limits=Limits(requests=1))
    with TestClient(app) as client:
        held = Blocked(engine)
        answers = []
        first = threading.Thread(
            target=lambda: answers.append(
                client.post("/predict", content=npy(scene()), headers=NPY)
            )
        )
        first.start()
        while not engine.queued:
            pass
        answer = client.post("/predict", content=npy(scene()), headers=NPY)
        refused(answer, 503, "1 requests are in progress, and no more may", "try again later")
        assert "specloom_active 1" in client.get("/metrics").text
        held.release.set()
        first.join(10)
        assert answers[0].status_code == 200


def test_a_request_whose_client_went_away_is_not_computed(predictor, monkeypatch):
    rendered = []
    monkeypatch.setattr("specloom_serve.app.render", lambda *arguments: rendered.append(1))
    body = npy(scene())
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"application/x-npy")],
    }
    messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    with Engine(predictor) as engine:
        held = Blocked(engine)
        asyncio.run(build_app(predictor, engine=engine)(scope, receive, send))
        assert sent[0]["status"] == 499
        held.release.set()
        assert engine.predict(scene())["scores"].shape == (30, 40)
    assert messages == []
    assert rendered == []


def test_a_late_body_is_refused():
    async def slow():
        yield npy(scene())[:200]
        await asyncio.sleep(5)

    with pytest.raises(RefusedError) as caught:
        asyncio.run(receive_cube(slow(), None, Limits(body_seconds=0.05)))
    assert caught.value.status == 408
    assert caught.value.what == "the body did not arrive within 0.05 s"
    assert caught.value.fix == "send a smaller cube, or over a faster line"


def test_what_is_unexpected_says_nothing_of_the_server(predictor, monkeypatch, caplog):
    def broken(*arguments, **options):
        raise RuntimeError("a secret")

    with TestClient(build_app(predictor)) as client:
        monkeypatch.setattr("specloom_serve.app.render", broken)
        answer = client.post("/predict", content=npy(scene()), headers=NPY)
        refused(answer, 500, "the request failed", "report it with the log of the server")
        assert "a secret" in caplog.text
        monkeypatch.setattr("specloom_serve.app.render", _no_memory)
        answer = client.post("/predict", content=npy(scene()), headers=NPY)
        refused(answer, 503, "the machine lacks something")
        monkeypatch.undo()
        assert client.post("/predict", content=npy(scene()), headers=NPY).status_code == 200


def _no_memory(*arguments, **options):
    raise MemoryError("1 TiB")


def test_pipeline_metrics_and_description(http):
    found = http.get("/pipeline").json()
    assert (found["name"], found["bands"]) == ("mine", BANDS)
    assert found["outputs"]["scores"]["from"] == "rx.scores"
    assert found["plugins"]["rx"]["version"]
    assert found["rules"] == ["objects > 0"]
    http.post("/predict", content=npy(scene()), headers=NPY)
    http.get("/nothing/here")
    lines = http.get("/metrics").text.splitlines()
    counted = 'specloom_requests_total{path="/predict",status="200"} '
    assert any(line.startswith(counted) for line in lines)
    assert any('path="other",status="404"' in line for line in lines)
    assert "specloom_ready 1" in lines
    described = http.get("/openapi.json").json()
    assert {"/predict", "/health", "/ready", "/metrics", "/pipeline"} <= described["paths"].keys()
    assert "application/x-npy" in described["paths"]["/predict"]["post"]["requestBody"]["content"]


def test_other_addresses_and_methods_are_refused(served):
    refused(served.get("/redict"), 404, "there is no address '/redict'", "did you mean '/predict'?")
    answer = served.get("/predict")
    refused(answer, 405, "GET is not answered at '/predict'", "use one of: POST")
    assert served.head("/health").status_code == 200
    assert served.head("/ready").content == b""
    answer = served.head("/pipeline")
    assert answer.status_code == 405


def test_a_compressed_body_is_refused(served):
    headers = {**NPY, "Content-Encoding": "gzip"}
    answer = served.post("/predict", content=gzip.compress(npy(scene())), headers=headers)
    what = "the body is compressed by its content encoding"
    refused(answer, 415, what, "send it without 'Content-Encoding'")
    headers = {**NPY, "Content-Encoding": "identity"}
    assert served.post("/predict", content=npy(scene()), headers=headers).status_code == 200


def test_the_log_has_no_data(http, caplog):
    with caplog.at_level("INFO", "specloom.serve"):
        http.post("/predict?wavelengths=123,x", content=b"secret", headers=NPY)
        http.get("/%1b[31mred")
    text = caplog.text
    assert "POST /predict 400" in text
    assert "123" not in text
    assert "secret" not in text
    assert "\x1b" not in text


def test_the_client(http, root):
    client = Client("http://127.0.0.1", http=http)
    assert client.is_ready()
    assert client.pipeline()["name"] == "mine"
    found = client.predict(scene(), wavelengths=np.linspace(400, 900, BANDS))
    assert found["scores"].shape == (30, 40)
    assert found["decisions"][12:15, 20:22].all()
    by_path = client.predict("day/scene.npy")
    assert by_path["scores"].tobytes() == found["scores"].tobytes()
    assert client.describe(scene())["measures"]["objects"] == 1
    assert client.picture(scene(), "scores").startswith(b"\x89PNG")
    big_endian = client.predict(scene().astype(">f4"))
    assert big_endian["scores"].tobytes() == found["scores"].tobytes()
    with pytest.raises(AnswerError) as caught:
        client.predict(scene(bands=5))
    assert caught.value.status == 422
    assert caught.value.what == (
        "the server answers 422: the cube has 5 bands, the pipeline was made for 6"
    )
