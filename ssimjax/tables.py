"""Tables for the terminal and for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a Markdown table, aligned so that it also reads well in a terminal.

    Args:
      rows: values by column, already formatted as they should be printed. The first
        row decides which columns there are.

    Returns:
      The table, without a newline at its end.

    Raises:
      ValueError: if there are no rows.

    Example:
      >>> print(markdown_table([{"network": "ssim", "test": 78.0}]))
      | network | test |
      | ------- | ---- |
      | ssim    | 78.0 |
    """
    if not rows:
        raise ValueError("rows must hold at least one row, got none")
    columns = list(rows[0])
    cells = [columns] + [[str(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |"
        for line in cells
    )


def summary_cells(summary: Mapping[str, Any]) -> dict[str, str]:
    """The cells that stand for one run in a table.

    Args:
      summary: of a classification run.

    Returns:
      Accuracies in per cent, and images per second.
    """
    rate = summary["images_per_second"]
    return {
        "train": f"{100 * summary['train']['top1']:.1f}",
        "test": f"{100 * summary['test']['top1']:.1f}",
        "images/s": "-" if rate is None else f"{rate:.0f}",
    }


def accuracy_cells(
    rows: Sequence[Mapping[str, Any]], *, top5: bool = False
) -> dict[str, str]:
    """A cell for each epsilon.

    Args:
      rows: `epsilon`, `top1` and `top5` as fractions.
      top5: whether a cell is "top-1 / top-5" instead of top-1.

    Returns:
      Accuracies in per cent, by epsilon in steps of 1/255.
    """
    return {
        f"ε={255 * row['epsilon']:.4g}/255": f"{100 * row['top1']:.1f}"
        + (f" / {100 * row['top5']:.1f}" if top5 else "")
        for row in rows
    }


def accuracy_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy under attack in per cent: a line per split, a column per epsilon.

    Args:
      rows: `network`, `split`, `epsilon`, and `top1` and `top5` as fractions.

    Returns:
      A Markdown table with cells "top-1 / top-5".
    """
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        lines.setdefault((row["network"], row["split"]), []).append(row)
    return markdown_table(
        [
            {"network": network, "split": split} | accuracy_cells(chosen, top5=True)
            for (network, split), chosen in lines.items()
        ]
    )
