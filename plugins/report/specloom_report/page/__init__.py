"""The report as one HTML file that needs nothing else."""

from specloom_report.page.writing import rendered, write

__all__ = ["rendered", "write"]
