"""Ours: what the parts know of a static and of dynamic factors, of videos that have no labels.

Command:     python evaluate.py --model=RUN --protocol=factors-real --probe_test=FOLDER
Videos:      one list, without labels: --probe_test, or the test videos of the run, or its training videos; of
             more than 200 that many are drawn. Videos shorter than the window are left out and counted
Clips:       all of a video from one window in its middle, of 4 clips' length with the run's frames and stride
Features:    of each part of the read-out; center crop
Static:      file, which video a clip is of: the 1st and 3rd clip of the window are learned from, the 2nd and
             4th are tested
Dynamic:     speed (1, 2, 4 times the stride), direction (forward, reversed), order (right, shuffled: two orders
             are learned from, two others are tested); half of the videos is learned from, the other half tested
Batch norm:  frozen, its moving statistics; deterministic
Measures:    linear and mlp, as in factors.py; chance is the best constant answer
Table:       as in factors.py: the static part should know the file, the dynamic part the others
"""

from bod_keras.configs.protocols.common import protocol


def get_config():
    return protocol(
        "factors-real",
        1,
        "factors_real",
        unlabeled=True,
        read_out="parts",
        most_videos=200,
        clips=4,
        speeds=(1, 2, 4),
        shuffles=4,
        measures=("linear", "mlp"),
    )
