"""Thresholds: from masks by a metric, or from normal images by a false-alarm rate."""
