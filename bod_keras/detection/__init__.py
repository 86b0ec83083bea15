"""Action detection: which person does what, in boxes of frames."""

from bod_keras.detection.roi_align import RoIAlign

__all__ = ["RoIAlign"]
