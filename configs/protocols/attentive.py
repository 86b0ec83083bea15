"""Ours: attentive probes as V-JEPA 2 trains them, on frozen frame features and on both parts.

Command:     python evaluate.py --model=RUN --protocol=attentive
Source:      Assran et al., "V-JEPA 2", arXiv 2506.09985, and its public evaluation configs
Features:    of each frame (averaged over space), and the static and the dynamic part, one token a clip; every
             token is brought to mean 0 and variance 1
Probe:       3 blocks of self-attention and one of a query, 16 heads or the most that divide the width
Learned:     from augmented clips, 2 of each video, 20 epochs; 20 probes at once, 5 learning rates x 4 decays
Views:       2 clips, evenly spaced, x 3 crops; probabilities averaged over the crops
Batch norm:  frozen, its moving statistics; no dropout
Optimizer:   AdamW with decay of all weights, cosine to 0, no warm-up
Chosen:      the probe of each part, on a tenth of each class of train; the last epoch
Differs:     V-JEPA 2 gives its probes every token of space and time, not means over space; takes batches of
             256; augments more; and reports the best probe on the test videos (--set=checkpoint=test). Its
             numbers are those of another measurement: do not compare them
"""

from bod_keras.configs.protocols.common import attentive


def get_config():
    return attentive("attentive", 1)
