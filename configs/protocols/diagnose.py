"""Ours: what the static and the dynamic part are like: spectrum, energy, embeddings, sensitivity; one page.

Command:     python evaluate.py --model=RUN --protocol=diagnose --probe_test=FOLDER
Videos:      one list, without labels, as in factors_real.py; of more than 256 that many are drawn
Clips:       of each video the first and the last one of the run's frames and stride, center crop
Changes:     frames in a random order; what moves (by more than 0.08 from the clip's median) over the median
             frame of another video
Levels:      a part counts as unchanged up to 0.25 and as changed from 0.5 on, in distances between videos
Batch norm:  frozen, its moving statistics; deterministic
Written:     diagnose.html, which docs/diagnose.md explains
"""

from bod_keras.configs.protocols.common import protocol


def get_config():
    return protocol(
        "diagnose",
        1,
        "diagnose",
        unlabeled=True,
        views=2,
        most_videos=256,
        swap_threshold=0.08,
        changed=0.5,
        unchanged=0.25,
    )
