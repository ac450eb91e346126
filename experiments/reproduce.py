"""Trains, evaluates and writes down what a paper published beside what is measured.

    python -m experiments.reproduce abobakr2018 --fast
    python -m experiments.reproduce abobakr2018 table1 fig9 --seeds=3 --epochs=5
    python -m experiments.reproduce lu2019 table1 --override="model.widths=(16,32,64)"

Papers and their tables: abobakr2018: table1, fig6, fig7, fig9, table2, fig10, noise;
lu2019: table1, balance, samples, levels; snell2017: stl10, yale_b, super_resolution;
ghojogh2020: gmmn, code_gmmn, gan, conditional, autoencoders, faces, memory; all
tables of the paper if none is named.
Networks that are trained already are taken from the folder. `--fast` takes patches of
photographs instead of the paper's data, two seeds and few steps.
"""

import ast

import ml_collections
from absl import flags
from etils import epath

from experiments import command_line
from experiments.studies import abobakr2018, ghojogh2020, lu2019, snell2017
from experiments.studies.page import write_section
from ssimjax.nn import load_inception

STUDIES = {
    "abobakr2018": abobakr2018,
    "ghojogh2020": ghojogh2020,
    "lu2019": lu2019,
    "snell2017": snell2017,
}
_WORKDIR = flags.DEFINE_string("workdir", None, "Default: runs/PAPER.")
_PAGE = flags.DEFINE_string(
    "page", None, "Markdown file whose sections are remade; default in the workdir."
)
_SEEDS = flags.DEFINE_integer(
    "seeds", None, "Networks of each kind; default 3.", lower_bound=1
)
_EPOCHS = flags.DEFINE_float("epochs", None, "Instead of the configs'.")
flags.register_validator(
    _EPOCHS, lambda epochs: epochs is None or epochs > 0, message="must be > 0"
)
_EXAMPLES = flags.DEFINE_integer(
    "examples", None, "Attacked examples; default 1000.", lower_bound=1
)
_FAST = flags.DEFINE_bool("fast", False, "The whole in small, on photographs.")
_COPIES = flags.DEFINE_list(
    "copies",
    [],
    "TFDS names of other copies of the paper's data, as in cifar10=cifar10_jpeg.",
)
_OVERRIDE = flags.DEFINE_multi_string(
    "override", [], 'A key of every config, as in "model.widths=(16, 32, 64)".'
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of prepared TFDS data sets.")
_IMAGES = flags.DEFINE_string(
    "images",
    None,
    "Folder of T91, Set5, Set14 and BSDS200, folders of image files, for "
    "super-resolution; without it, it is trained and judged on photographs.",
)
_INCEPTION = flags.DEFINE_string(
    "inception",
    None,
    "Weights pt_inception-2015-12-05, .pth or .npz, for FID and KID in ghojogh2020.",
)

# What has a meaning for one paper alone.
_OF_ONE_PAPER = {
    "examples": "abobakr2018",
    "steps": "abobakr2018",
    "restarts": "abobakr2018",
    "queries": "abobakr2018",
    "inception": "ghojogh2020",
    "images": "snell2017",
}
# What names data, where --fast takes photographs.
_OF_DATA = ("copies", "data_dir", "images")
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
_STEPS = flags.DEFINE_integer("steps", None, "Of PGD and APGD.", lower_bound=1)
_RESTARTS = flags.DEFINE_integer("restarts", None, "Of PGD.", lower_bound=1)
_QUERIES = flags.DEFINE_integer("queries", None, "Of Square.", lower_bound=1)


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
    _check_flags(paper)
    workdir = epath.Path(_WORKDIR.value or f"runs/{paper}{'-fast' * _FAST.value}")
    page = epath.Path(_PAGE.value or workdir / f"{paper}.md")
    seeds, epochs, examples = _SEEDS.value, _EPOCHS.value, _EXAMPLES.value
    if seeds is None:
        seeds = 2 if _FAST.value else 3
    if epochs is None and _FAST.value:
        epochs = 2.0
    if examples is None:
        examples = 100 if _FAST.value else 1000
    options = {}
    if study is abobakr2018:
        steps = (0, 4, 16) if _FAST.value else _EPSILONS
        options = {
            "examples": examples,
            "attacks": _attacks(),
            "epsilons": [n / 255 for n in steps],
        }
    elif study is ghojogh2020 and _INCEPTION.value is not None:
        options = {"inception": load_inception(_INCEPTION.value)}
    settings = study.Settings(
        workdir=workdir,
        pictures=page.parent / page.stem,
        seeds=seeds,
        epochs=epochs,
        change=_changed,
        **options,
    )
    settings.pictures.mkdir(parents=True, exist_ok=True)
    for table in tables or study.TABLES:
        text = study.TABLES[table](settings)
        write_section(page, table, text)
        print(f"\n{text}\n", flush=True)
    print(f"Page:\n  {page}")


def _check_flags(paper: str) -> None:
    """Raises at a flag that would change nothing."""
    for name, owner in _OF_ONE_PAPER.items():
        if flags.FLAGS[name].present and paper != owner:
            raise ValueError(f"--{name} is for {owner} alone, got it with {paper}")
    for name in _OF_DATA:
        if flags.FLAGS[name].present and _FAST.value:
            raise ValueError(f"--fast takes photographs, got --{name} with it")


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


def _changed(config: ml_collections.ConfigDict) -> None:
    """What the flags say about data and other keys."""
    if _FAST.value:
        _shrink(config)
    elif config.task == "super_resolution":
        if _IMAGES.value is not None:
            config.data.source, config.data.data_dir = "patches", _IMAGES.value
            config.data.train_split, config.data.test_split = "T91", "Set5"
    else:
        copies = dict(_pair("copies", copy) for copy in _COPIES.value)
        config.data.name = copies.get(config.data.name, config.data.name)
        config.data.data_dir = _DATA_DIR.value
    for override in _OVERRIDE.value:
        key, value = _pair("override", override)
        if key == "seeds":
            raise ValueError("--override must not change seeds, which --seeds does")
        command_line.check_key(config, key)
        config.update_from_flattened_dict({key: _literal(value)})


def _pair(flag: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--{flag} must be NAME=VALUE, got {text!r}")
    return name, value


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _shrink(config: ml_collections.ConfigDict) -> None:
    """Photographs in colour instead, and few of them."""
    config.data.source = "photographs"
    config.data.color = not config.data.gray
    config.data.train_count, config.data.test_count = 1000, 400
    if config.task == "super_resolution":
        config.data.test_count = 40
    elif config.task in ("reconstruction", "adversarial_autoencoder"):
        config.data.size = 32
        config.data.train_count, config.data.test_count = 400, 100
        config.model.widths = (8, 16, 32)
        config.training.batch_size = 24
    elif config.task in ("adversarial", "moment_matching"):
        config.data.train_count, config.data.test_count = 400, 100
        config.training.batch_size = 40
        if config.model.name == "convolutional":
            config.model.widths = (8, 16, 32)
        if config.task == "adversarial":
            config.discriminator.widths = (8, 16, 32)
    elif config.augmentation.resized_crop is not None:
        config.data.size = 48


if __name__ == "__main__":
    command_line.run(main, several=True)
