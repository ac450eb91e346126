"""What an autoencoder is asked beside reconstruction: nothing, KL or MMD to a prior.

A regulariser is a function of key, model and images to the codes that are decoded, and
a penalty. The prior is a standard normal distribution.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ssimjax.nn import Autoencoder, VariationalAutoencoder
from ssimjax.ops import imq_kernel, mmd

Regulariser = Callable[[PRNGKeyArray, Any, Array], tuple[Array, Array]]


def none(
    key: PRNGKeyArray, model: Autoencoder, images: Float[Array, "b h w c"]
) -> tuple[Float[Array, "b code"], Float[Array, ""]]:
    """Codes as they are, and no penalty.

    Args:
      key: not used.
      model: an autoencoder.
      images: in [0, 1].

    Returns:
      Codes and 0.
    """
    del key
    return model.encode(images), jnp.float32(0)


def kl(
    key: PRNGKeyArray, model: VariationalAutoencoder, images: Float[Array, "b h w c"]
) -> tuple[Float[Array, "b code"], Float[Array, ""]]:
    """Codes drawn from the posterior, and how far it is from the prior.

        KL = ½ Σ_units (μ² + σ² - 1 - log σ²), the mean over images

    Args:
      key: of the draw.
      model: a variational autoencoder.
      images: in [0, 1].

    Returns:
      Codes μ + σ ε, and the divergence in nats, >= 0.

    References:
      Kingma and Welling 2014, Auto-encoding variational Bayes, Eq. 10.
    """
    mean, log_variance = model.posterior(images)
    noise = jax.random.normal(key, mean.shape)
    codes = mean + jnp.exp(log_variance / 2) * noise
    divergences = mean**2 + jnp.expm1(log_variance) - log_variance
    return codes, divergences.sum(-1).mean() / 2


def mmd_to_prior(
    key: PRNGKeyArray, model: Autoencoder, images: Float[Array, "b h w c"]
) -> tuple[Float[Array, "b code"], Float[Array, ""]]:
    """Codes as they are, and the MMD of a batch of them to draws from the prior.

    The kernel is the mixture of inverse multiquadrics of Wasserstein autoencoders, the
    estimator the unbiased one, which may be negative.

    Args:
      key: of the draws.
      model: an autoencoder.
      images: in [0, 1], two or more.

    Returns:
      Codes and MMD².

    References:
      Tolstikhin et al. 2018, Wasserstein auto-encoders, Algorithm 2.
      Lu 2019, The level weighted structural similarity loss ("MMD AE").
    """
    codes = model.encode(images)
    prior = jax.random.normal(key, codes.shape)
    return codes, mmd(prior, codes, imq_kernel, estimator="unbiased")


REGULARISERS: Mapping[str, tuple[type[Autoencoder], Regulariser]] = {
    "none": (Autoencoder, none),
    "kl": (VariationalAutoencoder, kl),
    "mmd": (Autoencoder, mmd_to_prior),
}


def by_name(name: str) -> tuple[type[Autoencoder], Regulariser]:
    """A regulariser, and the class of models that it needs.

    Args:
      name: "none", "kl" or "mmd".

    Returns:
      The class and the function.

    Raises:
      ValueError: if there is no such name.
    """
    if name not in REGULARISERS:
        raise ValueError(
            f"regulariser.name must be one of {sorted(REGULARISERS)}, got {name!r}"
        )
    return REGULARISERS[name]
