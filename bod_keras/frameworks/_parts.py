"""What a framework makes once for every part ("static", "dynamic", "base") that it contrasts."""

from bod_keras.frameworks.projection_head import ProjectionHead
from bod_keras.losses._checks import check_temperature


def part_temperatures(parts, temperature, dynamic_temperature):
    """Each part's temperature; that of the dynamic part is `temperature` too if None."""
    if dynamic_temperature is None:
        dynamic_temperature = temperature
    check_temperature(dynamic_temperature)  # of a plain model, too
    return {part: dynamic_temperature if part == "dynamic" else temperature for part in parts}


def part_networks(parts, hidden, kind, width=None, depth=2):
    """A built `ProjectionHead` for each part, of its own width if `width` is None."""
    networks = {}
    for part, size in parts.items():
        name = f"{part}_{kind}"
        networks[part] = ProjectionHead(hidden, width or size, depth, name=name)
        networks[part].build((None, size))
    return networks
