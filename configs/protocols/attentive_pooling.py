"""Ours: one layer of attention pooling on frozen features, as VideoGLUE's head, otherwise as attentive.

Command:     python evaluate.py --model=RUN --protocol=attentive-pooling
Source:      Yuan et al., "VideoGLUE", arXiv 2307.03166, and the head of its public code
Probe:       normalization, a query that attends with 12 heads, or the most that divide the width, a classifier
Differs:     VideoGLUE pools every token of space and time, and has its own clips, augmentation and schedule: do
             not compare its numbers
"""

from bod_keras.configs.protocols.common import attentive


def get_config():
    return attentive("attentive-pooling", 1, blocks=0, heads=12)
