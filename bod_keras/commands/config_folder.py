"""Where the configs and protocols are that come with the package."""

from pathlib import Path

# In a checkout a link to configs/ at its root; in a wheel the files themselves.
CONFIGS = Path(__file__).parents[1] / "configs"
