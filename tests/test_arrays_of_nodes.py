"""The first output of each shipped node is the main one, so that ``node(array)`` gives it."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]

MAIN = {
    "adaclip.AdaCLIPDetector": "scores",
    "bands.BaselineFalseRGBSelector": "rgb_image",
    "bands.CIRFalseColorSelector": "rgb_image",
    "bands.HighContrastBandSelector": "rgb_image",
    "cubes.AnomalyDataNode": "cube",
    "cubes.Background": "valid",
    "cubes.LentilsAnomalyDataNode": "cube",
    "deciders.BinaryDecider": "decisions",
    "deciders.QuantileBinaryDecider": "decisions",
    "deciders.TwoStageBinaryDecider": "decisions",
    "mrmr.SupervisedCIRBandSelector": "rgb_image",
    "mrmr.SupervisedFullSpectrumBandSelector": "rgb_image",
    "mrmr.SupervisedWindowedFalseRGBSelector": "rgb_image",
    "pca.MNF": "projected",
    "pca.TrainablePCA": "projected",
    "reflectance.BinBands": "binned",
    "reflectance.NoisyBands": "cleaned",
    "reflectance.Reflectance": "reflectance",
    "reflectance.Resample": "resampled",
    "selectors.ConcreteBandSelector": "rgb",
    "selectors.SoftChannelSelector": "selected",
    "selectors.TopKChannels": "selected",
    "targets.ACE": "scores",
    "targets.CEM": "scores",
    "targets.MatchedFilter": "scores",
    "targets.OSP": "scores",
    "targets.SpectralAngle": "scores",
    "targets.SpectralInformationDivergence": "scores",
}
"""The main output of nodes with several."""


def first_outputs():
    """The first output of each node that has several."""
    found = {}
    for file in ROOT.glob("plugins/*/specloom_*/nodes.json"):
        plugin = file.parts[-3]
        for name, entry in json.loads(file.read_text("utf-8")).items():
            is_node = entry["kind"] in ("nodes", "losses")
            if is_node and len(entry.get("outputs", ())) > 1:
                found[f"{plugin}.{name}"] = next(iter(entry["outputs"]))
    return found


def test_the_first_output_is_the_main_one():
    found = first_outputs()
    known = {name: MAIN[name] for name in found if name in MAIN}
    assert {name: found[name] for name in known} == known
    assert len(known) > 20
