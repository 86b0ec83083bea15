"""The commands `verify`, `shards` and `serve`; each module has a ``main(argv, name)``."""
