"""The report as one HTML file that needs nothing else."""

from specloom_report.page.rendering import rendered, write

__all__ = ["rendered", "write"]
