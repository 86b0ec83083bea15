"""The named lists of cases; later ones reuse the runs of earlier ones."""

from benchmarks.cooccurrence.run_case import Case
from benchmarks.cooccurrence.scenes import REGIMES
from benchmarks.cooccurrence.variants import ENCODERS, FRAMEWORKS, VARIANTS

RHOS = (0.0, 0.5, 0.8, 0.95, 1.0)
CLAIM = ("supervised", "untrained", "plain", "default", "mean-residual operator", "paper")


def claim(seeds):
    """The claim itself: both regimes, per-frame encoder, against plain, the control and the published form."""
    return [Case(v, r, seed=s) for s in range(seeds) for r in REGIMES for v in CLAIM]


def encoders(seeds):
    """The same with temporal kernels, late or throughout."""
    variants = ("supervised", "plain", "default")
    names = [name for name in ENCODERS if name != "per-frame"]
    return [
        Case(v, r, encoder=e, seed=s)
        for s in range(seeds)
        for e in names
        for r in REGIMES
        for v in variants
    ]


def frameworks(seeds):
    """v-MoCo, v-BYOL and v-SwAV, plain and decoupled."""
    names = [name for name in FRAMEWORKS if name != "VSimCLR"]
    return [
        Case(v, r, framework=f, seed=s)
        for s in range(seeds)
        for f in names
        for r in REGIMES
        for v in ("plain", "default")
    ]


def rho(seeds):
    """How much co-occurrence it takes."""
    return [
        Case(v, r, rho=p, seed=s)
        for s in range(seeds)
        for r in REGIMES
        for p in RHOS
        for v in ("plain", "default")
    ]


def grid(seeds):
    """Every variant, in both regimes."""
    return [Case(v, r, seed=s) for s in range(seeds) for v in VARIANTS for r in REGIMES]


def gradients(seeds):
    """Gradient norms and probes along training, plain against decoupled."""
    return [
        Case(v, r, seed=s, curve=100)
        for s in range(seeds)
        for r in REGIMES
        for v in ("plain", "default", "projector differentiated")
    ]


STUDIES = {f.__name__: f for f in (claim, encoders, frameworks, rho, grid, gradients)}
