"""Imports run one way, public signatures have one form, and importing is light."""

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

import ssimjax
from ssimjax import attacks, data, losses, nn, ops, tasks, training

ROOT = pathlib.Path(ssimjax.__file__).parent
# Each room, and the rooms of ssimjax that it may import.
ARROWS = {
    "ops": {"ops"},
    "losses": {"losses", "ops"},
    "synthesis": {"ops"},
    "nn": {"nn", "ops"},
    "attacks": {"attacks", "ops"},
    "data": {"data", "ops"},
    "training": {"training", "data", "ops"},
    "figures": {"figures"},
    "tables": set(),
    "corruptions": {"ops"},
    "tasks": {
        "tasks",
        "attacks",
        "corruptions",
        "data",
        "figures",
        "losses",
        "nn",
        "ops",
        "tables",
        "training",
    },
    "__init__": {"attacks", "corruptions", "losses", "nn", "ops", "synthesis"},
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "ssimjax":
                names = [f"ssimjax.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from names


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=str)
def test_imports_run_one_way(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imported(path):
        top, *rest = name.split(".")
        assert top not in ("configs", "experiments", "tests", "tensorflow", "torch"), (
            name
        )
        if top == "ssimjax" and rest:
            assert rest[0] in ARROWS[room], f"{room} must not import {name}"


def test_configs_import_configs_alone():
    for path in (ROOT.parent / "configs").rglob("*.py"):
        assert {name.split(".")[0] for name in imported(path)} <= {
            "ml_collections",
            "configs",
        }


def test_ops_import_jax_and_jaxtyping_alone():
    for path in (ROOT / "ops").glob("*.py"):
        outside = {name.split(".")[0] for name in imported(path)} - {"ssimjax"}
        assert outside - set(sys.stdlib_module_names) <= {"jax", "jaxtyping", "numpy"}


PUBLIC = [
    pytest.param(value, id=f"{module.__name__}.{name}")
    for module in (ops, losses, nn, attacks, data, training, tasks)
    for name, value in vars(module).items()
    if inspect.isfunction(value)
]


@pytest.mark.parametrize("function", PUBLIC)
def test_public_functions_have_one_form(function):
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters]
    if "key" in names:
        assert names[0] == "key"
    for p in parameters:
        if p.default is not p.empty and p.name not in ("workdir", "size"):
            assert p.kind is p.KEYWORD_ONLY, p.name
    text = inspect.getdoc(function)
    assert text and any(f"{part}:" in text for part in ("Returns", "Yields"))
    for name in names:
        assert f"  {name}: " in text, f"{name} is not documented"


def test_import_is_light():
    code = (
        "import sys, ssimjax\n"
        "heavy = {'tensorflow', 'torch', 'matplotlib', 'orbax'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
