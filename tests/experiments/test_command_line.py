"""The commands as a user runs them: in a process of their own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest

from configs import quickstart, reconstruction
from experiments import command_line
from ssimjax.tasks import train as trained
from ssimjax.training import read_rows
from tests.small import small_config

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--config.data.train_count=80",
    "--config.data.test_count=40",
    "--config.model.widths=(4,4,4)",
    "--config.training.batch_size=16",
    "--config.training.eval_batch_size=40",
    "--config.training.checkpoint_every=3",
    "--config.training.log_every=1",
]


def command(module, *arguments):
    return [sys.executable, "-m", f"experiments.{module}", *map(str, arguments)]


def run(module, *arguments):
    return subprocess.run(
        command(module, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


def train(workdir, *arguments):
    return run(
        "train", "--config=configs/quickstart.py", f"--workdir={workdir}", *arguments
    )


def test_train_then_attack(tmp_path):
    folder, copy = tmp_path / "run", tmp_path / "copy"
    done = train(folder, *SMALL, "--config.training.epochs=1")
    assert done.returncode == 0, done.stderr
    assert "| network | train | test | images/s |" in done.stdout
    assert "image/s" not in done.stderr  # No progress bar where there is no terminal.
    for line in done.stdout.split("Pictures:")[1].split():
        assert pathlib.Path(line).read_bytes().startswith(b"\x89PNG")

    attacked = run("attack", f"--workdir={folder}", "--examples=40")
    assert attacked.returncode == 0, attacked.stderr
    assert "ε=8/255" in attacked.stdout
    rows = json.loads((folder / "attack.json").read_text())["attacks"]["ssim"]
    assert len(rows) == 16 and {r["split"] for r in rows} == {"train", "test"}
    assert (folder / "attack.md").read_text().strip() in attacked.stdout
    assert (folder / "accuracy-against-epsilon.png").exists()

    shutil.copytree(folder, copy)
    attacked = run(
        "attack",
        f"--workdir={folder},{copy}",
        f"--surrogate={tmp_path / 'new' / '..' / 'copy'}",
        "--attacks=pgd,square,transfer",
        "--epsilons=0,8",
        "--steps=2",
        "--restarts=1",
        "--queries=3",
        "--examples=20",
        "--splits=test",
        "--corruptions",
        f"--out={tmp_path / 'attacks'}",
    )
    assert attacked.returncode == 0, attacked.stderr
    results = json.loads((tmp_path / "attacks" / "attack.json").read_text())
    # Of one kind, they are called by their folders.
    assert set(results["attacks"]) == {"run", "copy"}
    for name, rows in results["attacks"].items():
        expected = {"pgd", "square", "worst case"}
        # Not through itself: that would be no transfer.
        if name == "run":
            expected.add("transfer")
        assert {row["attack"] for row in rows} == expected
        clean, worst = (r["top1"] for r in rows if r["attack"] == "worst case")
        assert worst <= clean
        assert len(results["corruptions"][name]) == 36
        assert results["signs"][name][-1].startswith("Verdict: ")
    assert "worst case" in attacked.stdout and "Verdict" in attacked.stdout
    assert len(list((tmp_path / "attacks").glob("*.png"))) == 2
    for itself in ([], [f"--surrogate={folder}"]):
        alone = run("attack", f"--workdir={folder}", "--attacks=transfer", *itself)
        assert "error: --attacks=transfer needs --surrogate" in alone.stderr

    refused = train(folder, *SMALL, "--config.training.epochs=2")
    assert refused.returncode == 1
    assert "holds a finished run of another config" in refused.stderr
    assert "training.epochs: 1.0 there, 2.0 here" in refused.stderr


def test_killed_run_continues_from_its_last_checkpoint(tmp_path):
    arguments = [*SMALL, "--config.training.epochs=80"]  # 400 steps
    killed = subprocess.Popen(
        command(
            "train",
            "--config=configs/quickstart.py",
            f"--workdir={tmp_path}",
            "--compilation_cache=",  # Others would read half an entry.
            *arguments,
        ),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    checkpoints = tmp_path / "checkpoints"
    deadline = time.monotonic() + 120
    while not any(p.name.isdigit() for p in checkpoints.glob("*")):
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    saved = max(int(p.name) for p in checkpoints.iterdir() if p.name.isdigit())
    assert 0 < saved < 400 and not (tmp_path / "summary.json").exists()

    done = train(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert f"Continued from step {saved}." in done.stdout
    steps = [
        row["step"]
        for row in read_rows(tmp_path / "metrics.jsonl")
        if row["split"] == "train"
    ]
    assert steps == list(range(1, 401))


def test_demo_compares_both_networks(tmp_path):
    done = run("demo", f"--workdir={tmp_path}", "--epochs=0.02", "--examples=10")
    assert done.returncode == 0, done.stderr
    table = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in table] == ["network", "-------", "ssim", "conv"]
    assert "ε=64/255" in table[0]
    for name in (
        "training-curves",
        "ssim-first-layer-kernels",
        "ssim-ssim-kernels",
        "conv-first-layer-kernels",
        "accuracy-against-epsilon",
    ):
        assert str(tmp_path / f"{name}.png") in done.stdout
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.training.epoch=3"], 'Did you mean "epochs" instead of "epoch"?'),
        (["--config.modle.hidden=3"], 'Did you mean "model" instead of "modle"?'),
        (
            ["--config.training.epochs=many"],
            "could not convert string to float: 'many'",
        ),
        (["--config.data.source=cloud"], "data.source must be one of"),
        (
            ["--config.data.source=tfds", "--config.data.data_dir=/nowhere"],
            "error: no data folder /nowhere for the data set 'cifar10'; prepare",
        ),
        (["--workdir=/dev/null/run"], "error: workdir /dev/null/run cannot be written"),
        (["--workdir="], "error: flag --workdir=: must name a folder, got none"),
        (
            ["--config.task=reconstruction"],
            "error: the config has no key 'regulariser', which the task reconstruction "
            "needs",
        ),
        (
            ["--config.seed=-1"],
            "error: seed must be from 0 to 4294967295 with seeds=1, got -1",
        ),
        (["surplus"], "error: unexpected argument 'surplus'"),
    ],
)
def test_mistakes_end_in_one_message(tmp_path, arguments, message):
    failed = train(tmp_path / "run", *arguments)
    assert failed.returncode == 1
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


def test_file_that_is_no_config(tmp_path):
    failed = run("train", "--config=configs/sections.py", f"--workdir={tmp_path}")
    assert failed.returncode == 1
    assert "must be a file with a function get_config" in failed.stderr


def test_attack_without_a_run(tmp_path):
    failed = run("attack", f"--workdir={tmp_path}")
    assert failed.returncode == 1 and "error: no run in workdir" in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attack", "--workdir="], "error: flag --workdir=[]: must name a folder"),
        (
            ["probe", "--workdir=a,"],
            "error: flag --workdir=['a', '']: must name a folder",
        ),
        (
            ["super_resolve", "cat.png", "--workdir="],
            "error: flag --workdir=[]: must name a folder",
        ),
        (
            ["attack", "--workdir=a", "--attacks="],
            "error: flag --attacks=[]: must name at least one",
        ),
        (["probe", "--workdir=a", "--seed=-1"], "error: flag --seed=-1: "),
        (["reproduce", "abobakr2018", "--seeds=0"], "error: flag --seeds=0: "),
        (["reproduce", "abobakr2018", "--examples=0"], "error: flag --examples=0: "),
        (
            ["reproduce", "abobakr2018", "--epochs=0"],
            "error: flag --epochs=0.0: must be > 0",
        ),
        (["benchmark", "layer", "--repeats=0"], "error: flag --repeats=0: "),
        (["demo", "--workdir=a", "--examples=0"], "error: flag --examples=0: "),
        (["rank", "build", "--out=a", "--seed=-1"], "error: flag --seed=-1: "),
    ],
)
def test_flags_out_of_their_range(arguments, message):
    failed = run(*arguments)
    assert failed.returncode == 1
    assert message in failed.stderr and len(failed.stderr.splitlines()) == 1


def small_run(folder, *, size=16, **changes):
    """A trained classifier of patches of photographs."""
    options = {"data.size": size, "training.visualise": False}
    trained(small_config("conv", **options, **changes), folder)
    return folder


def test_surrogate_must_be_a_classifier_of_the_same_images(tmp_path):
    attacked = small_run(tmp_path / "attacked")
    larger = small_run(tmp_path / "larger", size=24)
    coder = small_coder(tmp_path / "coder", source="photographs")
    for surrogate, message in (
        (
            coder,
            f"error: --surrogate must name a classifier, and {coder} holds one of the "
            "task reconstruction",
        ),
        (
            larger,
            "error: the surrogate of --attacks=transfer must be of images (16, 16, 1), "
            "as conv is, got one of (24, 24, 1)",
        ),
    ):
        failed = run(
            "attack",
            f"--workdir={attacked}",
            f"--surrogate={surrogate}",
            "--attacks=transfer",
        )
        assert failed.returncode == 1 and message in failed.stderr


def test_attack_compares_networks_of_one_data_set(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 256, (16, 16), np.uint8)
            PIL.Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    pets = {"data.source": "folder", "data.data_dir": str(tmp_path / "pets")}
    folder = small_run(tmp_path / "pair", **pets)
    # No attack moves images by nothing.
    done = run("attack", f"--workdir={folder}", "--attacks=all", "--epsilons=0")
    assert done.returncode == 0, done.stderr
    assert "Not for 2 classes: apgd_dlr, apgd_t.\n" in done.stdout
    assert "| apgd_ce" in done.stdout and "| apgd_t" not in done.stdout
    other = small_run(tmp_path / "other")
    failed = run("attack", f"--workdir={folder},{other}", "--epsilons=0")
    assert failed.returncode == 1
    assert "--workdir must name networks of the same data, got 'images" in failed.stderr


def small_coder(folder, **data):
    """A trained autoencoder of patches."""
    config = reconstruction.defaults()
    config.data.update(data)
    config.data.size, config.data.train_count, config.data.test_count = 16, 80, 70
    config.model.code, config.model.widths = 4, (4, 4)
    config.training.epochs, config.training.batch_size = 1.0, 40
    config.training.visualise = False
    trained(config, folder)
    return folder


def test_probe_keeps_runs_of_one_name_apart(tmp_path):
    folders = [
        small_coder(tmp_path / name / "coder", source="photographs")
        for name in ("first", "second")
    ]
    done = run("probe", f"--workdir={folders[0]},{folders[1]}", "--splits=2")
    assert done.returncode == 0, done.stderr
    rows = json.loads((folders[0] / "probe.json").read_text())
    assert set(rows) == {str(folder) for folder in folders}
    for name, row in rows.items():
        assert f"| {name} (mse) " in done.stdout
        assert f"| {100 * row['error']:.2f} " in done.stdout
        # Shares of the 70 test images, for training patches overlap.
        wrong = 70 * np.array(row["error_each"])
        np.testing.assert_allclose(wrong, np.round(wrong), atol=1e-6)


def test_probe_needs_classes(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
        PIL.Image.fromarray(pixels).save(tmp_path / split / "noise.png")
    folder = small_coder(
        tmp_path / "coder", source="patches", data_dir=str(tmp_path), label=None
    )
    failed = run("probe", f"--workdir={folder}")
    assert failed.returncode == 1
    assert (
        f"error: --workdir must name runs on images of several classes, and {folder} "
        "has data.source=patches, data.label=None"
    ) in failed.stderr


def test_benchmark_prints_ratios(tmp_path):
    out = tmp_path / "layer.json"
    done = run("benchmark", "layer", "--repeats=1", f"--out={out}")
    assert done.returncode == 0, done.stderr
    assert "geometric mean of gradients ratio" in done.stdout
    rows = json.loads(out.read_text())["layer"]["rows"]
    assert len(rows) == 4
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for row in rows:
        assert row["ratio"] == pytest.approx(row["ssim_ms"] / row["conv_ms"])
    failed = run("benchmark", "everything")
    assert failed.returncode == 1 and "name one of layer" in failed.stderr


def test_reproduce_asks_for_what_it_knows():
    failed = run("reproduce", "abobakr2019")
    assert failed.returncode == 1
    assert "the first argument must be one of ['abobakr2018', " in failed.stderr
    failed = run("reproduce", "abobakr2018", "fig99")
    assert "tables must be of table1, fig6" in failed.stderr
    failed = run("reproduce", "lu2019", "--steps=5")
    assert "--steps is for abobakr2018 alone, got it with lu2019" in failed.stderr
    failed = run("reproduce", "snell2017", "--fast", "--images=pictures")
    assert "--fast takes photographs, got --images with it" in failed.stderr


def test_reproduce_overrides_only_keys_that_there_are(tmp_path):
    failed = run(
        "reproduce",
        "lu2019",
        "table1",
        "--fast",
        f"--workdir={tmp_path / 'lu2019'}",
        "--override=data.sise=16",
    )
    assert failed.returncode == 1
    assert "error: the config has no key 'data.sise'; did you mean" in failed.stderr
    assert "data.size" in failed.stderr and not list(tmp_path.glob("**/checkpoints"))


def test_keys_of_a_config():
    config = quickstart.get_config()
    for key in ("seed", "model.widths", "model.widths[0]", "data.data_dir"):
        command_line.check_key(config, key)
    with pytest.raises(ValueError, match="'optimizer.learning_rate'; .*optimizer.rate"):
        command_line.check_key(config, "optimizer.learning_rate")
    with pytest.raises(ValueError, match="no key 'regulariser.weight'"):
        command_line.check_key(config, "regulariser.weight")
    with pytest.raises(ValueError, match="no key 'seed.x'"):
        command_line.check_key(config, "seed.x")


@pytest.mark.parametrize("collecting", [False, True])
def test_sigterm_outside_of_training_is_exit_75_too(collecting):
    """Python ignores errors while it collects garbage."""
    code = (
        "import gc, os, signal, time\n"
        "from experiments import command_line\n"
        "def stop(*_):\n"
        "    gc.callbacks.clear()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    for _ in range(9): pass\n"
        "def main():\n"
        f"    if {collecting}:\n"
        "        gc.callbacks.append(stop)\n"
        "        gc.collect()\n"
        "    else:\n"
        "        stop()\n"
        "    time.sleep(60)\n"
        "command_line.run(main)\n"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=50,
    )
    assert stopped.returncode == 75
    assert stopped.stderr == "stopped by SIGTERM; start the same command again\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
@pytest.mark.parametrize("kept", [True, False])
def test_memory_that_was_given_back_is_kept(kept):
    """A block of 80 MB has 20,000 pages, whose first touch the system counts."""
    code = (
        "import resource, numpy as np\n"
        "from experiments import command_line\n"
        f"{kept} and command_line._keep_memory()\n"
        "np.ones(20_000_000, np.float32)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "np.ones(20_000_000, np.float32)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    # Pages of 4 KiB: numpy asks for larger ones unless told otherwise.
    environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    ).stdout
    assert (int(printed) < 1000) == kept
