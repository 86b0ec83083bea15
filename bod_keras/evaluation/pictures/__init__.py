"""Pictures and pages of a run and its evaluations."""
