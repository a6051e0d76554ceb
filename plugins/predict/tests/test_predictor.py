"""``Predictor``, ``Pipeline.fit``, ``Pipeline.predict``, ``Run.predict``: arrays in, arrays out."""

import threading

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import specloom
from specloom import ConfigError, DataError, GraphError, NodeError, Pipeline, PortError
from specloom_cubes import AnomalyDataNode, InMemory, array_cube
from specloom_deciders import BinaryDecider
from specloom_predict import Predictor
from specloom_predict.command import predict as command
from specloom_rx import RXGlobal, ScoreToLogit

BANDS = 6


def scene():
    """A cube of float32 with one square that is brighter in two bands."""
    values = np.random.default_rng(4).normal(10, 1, (30, 40, BANDS)).astype(np.float32)
    values[12:15, 20:22, 2:4] += 15
    return values


def built(*, data_node=True):
    pipeline = Pipeline("mine")
    rx = pipeline.add("rx", RXGlobal())
    logits = pipeline.add("logits", ScoreToLogit())
    decider = pipeline.add("decider", BinaryDecider(threshold=0.99))
    if data_node:
        data = pipeline.add("data", AnomalyDataNode([0]))
        pipeline.chain("data.cube", rx, logits, decider)
        pipeline.connect(data.valid, rx.valid, logits.valid, decider.valid)
    else:
        pipeline.chain("batch.cube", rx, logits, decider)
    pipeline.outputs = {"scores": rx.scores, "decisions": decider.decisions}
    return pipeline


@pytest.fixture(scope="module")
def fitted():
    return built().fit(scene())


@pytest.fixture(scope="module")
def folder(fitted, tmp_path_factory):
    found = tmp_path_factory.mktemp("run")
    fitted.save_to_file(found / "pipeline.yaml")
    return found


def test_arrays_in_arrays_of_the_same_kind_out(fitted):
    cube = scene()
    found = fitted.predict(cube)
    assert (found.scores.shape, found.scores.dtype) == ((30, 40), np.float32)
    assert found.decisions[12:15, 20:22].all()
    assert repr(found) == (
        "Prediction(scores (30, 40) float32, decisions (30, 40) bool; 0 of 1200 pixels unjudged)"
    )
    tensors = fitted.predict(torch.from_numpy(cube))
    assert isinstance(tensors.scores, torch.Tensor)
    np.testing.assert_array_equal(tensors.scores.numpy(), found.scores)
    assert {"scores", "decisions", "objects"} <= set(dir(found))
    assert found["scores"] is found.scores


def test_an_xarray_keeps_its_coordinates(fitted):
    xarray = pytest.importorskip("xarray")
    cube = scene()
    micrometres = np.linspace(0.4, 0.9, BANDS)
    coords = {
        "band": np.arange(BANDS),
        "wavelength": ("band", micrometres, {"units": "um"}),
        "y": np.arange(30)[::-1] * 2.0,
        "x": np.arange(40) * 2.0,
    }
    array = xarray.DataArray(np.moveaxis(cube, 2, 0), dims=("band", "y", "x"), coords=coords)
    found = fitted.predict(array)
    assert found.scores.dims == ("y", "x")
    np.testing.assert_array_equal(found.scores.y, coords["y"])
    np.testing.assert_array_equal(found.scores.values, fitted.predict(cube).scores)
    assert found.objects.bands[:2] == ["400 nm", "500 nm"]
    with pytest.raises(PortError, match=r"of the dimensions of cube \(a, y, x\) none is named"):
        fitted.predict(array.rename({"band": "a"}))


def test_a_lazy_array_is_refused_above_a_limit(fitted):
    xarray = pytest.importorskip("xarray")

    class Lazy(xarray.DataArray):
        __slots__ = ()

        @property
        def chunks(self):
            return ((1,),)

        @property
        def nbytes(self):
            return 2 << 30

    lazy = Lazy(scene(), dims=("y", "x", "band"))
    message = (
        "cube is a lazy array of 2.1 GB, which would be loaded as a whole\n"
        "  fix: pass parts of at most 1.1 GB, or save it and run: specloom predict RUN_FOLDER FILE"
    )
    with pytest.raises(DataError) as caught:
        fitted.predict(lazy)
    assert str(caught.value) == message


def test_each_image_of_several_is_predicted_alone(fitted):
    cube = scene()
    found = fitted.predict(np.stack([cube, cube[::-1]]))
    alone = fitted.predict(cube)
    assert found.scores.shape == (2, 30, 40)
    np.testing.assert_array_equal(found.scores[0], alone.scores)
    np.testing.assert_array_equal(found.images[1].decisions, alone.decisions[::-1])
    assert found.pixels == 2400
    with pytest.raises(DataError) as caught:
        found.objects  # noqa: B018  # it is what raises
    assert str(caught.value) == (
        "there are 2 images, each with its objects\n"
        "  fix: use the one of each image, such as .images[0].objects"
    )


def test_all_ways_give_the_same_bits(fitted, folder, tmp_path):
    cube = scene()
    np.save(tmp_path / "scene.npy", cube)
    options = [folder, tmp_path / "scene.npy", "--out", tmp_path / "out", "--device", "cpu"]
    done = CliRunner().invoke(command, [str(one) for one in options])
    assert done.exit_code == 0, done.output
    expected = {name: np.load(tmp_path / f"out/scene/{name}.npy") for name in fitted.outputs}
    predictor = Predictor(folder, device="cpu")
    made = [
        fitted.predict(cube),
        fitted.predict(cube, tile_bytes=3000),
        predictor.predict(cube),
        predictor.predict(tmp_path / "scene.npy"),
        predictor.predict(array_cube(cube), tile_bytes=5000),
        Pipeline.load(folder).predict(cube),
        Pipeline.load(folder / "pipeline.safetensors").predict(str(tmp_path / "scene.npy")),
    ]
    for one in made:
        for name, values in expected.items():
            np.testing.assert_array_equal(one[name], values)


def test_objects_verdict_and_domain(fitted, folder):
    found = Predictor(folder, reject_when=["largest >= 5 px"]).predict(scene())
    first = found.objects.rows()[0]
    assert (first["pixels"], first["row"]) == (6, 13.0)
    assert found.verdict.word == "reject"
    assert found.verdict.reason == "largest >= 5 px (largest: 6)"
    assert found.domain.reasons == ()
    assert found.measures.objects == len(found.objects)
    dark = fitted.predict(scene() / 100)
    assert dark.domain.reasons
    assert dark.verdict.word != "accept"


def test_pixels_that_are_not_valid_are_unjudged(fitted):
    valid = np.ones((30, 40), bool)
    valid[:, :10] = False
    found = fitted.predict(scene(), valid=valid)
    assert np.isnan(found.scores[:, :10]).all()
    assert found.unjudged == 300
    assert fitted.predict(scene(), valid=valid.astype(int)).unjudged == 300


def test_without_a_data_node_numbers_become_float32(tmp_path):
    pipeline = built(data_node=False).fit(scene())
    counts = (scene() * 100).astype(">u2")[:, ::-1]
    np.save(tmp_path / "counts.npy", counts)
    found = pipeline.predict(counts)
    assert found.scores.dtype == np.float32
    np.testing.assert_array_equal(pipeline.predict(tmp_path / "counts.npy").scores, found.scores)


def test_without_outputs_the_maps_that_no_node_reads_count():
    pipeline = built(data_node=False)
    pipeline.outputs = {}
    found = pipeline.fit(scene()).predict(scene())
    assert found.keys() == ["scores", "decisions", "unjudged"]


def test_a_pipeline_without_a_cube():
    pipeline = Pipeline("thresholds")
    pipeline.chain("batch.scores", pipeline.add("decider", BinaryDecider(threshold=0.5)))
    with pytest.raises(GraphError) as caught:
        pipeline.predict(np.ones((3, 4, 2)))
    assert str(caught.value) == (
        "no node of the pipeline reads 'cube' from the data\n"
        "  fix: connect it: pipeline.connect('batch.cube', node.data)"
    )


WRONG = {
    "bands": (
        lambda cube: {"cube": cube[..., :3]},
        DataError,
        "the array has 3 bands, the pipeline was made for 6\n"
        "  fix: use cubes of the camera, and with the bands, that it was fitted on",
    ),
    "axes": (
        lambda cube: {"cube": cube[0, 0]},
        PortError,
        "cube has the shape (6,), where (H, W, C) or (B, H, W, C) is needed\n"
        "  fix: reshape it: Cubes as the source gives them.",
    ),
    "no array": (
        lambda cube: {"cube": cube.tolist()},
        PortError,
        "cube is of type list, which is no array\n"
        "  fix: pass a NumPy array, a torch tensor or an xarray.DataArray",
    ),
    "masked array": (
        lambda cube: {"cube": np.ma.masked_less(cube, 0)},
        PortError,
        "cube is a masked array\n"
        "  fix: pass data.filled(numpy.nan), or the plain data with valid=~data.mask.any(-1)",
    ),
    "text": (
        lambda cube: {"cube": cube.astype(str)},
        PortError,
        "cube is of type <U32\n  fix: convert it to numbers: array.astype('float32')",
    ),
    "complex": (
        lambda cube: {"cube": cube.astype(complex)},
        PortError,
        "cube is of type complex128, where real is needed\n  fix: convert it to real first",
    ),
    "no image": (
        lambda cube: {"cube": cube[None][:0]},
        PortError,
        "cube has the shape (0, 30, 40, 6), which holds no number\n"
        "  fix: pass at least one image with one pixel and one band",
    ),
    "option": (
        lambda cube: {"cube": cube, "valed": np.ones((30, 40), bool)},
        ConfigError,
        "predict has no option 'valed'\n  fix: did you mean 'valid'?",
    ),
    "size of tiles": (
        lambda cube: {"cube": cube, "tile_bytes": -5},
        ConfigError,
        "tile_bytes is -5\n  fix: set a number of bytes, or leave it out",
    ),
    "variable": (
        lambda cube: {"cube": cube, "variable": "scene"},
        ConfigError,
        "'variable' is only for files: an array is the cube itself\n"
        "  fix: leave it out, or pass the file of the cube",
    ),
    "size of valid": (
        lambda cube: {"cube": cube, "valid": np.ones((3, 40), bool)},
        PortError,
        "valid has H = 3, cube has H = 30\n  fix: pass valid of the size of cube",
    ),
    "labels as valid": (
        lambda cube: {"cube": cube, "valid": np.full((30, 40), 2)},
        PortError,
        "valid holds other numbers than 0 and 1\n"
        "  fix: compare it with a class first: valid=labels == 3",
    ),
    "wavelengths": (
        lambda cube: {"cube": cube, "wavelengths": np.arange(3.0)},
        PortError,
        "wavelengths has C = 3, cube has C = 6\n  fix: pass wavelengths of the size of cube",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_arrays_that_do_not_fit(fitted, name):
    change, kind, message = WRONG[name]
    arguments = change(scene())
    with pytest.raises(kind) as caught:
        fitted.predict(arguments.pop("cube"), **arguments)
    assert str(caught.value) == message


def test_an_image_of_one_column():
    column = scene().reshape(-1, 1, BANDS)
    valid = np.ones((len(column), 1), bool)
    valid[:7] = False
    pipeline = built().fit(column, valid=valid)
    assert pipeline.nodes["rx"].pixels == len(column) - 7
    assert pipeline.predict(column, valid=valid).unjudged == 7


def test_a_cube_of_xarray_with_several_dimensions_named_as_bands(fitted):
    cube = pytest.importorskip("xarray").DataArray(scene(), dims=("y", "c", "band"))
    with pytest.raises(PortError) as caught:
        fitted.predict(cube)
    assert str(caught.value) == (
        "of the dimensions of cube (y, c, band) several are named as the bands\n"
        "  fix: rename those that are not the bands, such as: cube.rename({'c': 'column'})"
    )


def test_wavelengths_of_xarray_that_are_no_numbers(fitted):
    cube = pytest.importorskip("xarray").DataArray(scene(), dims=("y", "x", "band"))
    with pytest.raises(DataError) as caught:
        fitted.predict(cube.assign_coords(wavelength=("band", list("abcdef"))))
    assert str(caught.value) == (
        "the coordinate 'wavelength' holds no numbers: could not convert string to float: "
        "np.str_('a')\n"
        "  fix: give it the band centres in nm, or another name"
    )


def test_what_else_goes_wrong(fitted, tmp_path):
    cube = scene()
    np.save(tmp_path / "scene.npy", cube)
    with pytest.raises(ConfigError) as caught:
        fitted.predict(tmp_path / "scene.npy", valid=np.ones((30, 40), bool))
    assert str(caught.value) == (
        "'valid' is only for arrays: a file says itself which pixels count\n"
        "  fix: leave it out, pass the cube as an array, or use Predictor(valid='*_roi.png')"
    )
    with pytest.raises(ConfigError) as caught:
        fitted.predict(np.stack([cube, cube]), folder=tmp_path / "out")
    assert str(caught.value) == (
        "2 images would be written into one folder\n"
        "  fix: predict each image into a folder of its own"
    )
    with pytest.raises(NodeError, match=r"rx.* is not fitted"):
        built().predict(cube)
    with pytest.raises(AttributeError, match="there is no output 'scroes': did you mean 'scores'"):
        fitted.predict(cube).scroes  # noqa: B018  # it is what raises
    with pytest.raises(PortError) as caught:
        built().fit(cube, valed=np.ones((30, 40)))
    assert str(caught.value) == (
        "the pipeline 'mine' has no input 'valed'\n  fix: did you mean 'valid'?"
    )


def test_a_fit_is_seen_by_later_predictions():
    pipeline = built().fit(scene())
    before = pipeline.predict(scene()).scores
    other = scene() ** 2
    pipeline.fit(other)
    assert not np.array_equal(pipeline.predict(other).scores, before)
    assert pipeline.predict(other).domain.reasons == ()


def test_threads_share_a_predictor(folder):
    predictor = Predictor(folder)
    cubes = [scene() + step for step in range(4)]
    expected = [predictor.predict(cube).scores for cube in cubes]
    made = {}

    def work(number):
        made[number] = predictor.predict(cubes[number]).scores

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, scores in enumerate(expected):
        np.testing.assert_array_equal(made[number], scores)


def test_a_run_predicts_saves_and_gives_values(tmp_path):
    cube = scene()
    mask = np.zeros((1, 30, 40), np.int32)
    mask[0, 12:15, 20:22] = 1
    batches = [{"cube": cube[None], "mask": mask}]
    source = InMemory(train=batches, test=batches)
    pipeline = built()
    run = specloom.Run(pipeline.graph(source), source)
    from specloom_training import StatisticalTrainer

    StatisticalTrainer().train(run)
    found = run.predict(cube)
    ((name, scores),) = run.values("rx.scores")
    assert name == "0"
    np.testing.assert_array_equal(scores, run.scores)
    np.testing.assert_allclose(scores, found.scores, rtol=1e-6)
    run.log_metrics("test", {"rx/auc": 0.5})
    with pytest.warns(specloom.SpecloomWarning, match="cannot be reproduced from its folder"):
        run.save(tmp_path / "run")
    loaded = specloom.load(tmp_path / "run")
    assert loaded.metrics == {"test": {"rx/auc": 0.5}}
    np.testing.assert_array_equal(loaded.predict(cube).scores, found.scores)
    again = specloom.load(loaded.save(tmp_path / "again"))
    assert again.metrics == loaded.metrics
    with pytest.raises(GraphError, match="has no output 'scoress'"):
        list(run.values("rx.scoress"))
    with pytest.raises(ConfigError) as caught:
        loaded.run()
    assert str(caught.value) == (
        f"the run in {tmp_path}/run was loaded with its results, not with its data\n"
        "  fix: load its run file"
    )
    with pytest.raises(ConfigError, match="not with its data"):
        loaded.scores  # noqa: B018  # it is what raises
