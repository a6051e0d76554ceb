"""The sides of patches, by the names of backbones."""

import open_clip
import pytest

from specloom import ConfigError
from specloom_adaclip.detector import AdaCLIPDetector
from specloom_adaclip.model.backbones import _is_usable
from specloom_adaclip.model.patches import named_patch
from specloom_adaclip.training.tiny import CONFIG


def test_names_have_the_patches_that_open_clip_has():
    usable = [name for name in open_clip.list_models() if _is_usable(name)]
    assert len(usable) > 5
    for name in usable:
        patch = open_clip.get_model_config(name)["vision_cfg"].get("patch_size", 16)
        assert named_patch(name) in (patch, None), name
    assert named_patch("tiny") == CONFIG["vision_cfg"]["patch_size"]
    assert (named_patch("ViT-L-14-336"), named_patch("ViT-B-16")) == (14, 16)


def test_an_image_size_is_checked_before_weights_are_there():
    node = AdaCLIPDetector(image_size=512, name="adaclip")
    with pytest.raises(ConfigError, match=r"image_size is 512, .* of 14\n  fix: use 504 or 518"):
        node.build({})


def test_a_backbone_of_ones_own_is_checked_when_it_is_loaded(tmp_path):
    AdaCLIPDetector(image_size=512, backbone_path=str(tmp_path / "own.pt")).build({})
    AdaCLIPDetector(image_size=512, backbone="my-own").build({})
