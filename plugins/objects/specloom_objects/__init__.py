"""Objects in maps of scores and decisions: cleaning, fusion, tables and metrics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specloom import impl
from specloom.lazy import lazy

__version__ = "0.2.0"

MODULES = {
    "ObjectTable": "specloom_objects.table",
    "Regions": "specloom_objects.regions",
    "aupro": "specloom_objects.curves",
    "clopper_pearson": "specloom_objects.intervals",
    "measure_objects": "specloom_objects.table",
}
"""Where each public name that no hook offers is imported from, when it is first used."""

# Public names, imported on first use: written by `specloom plugins describe objects --write`.
__all__ = [
    "Closing",
    "FillHoles",
    "FuseDecisions",
    "FuseRanks",
    "FuseScores",
    "Hysteresis",
    "ImageMetrics",
    "Label",
    "MajorityVote",
    "MinimumArea",
    "ObjectMetrics",
    "ObjectTable",
    "Opening",
    "RegionMetrics",
    "Regions",
    "Smooth",
    "aupro",
    "clopper_pearson",
    "measure_objects",
]

if TYPE_CHECKING:
    from specloom_objects.closing import Closing
    from specloom_objects.curves import aupro
    from specloom_objects.fill_holes import FillHoles
    from specloom_objects.fuse_decisions import FuseDecisions
    from specloom_objects.fuse_ranks import FuseRanks
    from specloom_objects.fuse_scores import FuseScores
    from specloom_objects.hysteresis import Hysteresis
    from specloom_objects.image_metrics import ImageMetrics
    from specloom_objects.intervals import clopper_pearson
    from specloom_objects.label import Label
    from specloom_objects.majority_vote import MajorityVote
    from specloom_objects.minimum_area import MinimumArea
    from specloom_objects.object_metrics import ObjectMetrics
    from specloom_objects.opening import Opening
    from specloom_objects.region_metrics import RegionMetrics
    from specloom_objects.regions import Regions
    from specloom_objects.smooth import Smooth
    from specloom_objects.table import ObjectTable, measure_objects
else:
    __getattr__ = lazy(__name__, **MODULES)
# End of public names.


@impl
def register_nodes() -> Mapping[str, str]:
    """Offer the nodes."""
    return {
        "Closing": "specloom_objects.closing:Closing",
        "FillHoles": "specloom_objects.fill_holes:FillHoles",
        "FuseDecisions": "specloom_objects.fuse_decisions:FuseDecisions",
        "FuseRanks": "specloom_objects.fuse_ranks:FuseRanks",
        "FuseScores": "specloom_objects.fuse_scores:FuseScores",
        "Hysteresis": "specloom_objects.hysteresis:Hysteresis",
        "ImageMetrics": "specloom_objects.image_metrics:ImageMetrics",
        "Label": "specloom_objects.label:Label",
        "MajorityVote": "specloom_objects.majority_vote:MajorityVote",
        "MinimumArea": "specloom_objects.minimum_area:MinimumArea",
        "ObjectMetrics": "specloom_objects.object_metrics:ObjectMetrics",
        "Opening": "specloom_objects.opening:Opening",
        "RegionMetrics": "specloom_objects.region_metrics:RegionMetrics",
        "Smooth": "specloom_objects.smooth:Smooth",
    }
