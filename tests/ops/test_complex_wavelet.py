import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from ssimjax.ops import cw_ssim, steerable_pyramid
from ssimjax.ops.ssim import ssim
from ssimjax.ops.windows import gaussian_window, uniform_window

CAMERA = skimage.data.camera().astype(np.float64)[..., None]
# Small enough for second derivatives in a moment.
SMALL = {"levels": 2, "orientations": 3, "window": uniform_window(3)}


@functools.cache
def jitted(**options):
    return jax.jit(functools.partial(cw_ssim, **options))


@functools.partial(jax.jit, static_argnames=("levels", "orientations"))
def pyramid_of(image, *, levels, orientations):
    return steerable_pyramid(image, levels=levels, orientations=orientations)


def energy(array):
    return float((np.abs(np.asarray(array)) ** 2).sum())


@pytest.mark.parametrize(
    ("shape", "levels", "orientations"),
    [((64, 96), 4, 8), ((66, 50), 3, 5), ((65, 47), 4, 2)],
)
def test_pyramid_is_a_tight_frame(shape, levels, orientations, float64):
    image = jnp.asarray(np.random.default_rng(0).random((*shape, 2)))
    build = functools.partial(pyramid_of, levels=levels, orientations=orientations)
    pyramid = build(image)
    parts = (pyramid.highpass, *pyramid.bands, pyramid.lowpass)
    np.testing.assert_allclose(sum(map(energy, parts)), energy(image), rtol=1e-12)
    for level, band in enumerate(pyramid.bands):
        sides = tuple(math.ceil(side / 2**level) for side in shape)
        assert band.shape == (*sides, 2, orientations)
    assert pyramid.lowpass.shape[:2] == tuple(math.ceil(s / 2**levels) for s in shape)

    # Of real numbers, so that the transpose has no say about conjugates.
    def numbers(image):
        p = build(image)
        return p.highpass, p.lowpass, [(band.real, band.imag) for band in p.bands]

    analysis, synthesis = jax.vjp(numbers, image)
    np.testing.assert_allclose(synthesis(analysis)[0], image, atol=1e-12)


def test_pyramid_matches_plenoptic(float64):
    # plenoptic 2.1.1, SteerablePyramidFreq((64, 96), height=3, order=3,
    # is_complex=True, tight_frame=True).double(). Its masks are read from tables, which
    # leaves errors of 5e-6 of the largest coefficients (45, 72 and 159).
    pyramid = pyramid_of(CAMERA[100:164, 200:296], levels=3, orientations=4)
    golden = {
        (0, 0, 30, 40): 0.65076567 - 0.37060162j,
        (0, 1, 5, 70): -0.68264286 - 1.34542892j,
        (1, 2, 10, 20): 3.39612390 - 3.91604077j,
        (1, 3, 31, 47): 4.82441858 + 2.24453252j,
        (2, 0, 7, 9): -14.61607930 - 10.65138252j,
        (2, 3, 15, 3): -0.41319665 + 0.66278082j,
    }
    for (level, orientation, row, column), target in golden.items():
        value = complex(pyramid.bands[level][row, column, 0, orientation])
        assert abs(value - target) < 4e-4 * 2**level, (level, orientation, value)
    np.testing.assert_allclose(pyramid.highpass[30, 40, 0], -0.55968232, atol=2e-4)
    np.testing.assert_allclose(pyramid.lowpass[3, 5, 0], 277.07500838, atol=1e-3)


def test_a_wave_excites_its_level_and_orientation(float64):
    # Eight periods in 64 columns: the middle of level 2, orientation 0.
    wave = jnp.broadcast_to(jnp.cos(2 * np.pi * 8 * jnp.arange(64) / 64), (32, 64))
    pyramid = pyramid_of(wave[..., None], levels=3, orientations=4)
    # α = 2³ 3! / √(4 · 6!) times √2 · amplitude / 2, times 2 for the coarser grid. Of
    # the last orientation the opposite half of the wave lies in the open half plane.
    alpha = 8 * 6 / math.sqrt(4 * 720)
    cosines = np.abs(np.cos(np.pi * np.arange(4) / 4))
    target = math.sqrt(2) * alpha * cosines**3
    moduli = np.abs(np.asarray(pyramid.bands[1]))[..., 0, :]
    np.testing.assert_allclose(
        moduli, np.broadcast_to(target, moduli.shape), atol=1e-12
    )
    for other in (pyramid.bands[0], pyramid.bands[2], pyramid.lowpass):
        np.testing.assert_allclose(other, jnp.zeros_like(other), atol=1e-12)


@pytest.mark.parametrize(
    ("levels", "orientations", "without", "with_k"),
    [
        (2, 4, 0.71193367687, 0.93276156222),
        (3, 16, 0.93614238135, 0.97538486771),
    ],
)
def test_matches_the_authors_formula(levels, orientations, without, with_k, float64):
    # The steps of the authors' cwssim_index.m in SciPy 1.17.1 on the bands of pyrtools
    # 1.1.1, SteerablePyramidFreq(height=levels, order=orientations - 1,
    # is_complex=True), with K = 0 and K = 2 · 4^(levels-1) (0.1 · 255)². With the
    # tables of pyrtools made finer, the numbers agree to 1e-12.
    x, y = CAMERA[100:196, 150:246], CAMERA[103:199, 152:248]
    for k, target in ((0.0, without), (0.1, with_k)):
        value = jitted(data_range=255.0, levels=levels, orientations=orientations, k=k)
        np.testing.assert_allclose(value(x, y), target, atol=2e-6)


@pytest.mark.parametrize("weighting", ["gaussian", "uniform"])
def test_options_match_a_loop(weighting, float64):
    x, y = CAMERA[100:165, 150:221], CAMERA[101:166, 152:223]
    window, guard, k = gaussian_window(5, sigma=1.0), 5, 0.02
    value = jitted(
        data_range=255.0,
        levels=3,
        level=(1, 3),
        orientations=4,
        window=window,
        k=k,
        guard=guard,
        weighting=weighting,
    )(x, y)
    px, py = (pyramid_of(image, levels=3, orientations=4) for image in (x, y))
    taps = np.outer(window.taps, window.taps)
    c = (k * 255) ** 2
    of_levels = []
    for level, edge in ((1, 5), (3, 2)):
        bands = [np.asarray(p.bands[level - 1])[:, :, 0] for p in (px, py)]
        rows, columns = bands[0].shape[:2]
        bx, by = (b[edge : rows - edge, edge : columns - edge] for b in bands)
        high, wide = bx.shape[0] - 4, bx.shape[1] - 4
        total = np.zeros(4)
        norm = 0.0
        for i in range(high):
            for j in range(wide):
                u, v = bx[i : i + 5, j : j + 5], by[i : i + 5, j : j + 5]
                z = np.einsum("ij,ijb->b", taps, u * v.conj())
                e = np.einsum("ij,ijb->b", taps, abs(u) ** 2 + abs(v) ** 2)
                weight = 1.0
                if weighting == "gaussian":
                    down = (i - (high - 1) / 2) / (rows / 4)
                    right = (j - (wide - 1) / 2) / (columns / 4)
                    weight = math.exp(-(down**2 + right**2) / 2)
                total += weight * (2 * abs(z) + c) / (e + c)
                norm += weight
        of_levels.append((total / norm).mean())
    np.testing.assert_allclose(value, np.mean(of_levels), rtol=1e-10)


def test_a_level_does_not_depend_on_how_many_follow():
    x, y = CAMERA[:64, :64] / 255, CAMERA[2:66, :64] / 255
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    alone = jitted(data_range=1.0, levels=2)(x, y)
    among = jitted(data_range=1.0, levels=4, level=2)(x, y)
    np.testing.assert_allclose(alone, among, rtol=1e-6)


@pytest.mark.parametrize(("side", "k"), [(64, 0.01), (96, 0.0)])
def test_equal_images_count_as_1_and_order_does_not_matter(side, k):
    x, y = jax.random.uniform(jax.random.key(0), (2, 3, side, side, 2))
    value = jitted(data_range=1.0, k=k)
    np.testing.assert_allclose(value(x, x), np.ones(3), atol=1e-6)
    np.testing.assert_allclose(value(x, y), value(y, x), rtol=1e-6)
    assert bool((value(x, y) >= 0).all()) and bool((value(x, y) < 0.9).all())


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (2, 0), (2, 2)])
def test_nearly_blind_to_small_translations(shift):
    down, right = shift
    x = jnp.asarray(CAMERA[100:228, 150:278], jnp.float32)
    y = jnp.asarray(
        CAMERA[100 + down : 228 + down, 150 + right : 278 + right], jnp.float32
    )
    wavelet = jitted(data_range=255.0)(x, y)
    pixel = ssim(x, y, data_range=255.0)
    assert wavelet > 0.985
    assert pixel < 0.85
    # Nor does the change look like none.
    assert wavelet < 1 - 1e-5


def test_translation_costs_less_than_a_change_of_structure():
    x = jnp.asarray(CAMERA[100:228, 150:278], jnp.float32)
    moved = jnp.asarray(CAMERA[102:230, 151:279], jnp.float32)
    other = jnp.asarray(CAMERA[300:428, 250:378], jnp.float32)
    value = jitted(data_range=255.0)
    assert value(x, moved) > 0.98 > 0.8 > value(x, other)


def test_finer_levels_forgive_less():
    x = jnp.asarray(CAMERA[100:228, 150:278], jnp.float32)
    y = jnp.asarray(CAMERA[102:230, 150:278], jnp.float32)
    fine, coarse = (jitted(data_range=255.0, levels=n)(x, y) for n in (2, 4))
    assert fine < coarse - 0.05


def test_guard_keeps_the_opposite_border_out(float64):
    x = np.random.default_rng(0).random((96, 96, 1))
    y = x.copy()
    y[:, :2] = 0.0
    open_, guarded = (
        jitted(data_range=1.0, levels=2, guard=guard, weighting="uniform")(x, y)
        for guard in (0, 24)
    )
    assert 1 - guarded < 0.05 * (1 - open_)


def test_batches_channels_and_broadcasting():
    x = jax.random.uniform(jax.random.key(0), (2, 3, 33, 34, 2))
    y = jax.random.uniform(jax.random.key(1), (3, 33, 34, 2))
    value = jitted(data_range=1.0, **SMALL)
    values = value(x, y)
    assert values.shape == (2, 3)
    one_by_one = jax.vmap(jax.vmap(value), (0, None))(x, y)
    np.testing.assert_allclose(values, one_by_one, rtol=1e-5)
    channels = [value(x[1, 2, ..., c, None], y[2, ..., c, None]) for c in range(2)]
    np.testing.assert_allclose(values[1, 2], sum(channels) / 2, rtol=1e-5)
    assert jax.eval_shape(value, y[:, None], x[:, None]).shape == (2, 3, 3)


def test_integers_take_the_range_of_their_dtype():
    x = jax.random.randint(jax.random.key(0), (24, 24, 1), 0, 256).astype(jnp.uint8)
    y = x[::-1]
    # A stabiliser large enough for the range to matter.
    value = jitted(k=0.3, **SMALL)(x, y)
    floats = x.astype(jnp.float32), y.astype(jnp.float32)
    target = jitted(data_range=255.0, k=0.3, **SMALL)(*floats)
    np.testing.assert_allclose(value, target, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_computed_in_float32_or_wider(dtype, float64):
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(rng.random((24, 24, 1))).astype(dtype) for _ in range(2))
    single = jitted(data_range=1.0, **SMALL)(x, y)
    double = jitted(data_range=1.0, **SMALL)(x.astype("float64"), y.astype("float64"))
    assert single.dtype == (jnp.float64 if dtype == "float64" else jnp.float32)
    np.testing.assert_allclose(single, double, atol=1e-6)


PAIRS = {
    "identical": lambda r: (r, r),
    "flat": lambda r: (jnp.full_like(r, 0.5), jnp.full_like(r, 0.1)),
    "one flat": lambda r: (r, jnp.full_like(r, 0.1)),
    "black": lambda r: (jnp.zeros_like(r), jnp.zeros_like(r)),
    "white": lambda r: (jnp.ones_like(r), jnp.ones_like(r)),
    "anti-correlated": lambda r: (r, 1 - r),
    "random": lambda r: (r, r[::-1]),
    "one pixel": lambda r: (r, r.at[8, 8].set(0.0)),
    "one pixel on black": lambda r: (
        jnp.zeros_like(r),
        jnp.zeros_like(r).at[8, 8].set(1),
    ),
    "faint": lambda r: (1e-12 * r, 1e-12 * r[::-1]),
    "half black": lambda r: (r.at[:10].set(0.0), r[::-1].at[:10].set(0.0)),
    "stripes": lambda r: (
        jnp.broadcast_to(jnp.cos(jnp.pi / 4 * jnp.arange(16))[:, None, None], r.shape),
        jnp.broadcast_to(jnp.sin(jnp.pi / 4 * jnp.arange(16))[:, None, None], r.shape),
    ),
}


@pytest.mark.parametrize("k", [0.0, 0.01])
def test_first_and_second_derivatives_are_finite(k):
    r = jax.random.uniform(jax.random.key(0), (16, 16, 1))
    x, y = (jnp.stack(images) for images in zip(*(pair(r) for pair in PAIRS.values())))
    # Without a stabiliser, gradients of a faint pair are 1e12: their squares overflow.
    unit = jnp.asarray([1e-12 if name == "faint" else 1.0 for name in PAIRS])
    value = functools.partial(cw_ssim, data_range=1.0, k=k, **SMALL)

    @jax.jit
    @jax.vmap
    @functools.partial(jax.grad, argnums=(0, 1), has_aux=True)
    def derivatives(x, y, unit):
        result, gradient = jax.value_and_grad(value, (0, 1))(x, y)
        return sum(((unit * g) ** 2).sum() for g in gradient), (result, gradient)

    second, (values, first) = derivatives(x, y, unit)
    for i, name in enumerate(PAIRS):
        case = jax.tree.map(lambda leaf, i=i: leaf[i], (values, first, second))
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(case)), (
            name
        )
        assert 0 <= values[i] <= 1 + 1e-6, name
        # A negative is a phase of π, and a quarter of a wave one of π/2.
        if name in (
            "identical",
            "anti-correlated",
            "flat",
            "black",
            "white",
            "stripes",
        ):
            assert values[i] > 1 - 1e-5, name
        if name in ("random", "one flat", "one pixel on black"):
            assert values[i] < 0.9, name


@pytest.mark.parametrize("k", [0.0, 0.3])
def test_derivatives_match_finite_differences(k, float64):
    rng = np.random.default_rng(0)
    x, y, along_x, along_y = (jnp.asarray(rng.random((9, 10, 1))) for _ in range(4))

    def value(at):
        return cw_ssim(x + at * along_x, y - at * along_y, data_range=1.0, k=k, **SMALL)

    def slope(at):
        result, derivative = jax.value_and_grad(value)(at)
        return derivative, result

    step = 1e-5
    derivatives = jax.jit(jax.vmap(jax.value_and_grad(slope, has_aux=True)))
    (slopes, values), bends = derivatives(jnp.asarray([-step, 0.0, step]))
    np.testing.assert_allclose(
        slopes[1], (values[2] - values[0]) / (2 * step), rtol=1e-6
    )
    np.testing.assert_allclose(
        bends[1], (slopes[2] - slopes[0]) / (2 * step), rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(64, 64, 1), (63, 90, 2)])
def test_flat_bands_count_as_1_with_gradient_0(shape):
    # 0.1 and 0.7 have means that round.
    x, y = jnp.full(shape, 0.1), jnp.full(shape, 0.7)
    value = functools.partial(cw_ssim, data_range=1.0, k=0.0, levels=3)
    result, gradients = jax.jit(jax.value_and_grad(value, (0, 1)))(x, y)
    np.testing.assert_allclose(result, 1.0, atol=1e-6)
    chex.assert_trees_all_equal(gradients, (jnp.zeros(shape), jnp.zeros(shape)))


def test_rounding_errors_are_not_compared():
    # Two fine waves, of which nothing but rounding errors is left at level 3.
    row, column = jnp.mgrid[:80, :80]
    x = jnp.cos(2 * np.pi * ((20 * row + 28 * column) % 80) / 80)[..., None]
    y = jnp.cos(2 * np.pi * ((31 * row + 7 * column) % 80) / 80)[..., None]
    value = jitted(data_range=1.0, k=0.0, levels=3)
    np.testing.assert_allclose(value(x, y), 1.0, atol=1e-6)


def test_without_stabiliser_the_unit_of_the_images_does_not_matter():
    x, y = jax.random.uniform(jax.random.key(0), (2, 32, 32, 1))
    value = jitted(data_range=1.0, k=0.0, **SMALL)
    for unit in (1e-15, 1e15):
        np.testing.assert_allclose(value(unit * x, unit * y), value(x, y), rtol=1e-5)
    np.testing.assert_allclose(value(x + 100, y - 100), value(x, y), atol=1e-4)


def test_float32_is_within_2e_6_of_float64():
    x, y = CAMERA[100:196, 150:246], CAMERA[103:199, 152:248]
    value = jitted(data_range=255.0)
    single = value(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    with jax.enable_x64(True):
        double = value(x, y)
    np.testing.assert_allclose(single, double, atol=2e-6)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((64, 64, 1), (64, 63, 1)), {}, "x and y must have one shape up to leading"),
        (
            ((2, 64, 64, 1), (3, 64, 64, 1)),
            {},
            r"leading axes of x and y do not broadcast: shapes \(2, .* and \(3, ",
        ),
        (((64, 64),) * 2, {}, r"x must have the axes \[..., height, width, channels"),
        (((64, 64, 0),) * 2, {}, "x and y have an empty axis"),
        (((64, 64, 1),) * 2, {"data_range": None}, "data_range is required"),
        (
            ((64, 64, 1),) * 2,
            {"data_range": 0.0},
            "data_range must be > 0 and finite, got 0.0",
        ),
        (((64, 64, 1),) * 2, {"levels": 0}, "levels must be >= 1, got 0"),
        (((64, 64, 1),) * 2, {"levels": 6}, "levels=6 do not fit .* 64x64 .* most 5"),
        (
            ((96, 48, 1),) * 2,
            {},
            "level 4 of images of 96x48 .* 12x6, .* at most 3 lev",
        ),
        (((64, 64, 1),) * 2, {"guard": 8}, "window of 7x7 and guard=8: at most 3"),
        (((64, 64, 1),) * 2, {"guard": -1}, "guard must be >= 0 pixels, got -1"),
        (((64, 64, 1),) * 2, {"level": 5}, "level must be .* 1 to levels=4, got 5"),
        (((64, 64, 1),) * 2, {"level": ()}, r"level must be .*, got \(\)"),
        (((64, 64, 1),) * 2, {"orientations": 1}, "orientations must be >= 2, got 1"),
        (((64, 64, 1),) * 2, {"k": -0.1}, "k must be >= 0, got -0.1"),
        (((64, 64, 1),) * 2, {"weighting": "none"}, "weighting must be 'gaussian'"),
    ],
)
def test_bad_input_names_the_argument(shapes, options, message, own_errors):
    x, y = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        cw_ssim(x, y, **({"data_range": 1.0} | options))


def test_other_dtypes_are_refused(own_errors):
    floats, integers = jnp.zeros((64, 64, 1)), jnp.zeros((64, 64, 1), jnp.uint8)
    with pytest.raises(TypeError, match="both integer, got float32 and uint8"):
        cw_ssim(floats, integers, data_range=1.0)
    with pytest.raises(TypeError, match="both integer, got bool and bool"):
        cw_ssim(floats > 0, floats > 0, data_range=1.0)
    with pytest.raises(TypeError, match="image must be floating-point or integer"):
        steerable_pyramid(floats + 0j, levels=1, orientations=2)
