"""The command as a user runs it: in a process of its own."""

import json

import numpy as np
import PIL.Image
import pytest
import skimage.data

from ssimjax.data import read_image
from ssimjax.tasks import load_upscaler, train, upscaled
from tests.experiments.test_command_line import run
from tests.tasks.test_super_resolution import dataset, small_config


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "net"
    train(small_config(**{"training.epochs": 1.0}), folder, data=dataset())
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    cat = skimage.data.chelsea()[100:152, 100:160]
    PIL.Image.fromarray(cat).save(folder / "cat.png")
    PIL.Image.fromarray(cat[..., 0]).save(folder / "gray.bmp")
    return folder


@pytest.mark.parametrize("name", ["cat.png", "gray.bmp"])
def test_enlarges_a_file(workdir, images, name, tmp_path):
    out = tmp_path / "new" / "large.png"
    done = run("super_resolve", images / name, f"--workdir={workdir}", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert f"60x52 to 120x104 pixels:\n  {out}" in done.stdout
    expected = upscaled(load_upscaler(workdir), read_image(images / name))
    difference = np.abs(read_image(out).astype(int) - expected)
    assert difference.max() <= 1  # Here there are eight devices, and there one.


def test_a_picture_that_cannot_be_written_leaves_the_one_before(workdir, tmp_path):
    PIL.Image.new("L", (8200, 4)).save(tmp_path / "wide.png")
    out = tmp_path / "large.webp"  # Which is of 16383 pixels at most.
    out.write_text("precious")
    arguments = (tmp_path / "wide.png", f"--workdir={workdir}", f"--out={out}")
    done = run("super_resolve", *arguments)
    assert done.returncode == 1 and "exceeds WebP limit" in done.stderr
    assert out.read_text() == "precious"


def test_judges_networks_on_folders(workdir, images):
    done = run("super_resolve", f"--workdir={workdir}", f"--evaluate={images}")
    assert done.returncode == 0, done.stderr
    rows = json.loads((workdir / "super-resolution.json").read_text())[images.name]
    assert [(row["image"], row["method"]) for row in rows] == [
        (image, method)
        for image in ("cat.png", "gray.bmp", "mean")
        for method in ("bicubic", "net")
    ]
    for first, second, mean in zip(rows[:2], rows[2:4], rows[4:]):
        np.testing.assert_allclose(mean["psnr"], (first["psnr"] + second["psnr"]) / 2)
        cell = f"| {mean['psnr']:.2f}"
        line = next(
            row for row in done.stdout.splitlines() if f"| {mean['method']}" in row
        )
        assert cell in line and f"| {mean['ssim']:.4f}" in line
    assert "| cat.png " in (workdir / "super-resolution.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{images}/cat.png"], "an image needs --out=FILE"),
        (["{images}/cat.png", "--out=x.txt"], "--out must end like .png or .jpg"),
        (["{images}/cat.png", "--out=x.png", "--seed=1"], "--seed must be from 0 to 0"),
        (["{images}/dog.png", "--out=x.png"], "no image file"),
        (["--evaluate={images}/none"], "no folder of images"),
        (["--evaluate={images},{images}"], "--evaluate must name different folders"),
        ([], "name one image file, or folders of images by --evaluate"),
    ],
)
def test_mistakes_are_one_message(workdir, images, arguments, message):
    given = [argument.format(images=images) for argument in arguments]
    done = run("super_resolve", f"--workdir={workdir}", *given)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert message in done.stderr
