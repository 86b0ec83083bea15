"""Fine-tuning as the rho-MoCo/BYOL/SimCLR/SwAV study has it on Something-Something V2.

Command:     python evaluate.py --model=RUN --dataset=ssv2 --root=VIDEOS --annotations=LABELS \
               --protocol=finetune-ssv2
Source:      Feichtenhofer et al., arXiv 2104.14558; github.com/facebookresearch/SlowFast,
             configs/contrastive_ssl/finetune_SSv2_Slow_R50_syn0.yaml
Trains:      encoder, time mean, dropout 0.5 and a linear classifier, at one learning rate
Batch norm:  trains, 8 clips a GPU
Clips:       8 frames, 224 x 224; a square of 224 out of a short side of 256 to 320; NO flip: left and right
             are labels
Views:       1 clip, centered in time, 1 crop
Normalized:  not
Optimizer:   SGD 0.12 for 64 clips, momentum 0.9, weight decay 1e-6; 22 epochs, a tenth after 14 and 18,
             warm-up of 0.19
Chosen:      nothing
Reported:    the last epoch, on the validation videos
Differs:     they spread the 8 frames over the whole video (a random one of each eighth in training), here
             they are neighbors at a fixed stride of 4, about 2.7 s at 12 frames a second. Batch
             normalization sees the whole batch. Their test crop has 256 pixels
Unverified:  the published numbers' test crop
"""

from bod_keras.configs.protocols.common import finetuning


def get_config():
    return finetuning(
        "finetune-ssv2",
        1,
        views=1,
        crops=1,
        frames=8,
        stride=4,
        size=224,
        dropout=0.5,
        recipe="scale_jitter",
        flip=0.0,
        epochs=22,
        batch_size=64,
        learning_rate=0.12,
        weight_decay=1e-6,
        schedule="step",
        steps=(14, 18),
        warmup_epochs=0.19,
        checkpoint="last",
    )
