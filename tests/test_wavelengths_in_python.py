"""Every call in Python that takes wavelengths takes them in a list, a tuple, an array, a tensor."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import specloom
import specloom_cubes
from specloom import DataError, PortError
from specloom_cubes import OneCube, array_cube, stated_wavelengths
from specloom_detect import build_pipeline, detect
from specloom_predict import Predictor, predict, predict_all

CENTRES = [400.0, 450.0, 500.0, 550.0, 600.0]
KINDS = {
    "list": list(CENTRES),
    "list of int": [int(one) for one in CENTRES],
    "tuple": tuple(CENTRES),
    "range": range(400, 650, 50),
    "float64": np.array(CENTRES),
    "float32": np.array(CENTRES, np.float32),
    "int": np.array(CENTRES, int),
    "tensor": torch.tensor(CENTRES),
}


def cube():
    return np.random.default_rng(3).normal(1, 0.1, (40, 50, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / "cube.npy"
    np.save(path, cube())
    return path


@pytest.fixture(scope="module")
def fitted():
    return build_pipeline().fit(cube(), wavelengths=CENTRES)


@pytest.mark.parametrize("kind", KINDS)
def test_detect_takes_them(file, kind):
    for one in (cube(), file, specloom_cubes.open(file)):
        found = detect(one, wavelengths=KINDS[kind])
        np.testing.assert_array_equal(found.wavelengths, CENTRES)


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_take_them(fitted, file, tmp_path, kind):
    stated = KINDS[kind]
    predictor = Predictor(fitted)
    expected = predictor.predict(cube(), wavelengths=np.array(CENTRES)).scores
    run = specloom.Run(fitted.graph(), OneCube())
    made = [
        predictor.predict(cube(), wavelengths=stated),
        predictor.predict(file, wavelengths=stated),
        predictor.predict(specloom_cubes.open(file), wavelengths=stated),
        predict(predictor, file, wavelengths=stated),
        fitted.predict(cube(), wavelengths=stated),
        fitted.predict(file, wavelengths=stated),
        run.predict(file, wavelengths=stated),
    ]
    for prediction in made:
        np.testing.assert_array_equal(prediction.scores, expected)
    fitted.save_to_file(tmp_path / "pipeline.yaml")
    done = predict_all(tmp_path / "pipeline.yaml", [file], tmp_path / "out", wavelengths=stated)
    assert not done.failed
    np.testing.assert_array_equal(np.load(tmp_path / "out/cube/scores.npy"), expected)


def test_other_numbers_make_results_of_their_own(file, tmp_path):
    build_pipeline().fit(cube()).save_to_file(tmp_path / "pipeline.yaml")
    out = tmp_path / "out"
    options = {"wavelengths": CENTRES}
    predict_all(tmp_path / "pipeline.yaml", [file], out, **options)
    again = predict_all(tmp_path / "pipeline.yaml", [file], out, **options)
    assert (len(again.skipped), len(again.done)) == (1, 0)
    options = {"wavelengths": [one + 1 for one in CENTRES]}
    other = predict_all(tmp_path / "pipeline.yaml", [file], out, **options)
    assert (len(other.skipped), len(other.done)) == (0, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_cubes_and_sources_take_them(file, kind):
    stated = KINDS[kind]
    assert array_cube(cube(), stated).wavelengths.tolist() == CENTRES
    source = OneCube(specloom_cubes.open(file), stated)
    (batch,) = source.batches("test")
    assert np.asarray(batch["wavelengths"]).ravel().tolist() == CENTRES


def test_of_a_cube_with_bad_bands_those_of_all_bands_or_of_the_good_ones():
    damaged = replace(array_cube(cube()), bad_bands=np.array([False, True, False, False, False]))
    good = [400.0, 500.0, 550.0, 600.0]
    assert stated_wavelengths(CENTRES, damaged).tolist() == good
    assert stated_wavelengths(good, damaged).tolist() == good


WRONG = {
    "too few": (
        CENTRES[:3],
        "wavelengths have the shape (3,), the array has 5 bands",
        "wavelengths has C = 3, cube has C = 5\n  fix: pass wavelengths of the size of cube",
    ),
    "a row": (
        [CENTRES],
        "wavelengths have the shape (1, 5), the array has 5 bands",
        "wavelengths has the shape (1, 5), where (C) is needed\n"
        "  fix: reshape it: one for each band.",
    ),
    "texts": (
        ["a"] * 5,
        "wavelengths of type list hold no numbers: could not convert string to float: 'a'",
        "wavelengths holds something else than numbers: could not convert string to float: 'a'\n"
        "  fix: pass one number for each band",
    ),
    "NaN": (
        [float("nan"), *CENTRES[1:]],
        "the array of wavelengths holds values that are not positive numbers",
        "the wavelengths hold values that are not positive numbers\n"
        "  fix: give every band's centre in nm, or no wavelengths at all",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_are_no_band_centres(name):
    stated, of_cube, of_array = WRONG[name]
    with pytest.raises(DataError) as caught:
        stated_wavelengths(stated, array_cube(cube()))
    assert str(caught.value) == f"{of_cube}\n  fix: pass one wavelength in nm for each band"
    with pytest.raises((PortError, DataError)) as caught:
        detect(cube(), wavelengths=stated)
    assert str(caught.value) == of_array
