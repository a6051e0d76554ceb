"""The report as one HTML file that needs nothing else."""

from specloom_report.page.rendering import render, write_page

__all__ = ["render", "write_page"]
