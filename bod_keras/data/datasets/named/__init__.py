"""Data sets that are asked for by name, one module each: their own annotation files -> a `Catalog`."""
