import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ssimjax.ops import PrecisionRecall, nearest, precision_recall
from ssimjax.ops.neighbours import _chunk


def sets(n=23, m=31, shape=(5,)):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, *shape)), rng.normal(size=(m, *shape))


def distances_of(x, y):
    x, y = (np.float64(z).reshape(len(z), -1) for z in (x, y))
    return np.sqrt(((x[:, None] - y) ** 2).sum(-1))


@pytest.mark.parametrize("max_bytes", [1, 10_000, 2**28])
@pytest.mark.parametrize(("count", "shape"), [(1, (5,)), (4, (3, 2, 2)), (31, (5,))])
def test_nearest_is_brute_force(count, shape, max_bytes, float64):
    x, y = sets(shape=shape)
    expected = distances_of(x, y)
    indices, distances = nearest(x, y, count=count, max_bytes=max_bytes)
    chex.assert_shape([indices, distances], (23, count))
    order = np.argsort(expected, axis=1)[:, :count]
    np.testing.assert_array_equal(indices, order)
    expected = np.take_along_axis(expected, order, 1)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("max_bytes", "rows"), [(1, 1), (99, 1), (450, 4), (700, 7), (10**6, 23)]
)
def test_chunks_keep_to_the_budget(max_bytes, rows):
    assert _chunk(23, 100, max_bytes) == rows


def test_the_search_keeps_to_its_budget():
    x = jax.ShapeDtypeStruct((2000, 16), jnp.float32)

    def memory(function, max_bytes):
        program = jax.jit(functools.partial(function, max_bytes=max_bytes))
        return program.lower(x, x).compile().memory_analysis().temp_size_in_bytes

    # Copies of both sets come on top: 0.13 MB each.
    for function in (nearest, precision_recall):
        assert 2**19 < memory(function, 2**21) < 2**21 + 2**20


def test_nearest_in_float32_far_from_the_origin_finds_copies():
    x, y = (np.float32(1000 + z) for z in sets(200, 300, (64,)))
    y[7:207] = x
    indices, distances = nearest(x, y)
    np.testing.assert_array_equal(indices[:, 0], 7 + np.arange(200))
    np.testing.assert_array_equal(distances, 0.0)
    # A copy is told from what the matrix product cannot tell from it.
    y[207:212] = x[0] + np.float32(1e-3) * np.eye(5, 64, dtype=np.float32)
    y[7], y[211] = y[211], y[7].copy()
    indices, distances = nearest(x[:1], y, count=2)
    assert indices[0, 0] == 211 and distances[0, 0] == 0
    np.testing.assert_allclose(distances[0, 1], 1e-3, rtol=0.05)
    found = nearest(x, np.delete(y, np.arange(7, 212), 0), count=3)
    expected = distances_of(x, np.delete(y, np.arange(7, 212), 0))
    np.testing.assert_allclose(found.distances, np.sort(expected)[:, :3], rtol=1e-5)


def test_nearest_of_integers_and_images():
    x = np.arange(2 * 4 * 4 * 1, dtype=np.uint8).reshape(2, 4, 4, 1)
    indices, distances = nearest(x, x[::-1], count=2)
    assert indices.tolist() == [[1, 0], [0, 1]]
    assert distances.tolist() == [[0.0, 64.0], [0.0, 64.0]]


def test_distances_have_finite_derivatives(float64):
    x, y = (jnp.asarray(z) for z in sets(4, 6))

    def total(x, y):
        return nearest(x, y, count=2).distances.sum()

    jax.test_util.check_grads(jax.jit(total), (x, y), 1, modes=["rev"], rtol=1e-4)
    gradients = jax.grad(total, (0, 1))(x, x)
    chex.assert_tree_all_finite(gradients)
    closest = jax.grad(lambda x, y: nearest(x, y).distances.sum())(x, x)
    chex.assert_trees_all_equal(closest, jnp.zeros_like(x))


def clusters(seed, counts, spread=0.4):
    rng = np.random.default_rng(seed)
    centres = 4 * np.random.default_rng(9).normal(size=(len(counts), 3))
    points = [c + spread * rng.normal(size=(k, 3)) for c, k in zip(centres, counts)]
    return np.concatenate(points)


def loops(real, fake, k):
    """The four figures, one pair at a time."""

    def ball(sample, i):
        others = [
            np.linalg.norm(sample[i] - sample[j]) for j in range(len(sample)) if j != i
        ]
        return sample[i], sorted(others)[k - 1]

    def holds(ball, point):
        return np.linalg.norm(ball[0] - point) <= ball[1]

    real_balls = [ball(real, i) for i in range(len(real))]
    fake_balls = [ball(fake, j) for j in range(len(fake))]
    hits = [sum(holds(ball, point) for ball in real_balls) for point in fake]
    return (
        np.mean([hit > 0 for hit in hits]),
        np.mean([any(holds(ball, point) for ball in fake_balls) for point in real]),
        np.mean(hits) / k,
        np.mean([any(holds(ball, point) for point in fake) for ball in real_balls]),
    )


@pytest.mark.parametrize(("k", "max_bytes"), [(1, 1), (3, 3000), (4, 2**28)])
def test_figures_are_those_of_plain_loops(k, max_bytes):
    real, fake = clusters(0, (20, 9, 12)), clusters(1, (18, 0, 9)) + 0.4
    expected = loops(real, fake, k)
    assert all(0 < figure < 1 for figure in (*expected[:2], expected[3]))
    found = precision_recall(real, fake, neighbours=k, max_bytes=max_bytes)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_neither_unit_nor_origin_nor_shape_matter(float64):
    real, fake = clusters(0, (9, 9)), clusters(1, (9, 9))
    moved = [(100 + 1e-3 * z).reshape(-1, 1, 3, 1) for z in (real, fake)]
    chex.assert_trees_all_close(precision_recall(*moved), precision_recall(real, fake))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_equal_samples_cover_each_other(dtype):
    x = np.random.default_rng(0).integers(0, 255, (40, 6)).astype(dtype)
    found = precision_recall(x, x, neighbours=4)
    assert [float(v) for v in (found.precision, found.recall, found.coverage)] == [
        1
    ] * 3
    np.testing.assert_allclose(found.density, 5 / 4, rtol=1e-6)


def test_a_collapsed_generator_is_precise_and_recalls_little():
    real = clusters(0, (30, 30, 30, 30))
    found = precision_recall(real, clusters(1, (100, 0, 0, 0)))
    assert found.precision > 0.85
    assert found.recall <= 0.25 and found.coverage <= 0.25
    assert found.density > 0.7
    # All of them one copy: their balls have no size.
    copies = np.tile(real[:1], (100, 1))
    found = precision_recall(real, copies)
    assert found.precision == 1
    np.testing.assert_allclose(found.recall, 1 / 120, rtol=1e-6)


def test_noise_far_away_has_no_precision():
    real, noise = clusters(0, (30, 30)), 1e3 + clusters(1, (40,))
    chex.assert_trees_all_equal(
        precision_recall(real, noise), PrecisionRecall(*[jnp.zeros(())] * 4)
    )
    # One wide sample is a ball around everything, which coverage does not fall for.
    wide = 1e3 * np.random.default_rng(0).normal(size=(40, 3))
    found = precision_recall(real, wide)
    assert found.precision == 0 and found.recall == 1 and found.coverage == 0


def test_samples_of_one_distribution_have_density_1():
    x, y = sets(400, 400, (2,))
    found = precision_recall(x, y, neighbours=5)
    assert abs(found.density - 1) < 0.1
    # Expected coverage is 1 - (399 · … · 395) / (799 · … · 795).
    expected = 1 - np.prod([(400 - i) / (800 - i) for i in range(1, 6)])
    assert abs(found.coverage - expected) < 0.05


def test_balls_are_closed_whatever_the_rounding():
    # On a lattice every radius is a distance, and many distances are equal.
    rows, columns = np.indices((5, 5))
    lattice = np.stack([rows.ravel(), columns.ravel()], 1)
    shifted = lattice[:10] + np.array([4, 1])
    expected = loops(lattice, shifted, 2)
    for unit in (1.0, 0.1, 1e3 / 7):
        real, fake = np.float32(unit * lattice), np.float32(unit * shifted)
        found = precision_recall(real, fake, neighbours=2)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    # Copies in a space of many dimensions, of balls without size.
    copies = np.repeat(np.float32(sets(5, 5, (3000,))[0]), 3, axis=0)
    found = precision_recall(copies, copies[:-1], neighbours=1)
    assert found.precision == found.recall == found.coverage == 1
    np.testing.assert_allclose(found.density, 3)


def test_vmap_is_a_loop():
    pairs = [(clusters(i, (9, 8)), clusters(i + 9, (9, 9))) for i in range(3)]
    real, fake = (jnp.asarray(np.stack(z), jnp.float32) for z in zip(*pairs))
    mapped = jax.vmap(precision_recall)(real, fake)
    ones = [precision_recall(*pair) for pair in zip(real, fake)]
    chex.assert_trees_all_close(mapped, jax.tree.map(lambda *z: jnp.stack(z), *ones))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_gives_nan(bad):
    real, fake = sets()
    fake[3, 2] = bad
    assert all(np.isnan(figure) for figure in precision_recall(real, fake))


def test_bad_input_names_the_argument(own_errors):
    x, y = (jnp.asarray(z) for z in sets(4, 6))
    for count in (0, 7):
        with pytest.raises(ValueError, match=f"count must be 1 to 6, .*, got {count}"):
            nearest(x, y, count=count)
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"neighbours must be 1 to 3, .* got {k}"):
            precision_recall(y, x, neighbours=k)
    with pytest.raises(ValueError, match="max_bytes must be > 0, got 0"):
        nearest(x, y, max_bytes=0)
    with pytest.raises(ValueError, match="max_bytes must be > 0, got -1"):
        precision_recall(x, y, max_bytes=-1)
    with pytest.raises(ValueError, match="of one shape"):
        nearest(x, y[:, :2])
    with pytest.raises(ValueError, match=r"y must be a set .* n >= 1 .* \(0, 5\)"):
        nearest(x, y[:0])
    with pytest.raises(TypeError, match="both floating-point or both integer"):
        precision_recall(x, y.astype(jnp.int32))
