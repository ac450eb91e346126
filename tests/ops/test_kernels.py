import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from ssimjax.ops.dissimilarity import contrast_structure_dissimilarity
from ssimjax.ops.euclidean import energy_kernel, imq_kernel, rbf_kernel
from ssimjax.ops.kernels import centred, ssim_distance_matrix, ssim_kernel
from ssimjax.ops.moments import image_moments
from ssimjax.ops.pairwise import chunk_and_batch
from ssimjax.ops.ssim import ssim, ssim_components
from ssimjax.ops.windows import GAUSSIAN_11, Window, gaussian_window, uniform_window

FORMS = ("exponential", "energy", "squared", "product", "sum")
WINDOW = uniform_window(4)


def patches(count=40, side=16):
    """Patches of photographs, [count, side, side, 3], with flat and equal ones."""
    rng = np.random.default_rng(0)
    image = skimage.data.astronaut() / 255.0
    corners = rng.integers(0, 512 - side, (count - 4, 2))
    cut = [image[i : i + side, j : j + side] for i, j in corners]
    flat = [np.full_like(cut[0], level) for level in (0.0, 0.5, 1.0)]
    return np.stack([*cut, cut[0], *flat])


def sets(n=3, m=4, shape=(9, 8, 2)):
    rng = np.random.default_rng(0)
    return rng.random((n, *shape)), rng.random((m, *shape))


def matrix_of(pairwise, x, y):
    return np.array([[float(pairwise(a, b)) for b in y] for a in x])


@pytest.mark.parametrize("window", [WINDOW, gaussian_window(5), Window((0.25, 0.75))])
@pytest.mark.parametrize("sample_covariance", [False, True])
def test_similarities_are_those_of_every_pair(window, sample_covariance, float64):
    x, y = sets()
    options = {
        "data_range": 1.0,
        "window": window,
        "sample_covariance": sample_covariance,
    }

    def added(a, b):
        maps = ssim_components(a, b, **options)
        return (maps.luminance + maps.contrast * maps.structure).mean()

    product = ssim_kernel(x, y, form="product", **options)
    chex.assert_shape(product, (3, 4))
    target = matrix_of(lambda a, b: ssim(a, b, **options), x, y)
    np.testing.assert_allclose(product, target, atol=1e-14)
    target = matrix_of(added, x, y)
    np.testing.assert_allclose(
        ssim_kernel(x, y, form="sum", **options), target, atol=1e-13
    )
    # D² = Σ (2 - l - cs) over 2 channels and all windows.
    rows, columns = (
        side - size + 1 for side, size in zip((9, 8), window.sizes(2), strict=True)
    )
    distances = ssim_distance_matrix(x, y, **options)
    root = np.sqrt(2 * rows * columns * (2 - target))
    np.testing.assert_allclose(distances, root, rtol=1e-12)


def test_centred_blocks_have_the_distance_of_equation_1(float64):
    x, y = sets()
    options = {"data_range": 1.0, "window": WINDOW, "form": "centred"}

    def distance(a, b):
        moments = image_moments(a, b, WINDOW, sample_covariance=True)
        return np.sqrt(contrast_structure_dissimilarity(moments, 0.03**2).sum())

    target = matrix_of(distance, x, y)
    np.testing.assert_allclose(
        ssim_distance_matrix(x, y, **options), target, rtol=1e-12
    )
    # One block of its own: ‖x - y‖ / sqrt(‖x‖² + ‖y‖² + (N - 1) C2), as printed.
    a, b = x[:, :4, :4, :1], y[:, :4, :4, :1]
    value = ssim_distance_matrix(a, b, **options)
    a, b = (z.reshape(-1, 16) - z.mean((1, 2, 3))[:, None] for z in (a, b))
    squared = ((a[:, None] - b) ** 2).sum(-1)
    norms = (a**2).sum(-1)[:, None] + (b**2).sum(-1) + 15 * 0.03**2
    np.testing.assert_allclose(value, np.sqrt(squared / norms), rtol=1e-12)
    shifted = ssim_distance_matrix(x, x + 0.5, **options)
    np.testing.assert_allclose(np.diagonal(shifted), 0.0)


def largest_excess(distances):
    """max of d(a, c) - d(a, b) - d(b, c) over all triples; a metric has none > 0."""
    d = np.asarray(distances)
    return (d[:, None] - d[..., None] - d[None]).max()


def blocks_of_many_scales(count=40):
    """Blocks [count, 4, 4, 1]: random, multiples of few, on few lines, and flat."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 16)) * 10.0 ** rng.uniform(-3, 1, (count, 1))
    x[10:20] = x[:1] * np.linspace(-2, 2, 10)[:, None]
    x[20:30] = x[1] + (x[2] - x[1]) * np.linspace(0, 1, 10)[:, None]
    x[30] = 0.5
    return x.reshape(-1, 4, 4, 1)


@pytest.mark.parametrize("form", ["centred", "uncentred"])
def test_the_distance_obeys_the_triangle_inequality(form, float64):
    # One window of the whole block: the 64000 triples are those of √(1 - cs) itself.
    x = blocks_of_many_scales()
    options = {"data_range": 1.0, "window": WINDOW}
    distances = ssim_distance_matrix(x, x, form=form, **options)
    assert largest_excess(distances) < 1e-12
    single = np.float32(x)
    assert largest_excess(
        ssim_distance_matrix(single, single, form=form, **options)
    ) < (1e-6)
    # Neither its square does, nor what is usually minimised.
    assert largest_excess(distances**2) > 0.1


def test_one_minus_ssim_violates_the_triangle_inequality(float64):
    options = {"data_range": 1.0, "window": WINDOW, "form": "product"}
    x = blocks_of_many_scales()
    assert largest_excess(1 - ssim_kernel(x, x, **options)) > 0.1
    # Grey levels: 0.4 and 0.6 are nearly twice as far apart as by way of 0.5.
    grey = np.broadcast_to([[[[0.4]]], [[[0.5]]], [[[0.6]]]], (3, 4, 4, 1))
    errors = 1 - ssim_kernel(grey, grey, **options)
    np.testing.assert_allclose(errors[0, 2], 0.04 / (0.52 + 1e-4), rtol=1e-9)
    assert errors[0, 2] > 1.8 * (errors[0, 1] + errors[1, 2])


def test_stride_takes_every_so_many_windows(float64):
    x, y = sets(shape=(12, 9, 2))
    options = {"data_range": 1.0, "window": uniform_window(3), "form": "product"}
    blocks = [
        ssim_kernel(x[:, i : i + 3, j : j + 3], y[:, i : i + 3, j : j + 3], **options)
        for i, j in itertools.product(range(0, 12, 3), range(0, 9, 3))
    ]
    value = ssim_kernel(x, y, stride=3, **options)
    np.testing.assert_allclose(value, sum(blocks) / len(blocks), rtol=1e-12)
    assert not np.allclose(value, ssim_kernel(x, y, **options), rtol=1e-3)


@pytest.mark.parametrize("shape", [(9, 2), (5, 6, 7, 2)])
def test_signals_and_volumes(shape, float64):
    x, y = sets(shape=shape)
    axes = len(shape) - 1
    options = {"data_range": 1.0, "window": WINDOW, "spatial_axes": axes}
    target = matrix_of(lambda a, b: ssim(a, b, sample_covariance=True, **options), x, y)
    value = ssim_kernel(x, y, form="product", **options)
    np.testing.assert_allclose(value, target, rtol=1e-12)


def test_forms_are_functions_of_the_distance(float64):
    x, y = sets()
    options = {"data_range": 1.0, "window": WINDOW}
    mean = np.asarray(ssim_distance_matrix(x, y, norm="mean", **options))
    kernel = functools.partial(ssim_kernel, x, y, **options)
    exponential = sum(np.exp(-g * mean**2) for g in (0.5, 2.0, 8.0, 32.0))
    np.testing.assert_allclose(kernel(), exponential, rtol=1e-12)
    gammas = (0.1, 3.0)
    exponential = sum(np.exp(-g * mean**2) for g in gammas)
    np.testing.assert_allclose(kernel(gammas=gammas), exponential, rtol=1e-12)
    np.testing.assert_allclose(kernel(form="energy"), -mean / 2, rtol=1e-12)
    np.testing.assert_allclose(kernel(form="squared"), -(mean**2) / 2, rtol=1e-12)
    frobenius = ssim_distance_matrix(x, y, **options)
    np.testing.assert_allclose(
        kernel(form="energy", norm="frobenius"), -frobenius / 2, rtol=1e-12
    )
    np.testing.assert_allclose(frobenius, mean * np.sqrt(6 * 5 * 2), rtol=1e-12)


def smallest_eigenvalue(gram):
    """Relative to the largest."""
    values = np.linalg.eigvalsh(np.asarray(gram))
    return values[0] / np.abs(values).max()


@pytest.mark.parametrize("blocks", ["uncentred", "centred"])
@pytest.mark.parametrize("window", [WINDOW, GAUSSIAN_11])
def test_kernels_of_photographs_are_positive_semi_definite(window, blocks, float64):
    x = patches()
    options = {"data_range": 1.0, "window": window}
    grams = {
        form: ssim_kernel(x, x, form=form, blocks=blocks, **options) for form in FORMS
    }
    for form, gram in grams.items():
        if form in ("energy", "squared"):
            assert smallest_eigenvalue(gram) < -0.1, form
            gram = centred(gram)
        assert smallest_eigenvalue(gram) > -1e-13, form
    distances = np.asarray(ssim_distance_matrix(x, x, form=blocks, **options))
    h = np.eye(len(x)) - 1 / len(x)
    printed = -h @ distances @ h / 2
    assert smallest_eigenvalue(printed) > -1e-13
    ours = ssim_kernel(x, x, form="energy", blocks=blocks, norm="frobenius", **options)
    np.testing.assert_allclose(centred(ours), printed, atol=1e-12 * distances.max())


def test_fractional_powers_of_ssim_are_not_positive_semi_definite(float64):
    # One 4x4 window of one channel per patch, so that the kernel is SSIM itself.
    x = patches(side=4)[..., :1]
    gram = np.asarray(ssim_kernel(x, x, data_range=1.0, window=WINDOW, form="product"))
    assert smallest_eigenvalue(gram) > -1e-13
    assert smallest_eigenvalue(np.sign(gram) * np.abs(gram) ** 0.3) < -0.02


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_a_set_with_itself_has_a_zero_diagonal(dtype):
    x = jnp.asarray(patches(), dtype)
    for window in (WINDOW, GAUSSIAN_11, uniform_window(16)):
        distances = ssim_distance_matrix(x, x, data_range=1.0, window=window)
        assert distances.dtype == jnp.float32
        chex.assert_trees_all_equal(jnp.diagonal(distances), jnp.zeros(len(x)))
        assert distances[0, 36] == 0, "a copy"
        with jax.enable_x64(True):
            exact = ssim_distance_matrix(
                x.astype(jnp.float64),
                x.astype(jnp.float64),
                data_range=1.0,
                window=window,
                norm="mean",
            )
        assert (distances > 0)[np.asarray(exact) > 3e-3].all()


def test_float32_is_near_float64():
    x = patches()
    options = {"data_range": 1.0, "form": "squared", "window": GAUSSIAN_11}
    single = x.astype(np.float32)
    value = np.asarray(ssim_kernel(single, single, **options))
    assert value.dtype == np.float32
    with jax.enable_x64(True):
        exact = np.asarray(
            ssim_kernel(single.astype(float), single.astype(float), **options)
        )
    assert exact.dtype == np.float64
    np.testing.assert_allclose(value, exact, atol=1e-6)


def test_integers_take_the_range_of_their_dtype():
    x = skimage.data.camera()[:48].reshape(3, 16, 512, 1)[:, :, :16]
    floats = x.astype(np.float32)
    chex.assert_trees_all_close(
        ssim_kernel(x, x), ssim_kernel(floats, floats, data_range=255.0)
    )
    chex.assert_trees_all_close(
        rbf_kernel(x, x, bandwidths=(1e3,)),
        rbf_kernel(floats, floats, bandwidths=[1e3]),
    )


def degenerate(flat):
    """Identical, flat, black, white, anti-correlated, random, one pixel different."""
    r = jax.random.uniform(jax.random.key(0), (6, 6, 1))
    images = [r, r, 1 - r, r[::-1], r.at[3, 3].add(1e-3), r.at[3, 3].set(0.0)]
    images += [jnp.full_like(r, level) for level in (0.0, 0.5, 1.0)]
    stacked = jnp.stack(images)
    return stacked.reshape(len(stacked), -1) if flat else stacked


KERNELS = {
    form: functools.partial(ssim_kernel, data_range=1.0, window=WINDOW, form=form)
    for form in FORMS
} | {
    "centred blocks": functools.partial(
        ssim_kernel, data_range=1.0, window=WINDOW, form="energy", blocks="centred"
    ),
    "rbf": functools.partial(rbf_kernel, bandwidths=(0.5, 2.0)),
    "imq": imq_kernel,
    "euclidean energy": energy_kernel,
}


@pytest.mark.parametrize("name", KERNELS)
def test_first_and_second_derivatives_are_finite(name):
    x = degenerate(flat=name in ("rbf", "imq"))
    weights = jax.random.normal(jax.random.key(1), (len(x), len(x)))

    def value(x, y):
        return (weights * KERNELS[name](x, y)).sum()

    def squared_gradient(x, y):
        gradients = jax.grad(value, (0, 1))(x, y)
        return sum((g**2).sum() for g in gradients), gradients

    found = jax.jit(jax.grad(squared_gradient, (0, 1), has_aux=True))(x, x)
    chex.assert_tree_all_finite(found)


@pytest.mark.parametrize("name", ["energy", "rbf"])
def test_vmap_and_sets_with_themselves(name):
    x = degenerate(flat=name == "rbf")

    def gradient(x):
        return jax.grad(lambda x: KERNELS[name](x, x).sum())(x)

    mapped = jax.jit(jax.vmap(gradient))(jnp.stack([x, x[::-1]]))
    chex.assert_tree_all_finite(mapped)
    chex.assert_trees_all_close(mapped[1], gradient(x[::-1]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", KERNELS)
def test_derivatives_match_finite_differences(name, float64):
    x, y = (jnp.asarray(z) for z in sets(2, 3, (5, 6, 1)))
    order = 2 if name == "exponential" else 1
    jax.test_util.check_grads(
        jax.jit(KERNELS[name]), (x, y), order, modes=["rev"], rtol=1e-4, atol=1e-6
    )


def test_distance_at_equal_images_has_no_gradient(float64):
    x = jnp.asarray(patches(5))

    def trace(x, y):
        distances = ssim_distance_matrix(x, y, data_range=1.0, window=WINDOW)
        return jnp.trace(distances)

    value, gradients = jax.value_and_grad(trace, (0, 1))(x, x)
    assert value == 0.0
    chex.assert_trees_all_equal(gradients, (jnp.zeros_like(x),) * 2)


@pytest.mark.parametrize("max_bytes", [1, 10**5, 10**6])
def test_memory_changes_nothing_but_the_chunks(max_bytes, float64):
    x, y = (jnp.asarray(z) for z in sets())

    def gradients(max_bytes):
        def total(x, y):
            return ssim_kernel(
                x, y, data_range=1.0, window=WINDOW, max_bytes=max_bytes
            ).sum()

        return jax.jit(jax.value_and_grad(total, (0, 1)))(x, y)

    # 6 x 5 x 2 windows: one by one, or in more than one chunk, or all at once.
    chunk, _ = chunk_and_batch(
        3, 4, pixels=16, windows=60, itemsize=8, max_bytes=max_bytes
    )
    assert {1: chunk == 1, 10**5: 1 < chunk < 60, 10**6: chunk == 60}[max_bytes]
    chex.assert_trees_all_close(gradients(max_bytes), gradients(2**28), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 10, 200, 1000, 3000])
@pytest.mark.parametrize("max_bytes", [2**24, 2**28, 2**30])
def test_chunks_cover_the_windows_and_keep_to_the_budget(n, max_bytes):
    windows, pixels = 54 * 54 * 3, 121
    chunk, batch = chunk_and_batch(
        n, n, pixels=pixels, windows=windows, itemsize=4, max_bytes=max_bytes
    )
    assert batch >= 1
    assert chunk % batch == 0
    # Four copies of the windows cut out, and twelve of the matrices.
    used = 4 * (4 * chunk * pixels * 2 * n + 12 * batch * n * n)
    assert used <= max_bytes or (chunk, batch) == (1, 1)
    wasted = -windows % chunk
    assert wasted < chunk
    assert wasted <= 0.05 * windows


def test_the_gradient_keeps_to_its_budget():
    x = jax.ShapeDtypeStruct((100, 24, 24, 3), jnp.float32)

    def memory(max_bytes):
        def total(x, y):
            return ssim_kernel(x, y, data_range=1.0, max_bytes=max_bytes).sum()

        gradient = jax.jit(jax.grad(total, (0, 1)))
        return gradient.lower(x, x).compile().memory_analysis().temp_size_in_bytes

    # x and y, transposed and again as gradients, come on top: 4 x 0.7 MB.
    assert memory(2**24) < 2**24 + 2**22
    assert memory(2**27) < 2**27
    assert memory(2**27) > 2 * memory(2**24)


IMAGES = (2, 16, 16, 1)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        ((IMAGES, (2, 16, 15, 1)), {}, r"x and y must be sets .* of one shape, got"),
        ((IMAGES, (0, 16, 16, 1)), {}, r"y must be a set .* n >= 1 .* \(0, 16, 16, 1"),
        (((2, 16, 1),) * 2, {}, "with 2 spatial axes, got shapes"),
        (((2, 6, 16, 1),) * 2, {}, "image is 6x16 pixels, smaller than the window"),
        ((IMAGES,) * 2, {"data_range": None}, "data_range is required"),
        ((IMAGES,) * 2, {"stride": 0}, "stride must be >= 1 pixel, got 0"),
        (
            (IMAGES,) * 2,
            {"gammas": (1.0, 0.0)},
            "gammas must be a sequence of one or more",
        ),
        ((IMAGES,) * 2, {"gammas": 1.0}, "gammas must be a sequence .* > 0, got 1.0"),
        ((IMAGES,) * 2, {"gammas": ()}, r"gammas must be .* > 0, got \(\)"),
        ((IMAGES,) * 2, {"form": "rbf"}, "form must be one of .*'energy'.*got 'rbf'"),
        ((IMAGES,) * 2, {"norm": "max"}, "norm must be 'frobenius' or 'mean', got"),
        ((IMAGES,) * 2, {"blocks": "raw"}, "blocks must be 'uncentred' or 'centred'"),
        ((IMAGES,) * 2, {"k2": 0.0}, "k2 must be > 0 and finite, got 0.0"),
        ((IMAGES,) * 2, {"max_bytes": 0}, "max_bytes must be > 0, got 0"),
        ((IMAGES,) * 2, {"window": uniform_window(1)}, "has no sample covariance"),
    ],
)
def test_bad_input_names_the_argument(shapes, options, message, own_errors):
    x, y = (jnp.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        ssim_kernel(x, y, **({"data_range": 1.0} | options))


def test_bad_vectors_and_matrices_name_the_argument(own_errors):
    x = jnp.zeros((2, 3))
    with pytest.raises(
        ValueError,
        match="bandwidths must be a sequence of one or more finite",
    ):
        rbf_kernel(x, x, bandwidths=(0.0,))
    with pytest.raises(ValueError, match="x and y must be sets"):
        rbf_kernel(x, x[:, :2], bandwidths=(1.0,))
    with pytest.raises(ValueError, match="x must be a set"):
        imq_kernel(x[0], x)
    with pytest.raises(ValueError, match=r"scales must be .*, got \(-1.0,\)"):
        imq_kernel(x, x, scales=(-1.0,))
    with pytest.raises(ValueError, match="sigma must be"):
        imq_kernel(x, x, sigma=0.0)
    with pytest.raises(ValueError, match="gram must be a square matrix"):
        centred(x)
    with pytest.raises(TypeError, match="x and y must be both floating-point or both"):
        ssim_kernel(jnp.zeros(IMAGES), jnp.zeros(IMAGES, jnp.uint8))
