"""C3D with batch normalization, as VCOP and RSPNet name it."""

from bod_keras.weights.layout import Layout

C3D = Layout(
    "c3d",
    (
        (r"conv([12]|[345][ab])_conv", lambda place: f"conv{place}"),
        (r"conv([12]|[345][ab])_bn", lambda place: f"bn{place}"),
    ),
)
