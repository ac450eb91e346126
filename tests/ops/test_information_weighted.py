import functools
import pathlib

import chex
import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from ssimjax.ops.information_weighted import iw_ssim
from ssimjax.ops.windows import gaussian_window, uniform_window

REFERENCE = pathlib.Path(__file__).parents[3] / "shared" / "data" / "ssim_reference"
# x, y and the value printed by piq 0.8.0, that of the authors' MATLAB code.
PRINTED = [
    ("goldhill_jpeg.png", "goldhill.png", 0.886297251092821),
    ("tid2013_I01.png", "tid2013_i01_01_5.png", 0.946804801436296),
]
SMALL = {
    "data_range": 1.0,
    "window": gaussian_window(5, sigma=1.0),
    "weights": (0.2, 0.3, 0.5),
}
# Programs that run once or twice are compiled longer than they run.
quick_jit = functools.partial(
    jax.jit, compiler_options={"xla_backend_optimization_level": 0}
)


def reference_image(name):
    if not REFERENCE.is_dir():
        pytest.skip(f"no folder {REFERENCE}: the published values are not checked")
    image = np.asarray(PIL.Image.open(REFERENCE / name))
    return image.reshape(*image.shape[:2], -1)


@quick_jit
def of_range_255(x, y):
    return iw_ssim(x, y, data_range=255.0)


def small_value(x, y):
    return iw_ssim(x, y, **SMALL)


small = quick_jit(small_value)


@pytest.mark.parametrize(("x", "y", "printed"), PRINTED)
def test_every_printed_digit(x, y, printed, float64):
    x, y = (reference_image(name).astype(np.float64) for name in (x, y))
    np.testing.assert_allclose(of_range_255(x, y), printed, rtol=0, atol=2e-15)


@pytest.mark.parametrize(("x", "y", "printed"), PRINTED)
@pytest.mark.parametrize("swapped", [False, True])
def test_float32_is_within_2e_6_of_float64(x, y, printed, swapped):
    x, y = reference_image(x), reference_image(y)
    if swapped:
        x, y = y, x
    single = of_range_255(x.astype(np.float32), y.astype(np.float32))
    with jax.enable_x64(True):
        double = of_range_255(x.astype(np.float64), y.astype(np.float64))
    assert single.dtype == jnp.float32
    assert double.dtype == jnp.float64
    np.testing.assert_allclose(single, double, rtol=0, atol=2e-6)


def test_is_not_symmetric():
    x, y = (reference_image(name).astype(np.float32) for name in PRINTED[0][:2])
    # piq 0.8.0 in float64.
    np.testing.assert_allclose(of_range_255(y, x), 0.886254404583478, atol=2e-6)


# The definition once more, pixel by pixel, in numpy.


def blurred(image, size):
    """Binomial blur of sum 4 of an image of zeros between pixels, or of sum 2."""
    taps = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 128
    padded = np.pad(image, 2, mode="reflect")
    return np.array(
        [
            [(padded[i : i + 5, j : j + 5] * taps).sum() for j in range(size[1])]
            for i in range(size[0])
        ]
    )


def pyramid(image, scales):
    bands = []
    for _ in range(scales - 1):
        coarse = blurred(image, image.shape)[::2, ::2]
        spaced = np.zeros_like(image)
        spaced[::2, ::2] = coarse
        bands.append(image - blurred(spaced, image.shape))
        image = coarse
    return [*bands, image]


def enlarged(image):
    """Bilinear resize to 4n - 3, a linearly continued border, every other pixel."""
    for _ in range(2):
        n = len(image)
        at = (np.arange(4 * n - 3) + 0.5) * n / (4 * n - 3) - 0.5
        fine = np.array([np.interp(at, np.arange(n), line) for line in image.T])
        first, last = 2 * fine[:, 0] - fine[:, 1], 2 * fine[:, -1] - fine[:, -2]
        image = np.column_stack([first, fine, last])[:, ::2]
    return image


def l_and_cs(x, y, taps):
    size = len(taps)
    shape = (x.shape[0] - size + 1, x.shape[1] - size + 1)
    luminance, cs = np.zeros(shape), np.zeros(shape)
    c1, c2 = 2.55**2, 7.65**2
    w = np.outer(taps, taps)
    for i, j in np.ndindex(shape):
        a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
        mean_a, mean_b = (w * a).sum(), (w * b).sum()
        var_a, var_b = (w * (a - mean_a) ** 2).sum(), (w * (b - mean_b) ** 2).sum()
        cov = (w * (a - mean_a) * (b - mean_b)).sum()
        luminance[i, j] = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        cs[i, j] = (2 * cov + c2) / (var_a + var_b + c2)
    return luminance, cs


def information(x, y, parents, size, noise):
    half = size // 2
    shape = (x.shape[0] - size + 1, x.shape[1] - size + 1)
    vectors = np.array(
        [
            np.append(
                y[i : i + size, j : j + size].ravel(),
                [] if parents is None else parents[i + half, j + half],
            )
            for i, j in np.ndindex(shape)
        ]
    )
    covariance = vectors.T @ vectors / len(vectors)
    inverse, eigenvalues = np.linalg.inv(covariance), np.linalg.eigvalsh(covariance)
    bits = np.zeros(shape)
    for u, (i, j) in zip(vectors, np.ndindex(shape)):
        a, b = x[i : i + size, j : j + size], y[i : i + size, j : j + size]
        cov = ((a - a.mean()) * (b - b.mean())).mean()
        gain = cov / b.var()
        v = a.var() - gain * cov
        scale = u @ inverse @ u / len(u)
        for value in eigenvalues:
            ratio = ((v + (1 + gain**2) * noise) * scale * value + noise * v) / noise**2
            bits[i, j] += np.log2(1 + ratio)
    return bits


def oracle(x, y, window, weights, parent, size, noise):
    xs, ys = pyramid(x * 255, len(weights)), pyramid(y * 255, len(weights))
    margin = (len(window.taps) - size) // 2
    pooled = []
    for scale in range(len(weights)):
        luminance, cs = l_and_cs(xs[scale], ys[scale], window.taps)
        if scale == len(weights) - 1:
            pooled.append((luminance * cs).mean())
            continue
        has_parent = parent and scale < len(weights) - 2
        parents = enlarged(ys[scale + 1]) if has_parent else None
        bits = information(xs[scale], ys[scale], parents, size, noise)
        bits = bits[margin : margin + cs.shape[0], margin : margin + cs.shape[1]]
        pooled.append((bits * cs).sum() / bits.sum())
    return np.prod(np.array(pooled) ** (np.array(weights) / sum(weights)))


@pytest.mark.parametrize(
    ("window", "weights", "parent", "size", "noise"),
    [
        (gaussian_window(5, sigma=1.0), (0.2, 0.3, 0.5), True, 3, 0.4),
        (uniform_window(5), (1.0, 2.0, 3.0), False, 5, 20.0),
        (uniform_window(3), (0.1, 0.2, 0.3, 0.4), True, 3, 0.4),
        (uniform_window(7), (1.0,), True, 3, 0.4),
    ],
)
def test_matches_the_definition(window, weights, parent, size, noise, float64):
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.random((29, 34)) - 0.5, 1).clip(-1.5, 1.5) / 3 + 0.5
    x = (0.8 * y + 0.1 * rng.random(y.shape)).clip(0, 1)
    target = oracle(x, y, window, weights, parent, size, noise)
    assert 0.1 < target < 0.999

    @quick_jit
    def value(x, y):
        return iw_ssim(
            x,
            y,
            data_range=1.0,
            window=window,
            weights=weights,
            parent=parent,
            block_size=size,
            noise_variance=noise,
        )

    np.testing.assert_allclose(value(x[..., None], y[..., None]), target, rtol=1e-11)


def random_pair(shape, seed=0):
    keys = jax.random.split(jax.random.key(seed))
    y = jax.random.uniform(keys[0], shape, jnp.float32)
    return 0.7 * y + 0.3 * jax.random.uniform(keys[1], shape, jnp.float32), y


def test_equal_images_count_as_exactly_1():
    # Optimized as usual, since without that all sums are of one order and round alike.
    images = jax.random.uniform(jax.random.key(0), (8, 40, 47, 1))
    assert iw_ssim(images, images, **SMALL).tolist() == [1.0] * 8


def test_batches_broadcast():
    x, y = random_pair((3, 2, 20, 21, 1))
    values = small(x, y[1])
    assert values.shape == (3, 2)
    for index in [(0, 0), (2, 1)]:
        one = small(x[index], y[1, index[1]])
        np.testing.assert_allclose(values[index], one, rtol=1e-5)


def test_colour_is_compared_by_luma():
    x, y = random_pair((20, 21, 3))
    luma = jnp.array([[0.299], [0.587], [0.114]])
    gray = (jnp.matmul(i, luma, precision="highest") for i in (x, y))
    np.testing.assert_allclose(small(x, y), small(*gray), rtol=1e-5)


def test_dtypes_and_ranges():
    x, y = random_pair((20, 21, 1))
    whole = (255 * x).astype(jnp.uint8), (255 * y).astype(jnp.uint8)

    def value(images, data_range):
        options = SMALL | {"data_range": data_range, "weights": (1.0,)}
        return quick_jit(lambda x, y: iw_ssim(x, y, **options))(*images)

    target = value([i.astype(jnp.float32) / 255 for i in whole], 1.0)
    np.testing.assert_allclose(value(whole, None), target, rtol=1e-5)
    # bfloat16 holds whole numbers up to 256.
    half = value([i.astype(jnp.bfloat16) for i in whole], 255.0)
    assert half.dtype == jnp.float32
    np.testing.assert_allclose(half, target, rtol=1e-5)


PAIRS = {
    "identical": lambda r, s: (r, r),
    "flat": lambda r, s: (jnp.full_like(r, 0.5), jnp.full_like(r, 0.25)),
    "flat x": lambda r, s: (jnp.full_like(r, 0.25), r),
    "flat y": lambda r, s: (r, jnp.full_like(r, 0.25)),
    "black": lambda r, s: (jnp.zeros_like(r), jnp.zeros_like(r)),
    "white": lambda r, s: (jnp.ones_like(r), jnp.ones_like(r)),
    "anti-correlated": lambda r, s: (r, 1 - r),
    "random": lambda r, s: (s, r),
    "one pixel": lambda r, s: (r, r.at[8, 8].set(0.0)),
    "one pixel on flat images": lambda r, s: (
        jnp.full_like(r, 0.5),
        jnp.full_like(r, 0.5).at[8, 8].set(0.6),
    ),
    "stripes": lambda r, s: (r, jnp.zeros_like(r).at[:, ::2].set(1.0)),
    "half flat": lambda r, s: (r, r.at[:, 10:].set(0.5)),
}


def value_and_derivatives(x, y):
    """The value, its gradients g, and the gradients of Σ g², which are 2 H g."""

    def squared_gradient(x, y):
        value, gradients = jax.value_and_grad(small_value, (0, 1))(x, y)
        return sum((g**2).sum() for g in gradients), (value, gradients)

    second, first = jax.grad(squared_gradient, (0, 1), has_aux=True)(x, y)
    return *first, second


# Of one shape, since it takes long to compile.
all_derivatives = quick_jit(jax.vmap(value_and_derivatives))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_first_and_second_derivatives_are_finite(dtype):
    with jax.enable_x64(dtype == "float64"):
        s, r = random_pair((20, 21, 1))
        x, y = (jnp.stack(i) for i in zip(*(pair(r, s) for pair in PAIRS.values())))
        x, y = x.astype(dtype), y.astype(dtype)
        results = all_derivatives(x, y)
        results = jax.tree.map(np.asarray, results)
    results = [jax.tree.map(lambda a, i=i: a[i], results) for i in range(len(PAIRS))]
    results = dict(zip(PAIRS, results))
    for name, result in results.items():
        chex.assert_tree_all_finite(result, custom_message=name)
    values = {name: float(result[0]) for name, result in results.items()}
    for name in ("identical", "black", "white"):
        assert values[name] == pytest.approx(1, abs=1e-6)
    assert values["anti-correlated"] == 0
    # Without structure, the luminance of the residual is all that differs.
    a, b, c1 = 4 * 127.5, 4 * 63.75, 2.55**2
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    assert values["flat"] == pytest.approx(luminance**0.5, abs=1e-6)
    for name in ("random", "one pixel", "half flat"):
        assert 0.1 < values[name] < 1
        assert all(abs(g).max() > 1e-4 for g in results[name][1])


def test_derivatives_match_finite_differences(float64):
    x, y = (i.astype(jnp.float64) for i in random_pair((20, 21, 1), seed=1))

    def along(u, v, step):
        """Everything at two points on the line through x, y."""
        offsets = jnp.array([0, step, -step] + [0] * (len(PAIRS) - 3))
        offsets = offsets.reshape(-1, 1, 1, 1)
        return all_derivatives(x[None] + offsets * u[None], y[None] + offsets * v[None])

    u, v = (i.astype(jnp.float64) for i in random_pair((20, 21, 1), seed=2))
    values, (g, h), _ = along(u, v, 1e-5)
    slope = (g[0] * u).sum() + (h[0] * v).sum()
    np.testing.assert_allclose(slope, (values[1] - values[2]) / 2e-5, rtol=1e-6)

    # Along the gradients, since only their product with the Hessian is at hand.
    _, gradients, second = along(g[0], h[0], 1e-4)
    for gradient, exact in zip(gradients, second):
        difference = (gradient[1] - gradient[2]) / 1e-4
        largest = float(abs(difference).max())
        np.testing.assert_allclose(exact[0], difference, rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((24, 24, 1), (24, 23, 1)), {}, "x and y must have one shape up to"),
        (((24, 24),) * 2, {}, r"x must have the axes \[..., height, width, channels"),
        (((24, 24, 2),) * 2, {}, r"1 channel or 3 \(RGB\), got shape \(24, 24, 2"),
        (((2, 24, 24, 1), (3, 24, 24, 1)), {}, r"not broadcast.*\(2, 24.*\(3, 24"),
        (((24, 16, 1),) * 2, {}, "24x16 pixels are too small for 3 scales.*; 2 would"),
        (((24, 4, 1),) * 2, {}, "24x4 pixels.* take 17x17; 0 would fit"),
        (((24, 24, 1),) * 2, {"data_range": None}, "data_range is required"),
        (
            ((24, 24, 1),) * 2,
            {"data_range": 0.0},
            "data_range must be > 0 and finite, got 0.0",
        ),
        (((24, 24, 1),) * 2, {"k2": 0.0}, "k2 must be > 0 and finite, got 0.0"),
        (
            ((24, 24, 1),) * 2,
            {"noise_variance": -1.0},
            "noise_variance must be > 0 and finite",
        ),
        (((24, 24, 1),) * 2, {"weights": ()}, r"weights must be .*, got \(\)"),
        (((24, 24, 1),) * 2, {"weights": (1, 0)}, r"weights must be .*, got \(1, 0\)"),
        (((24, 24, 1),) * 2, {"block_size": 4}, "block_size must be odd and >= 3"),
        (((24, 24, 1),) * 2, {"block_size": 7}, "no smaller than block_size=7"),
        (((24, 24, 1),) * 2, {"window": uniform_window(4)}, "window must be of odd"),
    ],
)
def test_bad_input_names_the_argument(shapes, options, message, own_errors):
    x, y = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        iw_ssim(x, y, **(SMALL | options))


def test_range_is_checked_if_wished(own_errors):
    image = jnp.full((24, 24, 1), 2.0)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1.0\]"):
        iw_ssim(image, image, **SMALL, check_range=True)
    with pytest.raises(TypeError, match="both floating-point or both integer"):
        iw_ssim(image, image.astype(jnp.uint8), **SMALL)


def test_the_smallest_images_that_fit():
    image = jnp.zeros((17, 17, 1))
    assert jax.eval_shape(small_value, image, image).shape == ()
