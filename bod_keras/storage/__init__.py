"""Files that survive: remote storage, atomic writes, run folders, locks."""
