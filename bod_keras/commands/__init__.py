"""What the commands share: a config in, a run out. Only here and in `experiment` is a config seen."""
