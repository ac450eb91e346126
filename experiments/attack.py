"""Attacks trained networks, side by side, over a grid of ε.

    python -m experiments.attack --workdir=runs/demo/ssim
    python -m experiments.attack --workdir=runs/demo/ssim,runs/demo/conv --attacks=all

`--attacks=all` runs FGSM, PGD, Auto-PGD with three losses, Square, transfer from the
last network of the list, and noise, reports the worst case for each example, and says
whether gradients are masked. Writes `attack.json`, `attack.md` and pictures.
"""

import json
import math
from collections.abc import Mapping, Sequence

from absl import flags
from etils import epath

from experiments import command_line
from ssimjax.tables import accuracy_table, corruption_table
from ssimjax.tasks import (
    Run,
    attack_accuracy,
    corruption_accuracy,
    draw_attack,
    draw_corruptions,
    examine,
    load,
)

_ALL = (
    "noise",
    "fgsm",
    "pgd",
    "pgd_margin",
    "apgd_ce",
    "apgd_dlr",
    "apgd_t",
    "square",
    "transfer",
)
# The least number of classes for which their losses are defined.
_CLASSES = {"apgd_dlr": 3, "apgd_t": 4}
_WORKDIR = command_line.define_workdirs("Folders of trained networks.")
_CHECKPOINT = command_line.define_checkpoint()
_ATTACKS = flags.DEFINE_list(
    "attacks", ["fgsm"], f"Which attacks, or all: {', '.join(_ALL)}, pgd_l2."
)
_EPSILONS = flags.DEFINE_list(
    "epsilons", None, "Sizes in steps of 1/255, such as 0,2,8; default the config's."
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", None, "How many examples of each split, spread evenly; default all."
)
_SPLITS = flags.DEFINE_list("splits", ["train", "test"], "Which splits to attack.")
for _several in (_ATTACKS, _SPLITS):
    flags.register_validator(_several, bool, message="must name at least one")
_STEPS = flags.DEFINE_integer("steps", None, "Of PGD, default 50, and APGD, 100.")
_RESTARTS = flags.DEFINE_integer("restarts", None, "Of PGD; default 10.")
_QUERIES = flags.DEFINE_integer("queries", None, "Of Square; default 5000.")
_TOP_K = flags.DEFINE_integer("top_k", 1, "Guesses that an attack has to beat: 1 or 5.")
_CORRUPTIONS = flags.DEFINE_bool("corruptions", False, "Noise, blur and JPEG, too.")
_SURROGATE = flags.DEFINE_string("surrogate", None, "Folder of the one for transfer.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the attacks and the noise.")
_OUT = flags.DEFINE_string("out", None, "Folder to write to; default the first one.")


def main() -> None:
    """Attacks, draws and prints the tables."""
    names, networks = command_line.folder_names(_WORKDIR.value), []
    for folder in _WORKDIR.value:
        run = load(folder, checkpoint=_CHECKPOINT())
        if run.config.task != "classification":
            raise ValueError(
                f"--workdir must name classifiers, and {folder} holds one of the task "
                f"{run.config.task}"
            )
        networks.append(run)
    if len({run.name for run in networks}) == len(networks):
        names = [run.name for run in networks]
    runs = dict(zip(names, networks))
    folders = [epath.Path(folder).resolve() for folder in _WORKDIR.value]
    surrogate, source = networks[-1], folders[-1]
    if _SURROGATE.value is not None:
        source = epath.Path(_SURROGATE.value).resolve()
        surrogate = load(source)
        if surrogate.config.task != "classification":
            raise ValueError(
                f"--surrogate must name a classifier, and {_SURROGATE.value} holds one "
                f"of the task {surrogate.config.task}"
            )
    first = next(iter(runs.values()))
    epsilons = first.config.attack.epsilons
    if _EPSILONS.value is not None:
        epsilons = _pixels(_EPSILONS.value)

    _check_data(runs)
    chosen = _chosen(len(runs), classes=len(first.dataset.classes))
    attacks = {name: _options(name) for name in chosen}
    if "transfer" in attacks:
        if set(folders) == {source}:
            raise ValueError(
                "--attacks=transfer needs --surrogate or a second --workdir: another "
                "network than it attacks"
            )
        _check_images(surrogate, runs)
    found, corrupted, signs = {}, {}, {}
    for (name, run), place in zip(runs.items(), folders):
        # Through itself, transfer would be a gradient attack.
        own = {n: o for n, o in attacks.items() if n != "transfer" or place != source}
        found[name] = attack_accuracy(
            run,
            epsilons=epsilons,
            attacks=own,
            splits=_SPLITS.value,
            examples=_EXAMPLES.value,
            surrogate=surrogate,
            seed=_SEED.value,
        )
        if _CORRUPTIONS.value:
            corrupted[name] = corruption_accuracy(
                run, examples=_EXAMPLES.value, seed=_SEED.value
            )
        if len(own) > 1 and "test" in _SPLITS.value:
            signs[name] = examine(
                run,
                [row for row in found[name] if row["split"] == "test"],
                attacks=own,
                examples=_EXAMPLES.value,
                seed=_SEED.value,
            )

    folder = epath.Path(_OUT.value or _WORKDIR.value[0])
    folder.mkdir(parents=True, exist_ok=True)
    tables = [accuracy_table([{"network": n} | r for n, t in found.items() for r in t])]
    pictures = [draw_attack(found, folder, classes=len(first.dataset.classes))]
    if corrupted:
        tables.append(
            corruption_table(
                [{"network": n} | r for n, t in corrupted.items() for r in t]
            )
        )
        pictures.append(draw_corruptions(corrupted, folder))
    tables.extend(
        "\n".join([f"{name}:", "", *(f"- {sentence}" for sentence in sentences)])
        for name, sentences in signs.items()
    )
    text = "\n\n".join(tables)
    results = {"attacks": found, "corruptions": corrupted, "signs": signs}
    (folder / "attack.json").write_text(json.dumps(results, indent=2) + "\n")
    (folder / "attack.md").write_text(text + "\n")
    print(f"\nTop-1 / top-5 accuracy under attack (%), {first.dataset.description}.\n")
    print(text)
    print("\nPictures:", *pictures, sep="\n  ")


def _check_data(runs: Mapping[str, Run]) -> None:
    """Refuses networks that one table cannot compare."""
    (first, one), *others = runs.items()
    for name, run in others:
        each = [(r.dataset.description, len(r.dataset.classes)) for r in (one, run)]
        if each[0] != each[1]:
            told = " and ".join(
                f"{data!r} of {classes} classes for {network}"
                for (data, classes), network in zip(each, (first, name))
            )
            raise ValueError(
                f"--workdir must name networks of the same data, got {told}"
            )


def _check_images(surrogate: Run, runs: Mapping[str, Run]) -> None:
    """Refuses a surrogate that cannot see what the others are to be shown."""
    seen = surrogate.dataset.test.images.shape[1:]
    for name, run in runs.items():
        shape = run.dataset.test.images.shape[1:]
        if shape != seen:
            raise ValueError(
                f"the surrogate of --attacks=transfer must be of images {shape}, as "
                f"{name} is, got one of {seen}"
            )


def _pixels(values: Sequence[str]) -> list[float]:
    """Sizes in steps of 1/255 as sizes of pixels."""
    try:
        steps = [float(value) for value in values]
    except ValueError:
        steps = []
    if not steps or not all(0 <= step < math.inf for step in steps):
        raise ValueError(
            f"--epsilons must be numbers >= 0, such as 0,2,8, got {','.join(values)}"
        )
    return [step / 255 for step in steps]


def _chosen(networks: int, *, classes: int) -> list[str]:
    if _ATTACKS.value != ["all"]:
        if unknown := set(_ATTACKS.value) - {*_ALL, "pgd_l2"}:
            raise ValueError(
                f"--attacks must be all or of {', '.join(_ALL)}, pgd_l2, got "
                f"{', '.join(sorted(unknown))}"
            )
        return _ATTACKS.value
    left_out = {name for name, least in _CLASSES.items() if classes < least}
    if left_out:
        print(f"Not for {classes} classes: {', '.join(sorted(left_out))}.")
    if networks == 1 and _SURROGATE.value is None:
        left_out.add("transfer")
    return [name for name in _ALL if name not in left_out]


def _options(name: str) -> dict[str, int]:
    """What the flags say about an attack."""
    options = {"top_k": _TOP_K.value}
    given = {}
    if name.startswith(("pgd", "apgd")) or name == "transfer":
        given["steps"] = _STEPS.value
    if name.startswith("pgd"):
        given["restarts"] = _RESTARTS.value
    if name == "square":
        given["queries"] = _QUERIES.value
    return options | {k: v for k, v in given.items() if v is not None}


if __name__ == "__main__":
    command_line.run(main)
