"""Tables for the terminal and for Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax


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
    # A line of its own would end a cell.
    cells = [[cell.replace("|", "\\|") for cell in line] for line in cells]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |"
        for line in cells
    )


def parameter_table(params: Any) -> str:
    """Names, shapes and numbers of trained parameters.

    Args:
      params: a tree of arrays, or of their shapes.

    Returns:
      A Markdown table that ends with the total.

    Example:
      >>> print(parameter_table({"dense": {"bias": jax.ShapeDtypeStruct((4,), int)}}))
      | parameter  | shape | number |
      | ---------- | ----- | ------ |
      | dense/bias | 4     | 4      |
      | total      |       | 4      |
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    rows = [
        {
            "parameter": jax.tree_util.keystr(path, simple=True, separator="/"),
            "shape": "x".join(map(str, leaf.shape)),
            "number": f"{leaf.size:,}",
        }
        for path, leaf in leaves
    ]
    total = sum(leaf.size for _, leaf in leaves)
    return markdown_table(
        [*rows, {"parameter": "total", "shape": "", "number": f"{total:,}"}]
    )


def summary_cells(summary: Mapping[str, Any]) -> dict[str, str]:
    """The cells that stand for one run in a table.

    Args:
      summary: of a run.

    Returns:
      Of a classifier, accuracies in per cent; of a model that makes images, scores on
      test images; and images per second.
    """
    rate = summary["images_per_second"]
    if "top1" in summary["test"]:
        cells = {split: percent(summary[split], "top1") for split in ("train", "test")}
    else:
        scores = {"ssim": 3, "ms_ssim": 3, "mse": 4, "psnr": 2, "pixel_mmd": 4}
        cells = {
            name: with_deviation(summary["test"], name, digits=digits)
            for name, digits in scores.items()
            if name in summary["test"]
        }
    return {
        **cells,
        "images/s": "-" if rate is None else f"{rate:.0f}",
    }


def with_deviation(metrics: Mapping[str, Any], name: str, *, digits: int) -> str:
    """A number, with the standard deviation over seeds if there is one.

    Args:
      metrics: `NAME`, and perhaps `NAME_sd`.
      name: of the metric.
      digits: after the decimal point.

    Returns:
      For example "0.86" or "0.86 ± 0.01".

    Example:
      >>> with_deviation({"ssim": 0.861, "ssim_sd": 0.012}, "ssim", digits=2)
      '0.86 ± 0.01'
    """
    text = f"{metrics[name]:.{digits}f}"
    if f"{name}_sd" in metrics:
        text += f" ± {metrics[f'{name}_sd']:.{digits}f}"
    return text


def percent(metrics: Mapping[str, Any], name: str) -> str:
    """A fraction in per cent, with the standard deviation over seeds if there is one.

    Args:
      metrics: `NAME`, and perhaps `NAME_sd`.
      name: of the metric.

    Returns:
      For example "77.1" or "77.1 ± 4.1".

    Example:
      >>> percent({"top1": 0.771, "top1_sd": 0.041}, "top1")
      '77.1 ± 4.1'
    """
    spread = metrics.get(f"{name}_sd")
    text = f"{100 * metrics[name]:.1f}"
    return text if spread is None else f"{text} ± {100 * spread:.1f}"


def accuracy_cells(
    rows: Sequence[Mapping[str, Any]], *, top5: bool = False
) -> dict[str, str]:
    """A cell for each epsilon.

    Args:
      rows: `epsilon`, `top1` and `top5` as fractions; "-" stands for what is missing.
      top5: whether a cell is "top-1 / top-5" instead of top-1.

    Returns:
      Accuracies in per cent, by epsilon in steps of 1/255.
    """
    return {
        f"ε={255 * row['epsilon']:.4g}/255": " / ".join(
            percent(row, name) if name in row else "-"
            for name in (("top1", "top5") if top5 else ("top1",))
        )
        for row in rows
    }


def accuracy_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy under attack in per cent: a line per attack, a column per epsilon.

    Args:
      rows: `network`, `split`, `attack`, `epsilon`, and `top1` and `top5` as fractions.

    Returns:
      A Markdown table with cells "top-1 / top-5", or top-1 where no row has more.
    """
    top5 = any("top5" in row for row in rows)
    lines: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["network"], row["split"], row["attack"])
        lines.setdefault(key, []).append(row)
    return markdown_table(
        [
            {"network": network, "split": split, "attack": attack}
            | accuracy_cells(chosen, top5=top5)
            for (network, split, attack), chosen in lines.items()
        ]
    )


def corruption_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy on corrupted images in per cent, a column per severity.

    Args:
      rows: `network`, `corruption`, `severity`, and `top1` as a fraction.

    Returns:
      A Markdown table.
    """
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        cells = lines.setdefault((row["network"], row["corruption"]), {})
        cells[f"severity {row['severity']}"] = percent(row, "top1")
    return markdown_table(
        [
            {"network": network, "corruption": name.replace("_", " ")} | cells
            for (network, name), cells in lines.items()
        ]
    )
