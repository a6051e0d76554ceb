"""Where a cube's pixels lie on the map: as ENVI and as GeoTIFF say it, each from the other."""

from specloom_predict.georeference.geometry import Geometry, envi_fields, geometry_of

__all__ = ["Geometry", "envi_fields", "geometry_of"]
