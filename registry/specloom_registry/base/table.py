"""Plain tables for a terminal."""

from collections.abc import Collection, Sequence

from specloom.contract.errors import printable


def table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Format rows as aligned columns, the first row underlined; columns in ``right`` flush right.

    Cells are as a terminal can show them without harm.

    >>> print(table([["metric", "test"], ["iou", "0.7"]], right=[1]))
    metric  test
    ------  ----
    iou      0.7
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    columns = [
        _format_column(cells, right_aligned=i in right)
        for i, cells in enumerate(zip(*rows, strict=True))
    ]
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    return "\n".join(lines)


def _format_column(cells: Sequence[str], *, right_aligned: bool) -> list[str]:
    """Pad the cells of a column to one width, with a line under the first."""
    width = max(len(cell) for cell in cells)
    header, *body = cells
    ruled = [header, "-" * width, *body]
    if right_aligned:
        return [cell.rjust(width) for cell in ruled]
    return [cell.ljust(width) for cell in ruled]
