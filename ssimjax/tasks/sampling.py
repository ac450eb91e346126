"""What generative models make, and how near, new and varied it is."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.data import Arrays
from ssimjax.ops import (
    frechet_distance,
    kernel_distance,
    mmd,
    nearest,
    permutation_test,
    precision_recall,
    rbf_kernel,
    ssim_kernel,
)
from ssimjax.tasks.generators import in_batches
from ssimjax.tasks.kernels import Kernel
from ssimjax.tasks.learner import as_floats
from ssimjax.tasks.run import Run
from ssimjax.training import Row, named_key, root_key, with_spread

Features = Callable[[Array], Array]
_PERMUTATIONS = 500
# Images whose pairs are compared by SSIM.
_PAIRED = 200
# Training images among which the nearest is sought.
_NEIGHBOURS = 10_000
# Images that go through Inception at once; its largest layer has 5.5 MB of each.
_INCEPTION_BATCH = 25
# Of all samples, for a class to count as made.
_LEAST_SHARE = 0.03


def samples(
    run: Run, count: int, *, labels: Any = None, replica: int = 0, seed: int = 0
) -> np.ndarray:
    """Samples of a generative model.

    Args:
      run: a trained generative model.
      count: how many.
      labels: of a conditional model, `[count]`; each class in turn if None.
      replica: which network of several, from 0.
      seed: of the latent vectors.

    Returns:
      Images `[count, h, w, c]` in (0, 1), float32.

    Raises:
      TypeError: if the run is not of a generative model.
      ValueError: if labels are named to a model that is not conditional, or are not
        `count` numbers of classes.
      IndexError: if the run has no such replica.
    """
    task, state = run.task, run.states()[replica]
    prior = _prior(run)
    if labels is not None:
        labels = np.asarray(labels)
        if labels.shape != (count,) or labels.min() < 0:
            raise ValueError(f"labels must be {count} numbers >= 0, got {labels}")
        if prior.classes and labels.max() >= prior.classes:
            raise ValueError(
                f"labels must be < {prior.classes}, the number of classes, got "
                f"{labels.max()}"
            )
        labels = jnp.asarray(labels)
    key = jax.random.fold_in(named_key(root_key(seed), "samples"), replica)
    inputs = prior.inputs(key, count, labels)
    size = run.config.training.eval_batch_size
    return in_batches(lambda part: task.generate(state, part), inputs, size)


def latent_interpolations(
    run: Run, *, rows: int = 4, steps: int = 8, seed: int = 0
) -> np.ndarray:
    """Images on straight lines between latent vectors.

    Args:
      run: a trained generative model; of a conditional one, row i is of class i.
      rows: lines.
      steps: images of a line, with both ends, >= 2.
      seed: of the latent vectors.

    Returns:
      Images `[rows, steps, h, w, c]` in (0, 1).

    Raises:
      TypeError: if the run is not of a generative model.
      ValueError: if there are fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"steps must be >= 2, got {steps}")
    prior = _prior(run)
    ends = prior.draw(root_key(seed), 2 * rows).reshape(2, rows, 1, prior.length)
    along = jnp.linspace(0, 1, steps)[None, :, None]
    latents = (1 - along) * ends[0] + along * ends[1]
    given = jnp.repeat(prior.conditions(prior.labels(rows))[:, None], steps, 1)
    inputs = jnp.concatenate([latents, given], -1).reshape(rows * steps, -1)
    size = run.config.training.eval_batch_size
    state = run.states()[0]
    made = in_batches(lambda part: run.task.generate(state, part), inputs, size)
    return made.reshape(rows, steps, *made.shape[1:])


def nearest_training_images(run: Run, images: Any) -> np.ndarray:
    """Of each image the training image with the smallest Euclidean distance.

    Args:
      run: a run, whose training images are searched, all of them.
      images: `[n, h, w, c]`, uint8 or floats in [0, 1].

    Returns:
      Training images `[n, h, w, c]`, floats in [0, 1].
    """
    train = run.dataset.train.images
    found = as_floats(jnp.asarray(images))
    indices, _ = nearest(found, as_floats(jnp.asarray(train)))
    return np.asarray(as_floats(jnp.asarray(train[np.asarray(indices)[:, 0]])))


def sample_distances(
    run: Run,
    *,
    count: int = 500,
    features: Mapping[str, Features] | None = None,
    seed: int = 0,
) -> Row:
    """How far samples are from test images.

    Args:
      run: a trained generative model.
      count: samples, and at most as many test images, spread evenly.
      features: functions of images in [0, 1], `[n, h, w, c]`, to vectors, by name.
      seed: of the samples.

    Returns:
      `rbf mmd`, unbiased squared MMD of pixels, Gaussian kernels of 0.5, 1 and 2 times
      the median distance of two test images; `ssim mmd`, that of the SSIM kernel; for
      each feature function `NAME frechet` and `NAME kernel`. Of several seeds the mean,
      `_sd` and `_each`.

    Raises:
      ValueError: if there are fewer than two samples or test images.
    """
    real = spread_images(run.dataset.test, count)
    kernels = image_kernels(real)

    def distances(fake: Array) -> dict[str, Array]:
        found = {
            f"{name} mmd": mmd(real, fake, kernel, estimator="unbiased")
            for name, kernel in kernels.items()
        }
        for name, feature in (features or {}).items():
            pair = feature(real), feature(fake)
            found[f"{name} frechet"] = frechet_distance(*pair)
            found[f"{name} kernel"] = kernel_distance(*pair)
        return found

    return _over_replicas(
        run,
        lambda replica: distances(
            jnp.asarray(samples(run, count, replica=replica, seed=seed))
        ),
    )


def generation_scores(
    run: Run,
    *,
    judge: Run | None = None,
    inception: Features | None = None,
    count: int = 500,
    seed: int = 0,
) -> Row:
    """Every measure of `set_scores` of samples against test images.

    Args:
      run: a trained generative model.
      judge: a trained classifier of such images with a method `embed`; None for
        measures without features.
      inception: as in `set_scores`.
      count: samples, and at most as many test images, spread evenly.
      seed: of the samples and the tests.

    Returns:
      The measures; of a conditional model, also `label_accuracy`, the share of samples
      in which the judge sees the class they were asked to be. Of several seeds the
      mean, `_sd` and `_each`.

    Raises:
      TypeError: if the run is not of a generative model.
      ValueError: if there are too few samples or test images.
    """
    real = spread_images(run.dataset.test, count)
    train = spread_images(run.dataset.train, _NEIGHBOURS)
    inception_scores = None if inception is None else _against(inception, real)

    def scores(replica: int) -> dict[str, Array]:
        fake = jnp.asarray(samples(run, count, replica=replica, seed=seed))
        key = jax.random.fold_in(named_key(root_key(seed), "tests"), replica)
        found = set_scores(key, real, fake, train=train, judge=judge)
        if inception_scores is not None:
            found |= inception_scores(fake)
        if judge is not None and _prior(run).classes:
            seen = judge.task.model(judge.states()[0])(fake).argmax(-1)
            found["label_accuracy"] = (seen == _prior(run).labels(count)).mean()
        return found

    return _over_replicas(run, scores)


def set_scores(
    key: PRNGKeyArray,
    real: Float[Array, "n h w c"],
    fake: Float[Array, "m h w c"],
    *,
    train: Float[Array, "k h w c"],
    judge: Run | None = None,
    inception: Features | None = None,
) -> dict[str, Float[Array, ""]]:
    """How near one set of images is to another, how varied, and how new.

    Args:
      key: of the permutation tests.
      real: held-out images in [0, 1].
      fake: samples in [0, 1], or other real images, whose scores are what can be had.
      train: training images in [0, 1].
      judge: a trained classifier with a method `embed`.
      inception: features of colour images in [0, 1] as `ssimjax.nn.load_inception`
        gives them, called with batches; gray images are repeated to three channels.

    Returns:
      `rbf mmd` and `ssim mmd`, as in `sample_distances`, with the p-values `rbf p` and
      `ssim p` of the permutation test; `diversity`, the mean 1 - SSIM of two
      samples, divided by that of two real images: 0 for a single sample; `novelty`, the
      median distance from the nearest training image, divided by that of real
      images: near 0 where training images are repeated. With a judge `frechet`,
      `kernel`, `precision` and `recall` of its features; `confidence`, the mean of its
      largest probability; `classes`, how many classes 3 % of the samples or more are
      taken for. With Inception `fid`, their `frechet_distance`, and `kid`, their
      `kernel_distance`: the unbiased MMD² of the kernel (x·y / 2048 + 1)³ of all pairs.
      Few images raise FID, whose numbers compare with those of as many images alone.

    References:
      Heusel et al. 2017, GANs trained by a two time-scale update rule, Eq. 6.
      Binkowski et al. 2018, Demystifying MMD GANs, Section 4.
    """
    found: dict[str, Array] = {}
    for name, kernel in image_kernels(real).items():
        test = permutation_test(
            named_key(key, name), real, fake, kernel, permutations=_PERMUTATIONS
        )
        found |= {f"{name} mmd": test.statistic, f"{name} p": test.p_value}
    found["diversity"] = _diversity(fake) / _diversity(real)
    apart = [jnp.median(nearest(images, train)[1]) for images in (fake, real)]
    found["novelty"] = apart[0] / apart[1]
    if inception is not None:
        found |= _against(inception, real)(fake)
    if judge is None:
        return found
    model = judge.task.model(judge.states()[0])
    pair = model.embed(real), model.embed(fake)
    near = precision_recall(*pair)
    probabilities = jax.nn.softmax(model(fake))
    taken = jax.nn.one_hot(probabilities.argmax(-1), probabilities.shape[-1]).mean(0)
    return found | {
        "frechet": frechet_distance(*pair),
        "kernel": kernel_distance(*pair),
        "precision": near.precision,
        "recall": near.recall,
        "confidence": probabilities.max(-1).mean(),
        "classes": (taken >= _LEAST_SHARE).sum().astype(jnp.float32),
    }


def image_kernels(real: Float[Array, "n h w c"]) -> dict[str, Kernel]:
    """The kernels that sets of images are compared by.

    Args:
      real: images in [0, 1], two different ones or more among the first and last 50.

    Returns:
      `rbf`: Gaussian kernels of 0.5, 1 and 2 times the median distance of two of the
      images; `ssim`: `ssim_kernel`.
    """
    squares = ((real[:50, None] - real[None, -50:]) ** 2).sum((2, 3, 4))
    median = float(jnp.sqrt(jnp.median(squares[squares > 0])))
    bandwidths = tuple(factor * median for factor in (0.5, 1.0, 2.0))
    return {
        "rbf": functools.partial(rbf_kernel, bandwidths=bandwidths),
        "ssim": functools.partial(ssim_kernel, data_range=1.0),
    }


def spread_images(arrays: Arrays, count: int) -> Float[Array, "n h w c"]:
    """At most `count` images in [0, 1], spread evenly.

    Args:
      arrays: examples.
      count: how many at most.

    Returns:
      The images.
    """
    return as_floats(jnp.asarray(arrays.spread(count).images))


def _against(
    inception: Features, real: Float[Array, "n h w c"]
) -> Callable[[Array], dict[str, Array]]:
    """FID and KID of samples against real images, which are looked at once."""

    def features(images: Array) -> Array:
        if images.shape[-1] == 1:
            images = jnp.repeat(images, 3, axis=-1)
        return jnp.asarray(in_batches(inception, images, _INCEPTION_BATCH))

    def scores(fake: Array) -> dict[str, Array]:
        pair = known, features(fake)
        return {"fid": frechet_distance(*pair), "kid": kernel_distance(*pair)}

    known = features(real)
    return scores


def _diversity(images: Float[Array, "n h w c"]) -> Float[Array, ""]:
    """Mean 1 - SSIM of two different images of a set."""
    chosen = images[:_PAIRED]
    gram = ssim_kernel(chosen, chosen, data_range=1.0, form="product")
    count = len(chosen)
    return 1 - (gram.sum() - jnp.trace(gram)) / (count * (count - 1))


def _prior(run: Run) -> Any:
    if not hasattr(run.task, "generate") or not getattr(run.task, "has_prior", True):
        raise TypeError(
            f"run must be of a generative model, got one of task {run.config.task!r}"
        )
    return run.task.prior


def _over_replicas(run: Run, scores: Callable[[int], Mapping[str, Array]]) -> Row:
    every: dict[str, list[float]] = {}
    for replica in range(run.config.seeds):
        for name, value in scores(replica).items():
            every.setdefault(name, []).append(float(value))
    return with_spread({name: np.array(values) for name, values in every.items()})
