"""What a framework makes once for every part ("static", "dynamic", "base") that it contrasts."""

from bod_keras.frameworks.projection_head import ProjectionHead


def part_networks(parts, hidden, kind, width=None, depth=2):
    """A built `ProjectionHead` for each part, of its own width if `width` is None."""
    networks = {}
    for part, size in parts.items():
        name = f"{part}_{kind}"
        networks[part] = ProjectionHead(hidden, width or size, depth, name=name)
        networks[part].build((None, size))
    return networks
