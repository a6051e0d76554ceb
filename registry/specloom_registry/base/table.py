"""Plain tables for a terminal."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows as aligned columns, the first row underlined; columns in ``right`` flush right.

    >>> print(table([["metric", "test"], ["iou", "0.7"]], right=[1]))
    metric  test
    ------  ----
    iou      0.7
    """
    columns = []
    for i, cells in enumerate(zip(*rows, strict=True)):
        width = max(map(len, cells))
        ruled = (cells[0], "-" * width, *cells[1:])
        columns.append([cell.rjust(width) if i in right else cell.ljust(width) for cell in ruled])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))
