"""Our retrieval: the nearest training videos of each test video."""

from configs.protocols.common import on_features


def get_config():
    return on_features("retrieval", 1, "retrieval", views=10, ks=(1, 5, 10, 20, 50), centre=False)
