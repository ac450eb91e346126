"""Ranks reconstructions by eye and by metrics, as Snell et al. 2017 had people do.

    python -m experiments.rank build --workdirs=runs/mse,runs/mae,runs/ms_ssim
    python -m experiments.rank analyse --answers=anna.json,ben.json
    python -m experiments.rank analyse --metrics=mse,ssim --workdirs=runs/mse,runs/mae

`build` writes one web page that needs no server: whoever opens it drags the copies of
each picture into order and exports a JSON file. `analyse` counts first places, of
people and of metrics, and tests them against chance; with answers and metrics together
it says how far these agree. Writes `ranking.html`; `ranking.json` and `ranking.md`.
"""

import json
from typing import Any

import numpy as np
from absl import flags
from etils import epath

from experiments import command_line
from experiments.ranking import answers, metrics, page, pictures, report
from experiments.ranking.analysis import agreement, analyse

_WORKDIRS = flags.DEFINE_list("workdirs", [], "Folders of trained autoencoders.")
_IMAGES = flags.DEFINE_integer(
    "images",
    None,
    "How many test images, spread evenly; default 30 to build, to analyse those that "
    "people ranked, or all.",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of the orders in which a page shows things.", lower_bound=0
)
_ANSWERS = flags.DEFINE_list("answers", [], "JSON files that people exported.")
_METRICS = flags.DEFINE_list(
    "metrics", [], "Losses of ssimjax.losses that rank, too, such as mse,ssim."
)
_OUT = flags.DEFINE_string(
    "out", None, "The page, or the JSON file; default in the folder of the first input."
)


def main(what: str) -> None:
    """Builds a page, or analyses what came back."""
    {"build": _build, "analyse": _analyse}[what]()


def _build() -> None:
    if not _WORKDIRS.value:
        raise ValueError("build needs --workdirs, two or more trained autoencoders")
    images = 30 if _IMAGES.value is None else _IMAGES.value
    runs = pictures.load_runs(_WORKDIRS.value)
    chosen = pictures.reconstruct(runs, images=images)
    out = epath.Path(_OUT.value or epath.Path(_WORKDIRS.value[0]) / "ranking.html")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page.build(chosen, seed=_SEED.value))
    print(
        f"{len(chosen.indices)} test images of {chosen.description}, "
        f"{len(chosen.reconstructions)} copies each. Page:\n  {out}"
    )


def _analyse() -> None:
    if not _ANSWERS.value and not _METRICS.value:
        raise ValueError("analyse needs --answers, --metrics or both")
    if _METRICS.value and not _WORKDIRS.value:
        raise ValueError("--metrics needs --workdirs, the autoencoders that are ranked")
    first = (_ANSWERS.value or [f"{_WORKDIRS.value[0]}/ranking.json"])[0]
    out = epath.Path(_OUT.value or epath.Path(first).parent / "ranking.json")
    given = [epath.Path(file).resolve() for file in _ANSWERS.value]
    if out.suffix != ".json" or out.resolve() in given:
        raise ValueError(
            f"--out must end in .json and be none of the answers, got {out}"
        )
    people = answers.read(_ANSWERS.value) if _ANSWERS.value else None
    results: dict[str, Any] = {}
    sections = []
    if people is not None:
        results["people"] = analyse(people.rankings, people.models)
        sections.append(report.of_rankings("People", results["people"]))
        sections.append(report.of_raters(people))
    if _METRICS.value:
        ranked, agreed = _by_metrics(people)
        results |= {"metrics": ranked} | ({"agreement": agreed} if agreed else {})
        sections.extend(report.of_rankings(n, found) for n, found in ranked.items())
        if agreed:
            sections.append(report.of_agreement(agreed))
    out.parent.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join(sections)
    out.write_text(json.dumps(results, indent=2) + "\n")
    out.with_suffix(".md").write_text(text + "\n")
    print(f"{text}\n\nFiles:\n  {out}\n  {out.with_suffix('.md')}")


def _by_metrics(
    people: answers.Answers | None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Analyses of the metrics' rankings, and how far these agree with people's."""
    indices = None
    if people is not None and _IMAGES.value is None:
        indices = np.unique(people.images).tolist()
    runs = pictures.load_runs(_WORKDIRS.value)
    shown = pictures.reconstruct(runs, images=_IMAGES.value, indices=indices)
    models = sorted(shown.reconstructions)
    if people is not None:
        _check_study(people, shown)
        models = list(people.models)
    rankings = {name: metrics.rank(shown, name, models) for name in _METRICS.value}
    ranked = {name: analyse(found, models) for name, found in rankings.items()}
    agreed: dict[str, Any] = {}
    if people is not None:
        row_of = {image: row for row, image in enumerate(shown.indices)}
        both = np.array([image in row_of for image in people.images])
        rows = [row_of[image] for image in people.images[both]]
        if rows:
            agreed = {
                name: agreement(found[rows], people.rankings[both])
                for name, found in rankings.items()
            }
            among = answers.agreement_of_raters(people)
            agreed |= {} if among is None else {"people among themselves": among}
    return ranked, agreed


def _check_study(people: answers.Answers, shown: pictures.Pictures) -> None:
    for what, theirs, ours in (
        ("models", sorted(people.models), sorted(shown.reconstructions)),
        ("data", people.description, shown.description),
    ):
        if theirs != ours:
            raise ValueError(
                f"workdirs must be those of the answers' study {people.study}, whose "
                f"{what} are {theirs}; got {ours}"
            )


if __name__ == "__main__":
    command_line.run(main, choices=("build", "analyse"))
