"""The commands ``report``, ``graph``, ``profile`` and ``doctor``."""
