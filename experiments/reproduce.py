"""Trains, evaluates and writes down what a paper published beside what is measured.

    python -m experiments.reproduce abobakr2018 --fast
    python -m experiments.reproduce abobakr2018 table1 fig9 --seeds=3 --epochs=5

Tables: table1, fig6, fig7, fig9, table2, fig10, noise; all of them if none is named.
Networks that are trained already are taken from the folder. `--fast` takes patches of
photographs instead of CIFAR-10 and ImageNet, two seeds and few steps.
"""

import ml_collections
from absl import flags
from etils import epath

from experiments import command_line
from experiments.studies import abobakr2018
from experiments.studies.page import write_section

STUDIES = {"abobakr2018": abobakr2018}
_WORKDIR = flags.DEFINE_string("workdir", None, "Default: runs/PAPER.")
_PAGE = flags.DEFINE_string(
    "page", None, "Markdown file whose sections are remade; default in the workdir."
)
_SEEDS = flags.DEFINE_integer("seeds", None, "Networks of each kind; default 3.")
_EPOCHS = flags.DEFINE_float("epochs", None, "Instead of the configs'.")
_EXAMPLES = flags.DEFINE_integer("examples", None, "Attacked examples; default 1000.")
_FAST = flags.DEFINE_bool("fast", False, "The whole in small, on photographs.")
_CIFAR10 = flags.DEFINE_string("cifar10", "cifar10", "TFDS name of CIFAR-10.")
_IMAGENETTE = flags.DEFINE_string(
    "imagenette", "imagenette/160px-v2", "TFDS name of ten ImageNet classes."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS data sets.")

# In steps of 1/255.
_EPSILONS = (0, 1, 2, 4, 8, 16, 32, 64)
_THOROUGH = {
    "noise": {},
    "fgsm": {},
    "pgd": {"steps": 50, "restarts": 10},
    "pgd_margin": {"steps": 50, "restarts": 10},
    "apgd_ce": {"steps": 100},
    "apgd_t": {"steps": 100},
    "square": {"queries": 5000},
}
_WEAK = {
    "noise": {},
    "fgsm": {},
    "pgd": {"steps": 10, "restarts": 1},
    "apgd_t": {"steps": 10, "targets": 3},
    "square": {"queries": 100},
}
_STEPS = flags.DEFINE_integer("steps", None, "Of PGD and APGD.")
_RESTARTS = flags.DEFINE_integer("restarts", None, "Of PGD.")
_QUERIES = flags.DEFINE_integer("queries", None, "Of Square.")


def main(*arguments: str) -> None:
    """Reproduces the tables that are named."""
    paper, *tables = arguments or ("",)
    if paper not in STUDIES:
        raise ValueError(f"the first argument must be one of {sorted(STUDIES)}")
    study = STUDIES[paper]
    if unknown := set(tables) - set(study.TABLES):
        raise ValueError(
            f"tables must be of {', '.join(study.TABLES)}, got {', '.join(unknown)}"
        )
    workdir = epath.Path(_WORKDIR.value or f"runs/{paper}{'-fast' * _FAST.value}")
    page = epath.Path(_PAGE.value or workdir / f"{paper}.md")
    settings = study.Settings(
        workdir=workdir,
        pictures=page.parent / page.stem,
        seeds=_SEEDS.value or (2 if _FAST.value else 3),
        epochs=_EPOCHS.value or (2.0 if _FAST.value else None),
        examples=_EXAMPLES.value or (100 if _FAST.value else 1000),
        attacks=_attacks(),
        epsilons=[n / 255 for n in ((0, 4, 16) if _FAST.value else _EPSILONS)],
        change=_small if _FAST.value else _named,
    )
    for table in tables or study.TABLES:
        text = study.reproduce(table, settings)
        write_section(page, table, text)
        print(f"\n{text}\n", flush=True)
    print(f"Page:\n  {page}")


def _attacks() -> dict[str, dict[str, int]]:
    attacks = {n: dict(o) for n, o in (_WEAK if _FAST.value else _THOROUGH).items()}
    given = {
        "steps": _STEPS.value,
        "restarts": _RESTARTS.value,
        "queries": _QUERIES.value,
    }
    for options in attacks.values():
        options |= {k: v for k, v in given.items() if k in options and v is not None}
    return attacks


def _named(config: ml_collections.ConfigDict) -> None:
    """The data sets that the flags name."""
    named = _CIFAR10.value if config.data.name == "cifar10" else _IMAGENETTE.value
    config.data.name = named
    config.data.data_dir = _DATA_DIR.value


def _small(config: ml_collections.ConfigDict) -> None:
    """Photographs in colour instead."""
    config.data.source = "photographs"
    config.data.color = True
    config.data.train_count, config.data.test_count = 1000, 400
    if config.augmentation.resized_crop is not None:
        config.data.size = 48


if __name__ == "__main__":
    command_line.run(main, several=True)
