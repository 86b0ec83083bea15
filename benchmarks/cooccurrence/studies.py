"""The named lists of cases; later ones reuse the runs of earlier ones."""

import itertools

from benchmarks.cooccurrence.run_case import Case
from benchmarks.cooccurrence.scenes import (
    CHARACTERS,
    FASHION,
    MUJOCO,
    NOISE,
    REAL,
    REGIMES,
    SPRITES,
)
from benchmarks.cooccurrence.variants import ENCODERS, FRAMEWORKS, VARIANTS

RHOS = (0.0, 0.5, 0.8, 0.95, 1.0)
CLAIM = (
    *("supervised", "untrained", "plain", "plain at 0.2", "default", "mean-residual operator"),
    "paper",
)
BEYOND = ("supervised", "untrained", "plain", "plain at 0.2", "default", "mean-residual operator")
# The motion view supposes a camera at rest.
REAL_VARIANTS = (*BEYOND, "no motion view")


def claim(seeds):
    """The claim itself: both regimes, per-frame encoder, against plain, the control and the published form."""
    return _every(seeds, regime=REGIMES, variant=CLAIM)


def encoders(seeds):
    """The same with temporal kernels, late or throughout, and what may keep the static part free of motion."""
    variants = ("supervised", "plain", "default", "no static view")
    names = [name for name in ENCODERS if name not in ("per-frame", "3-D throughout")]
    return _every(seeds, encoder=names, regime=REGIMES, variant=variants)


def frameworks(seeds):
    """v-MoCo, v-BYOL and v-SwAV, plain and decoupled."""
    names = [name for name in FRAMEWORKS if name != "VSimCLR"]
    variants = ("plain", "default", "dynamic weight 0.7")
    return _every(seeds, framework=names, regime=REGIMES, variant=variants)


def rho(seeds):
    """How much co-occurrence it takes."""
    return _every(seeds, regime=REGIMES, rho=RHOS, variant=("plain", "default"))


def grid(seeds):
    """Every variant, in both regimes."""
    return _every(seeds, variant=VARIANTS, regime=REGIMES)


def gradients(seeds):
    """Gradient norms and probes along training, plain against decoupled."""
    return _every(seeds, regime=REGIMES, variant=("plain", "default"), curve=(100,))


def fashion(seeds):
    """Garments of Fashion-MNIST instead of digits."""
    return _every(seeds, regime=(FASHION,), variant=BEYOND)


def physics(seeds):
    """Rendered bodies and laws of motion instead of digit and disc."""
    return _every(seeds, regime=(MUJOCO,), variant=BEYOND)


def real(seeds):
    """Real videos and the direction in which a camera pans over them."""
    return _every(seeds, regime=(REAL,), variant=REAL_VARIANTS)


def characters(seeds):
    """Characters that act, seen by one mean over space or by four."""
    variants = (*BEYOND, "no static mix", "background swap", "no motion view", "paper")
    encoders = ("per-frame", "per-frame regions")
    return _every(seeds, encoder=encoders, regime=CHARACTERS, variant=variants)


def noise(seeds):
    """Digits that only the drift of their noise shows, seen frame by frame and across time."""
    variants = ("supervised", "untrained", "plain", "default", "no motion view")
    return _every(
        seeds,
        encoder=("per-frame", "3-D throughout"),
        regime=(NOISE,),
        rho=(0.0,),
        variant=variants,
    )


def sprites(seeds):
    """LPC Sprites, hair and action independent or tied."""
    variants = (*BEYOND, "background swap", "paper")
    return _every(seeds, regime=(SPRITES,), rho=(0.0, 0.95), variant=variants)


def _every(seeds, **axes):
    """A case for each combination of the values, seed by seed, the last axis changing first."""
    return [
        Case(seed=seed, **dict(zip(axes, values)))
        for seed in range(seeds)
        for values in itertools.product(*axes.values())
    ]


STUDIES = {
    f.__name__: f
    for f in (
        *(claim, encoders, frameworks, rho, grid, gradients),
        *(fashion, physics, real, noise, characters, sprites),
    )
}
