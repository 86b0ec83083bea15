"""Action detection: which person does what, in boxes of frames."""

from bod_keras.detection.action_detector import ActionDetector
from bod_keras.detection.average_precision import average_precision, match_by_overlap
from bod_keras.detection.box_iou import box_areas, box_iou
from bod_keras.detection.fit_detector import fit_detector
from bod_keras.detection.frame_map import (
    FrameBoxes,
    frame_average_precision,
    mean_average_precision,
)
from bod_keras.detection.roi_align import RoIAlign
from bod_keras.detection.score_boxes import score_boxes
from bod_keras.detection.tubes import Tube, link_tubes, tube_iou
from bod_keras.detection.video_map import video_average_precision, video_map

__all__ = [
    "ActionDetector",
    "FrameBoxes",
    "RoIAlign",
    "Tube",
    "average_precision",
    "box_areas",
    "box_iou",
    "fit_detector",
    "frame_average_precision",
    "link_tubes",
    "match_by_overlap",
    "mean_average_precision",
    "score_boxes",
    "tube_iou",
    "video_average_precision",
    "video_map",
]
