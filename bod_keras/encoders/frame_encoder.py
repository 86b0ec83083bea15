"""`FrameEncoder`: any 2-D image model of Keras, applied to every frame."""

import os

import keras
from keras import layers, ops

from bod_keras.encoders._blocks import (
    ENCODERS,
    check_remat,
    checked_shape,
    region_means,
    standardize,
)
from bod_keras.encoders.clip_model import ClipModel
from bod_keras.encoders.frame_cnn import FoldTime, UnfoldTime
from bod_keras.encoders.frozen import Frozen
from bod_keras.encoders.remat_model import RematModel
from bod_keras.errors import UserError, check_choice

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # of blue, green, red in [0, 255]

_PREPROCESSING = {
    "unit": lambda x: x,
    "pixels": lambda x: layers.Rescaling(255.0, name="rescale")(x),
    "tf": lambda x: layers.Rescaling(2.0, offset=-1.0, name="rescale")(x),
    "torch": lambda x: standardize(x, _IMAGENET_MEAN, _IMAGENET_STD),
    "caffe": lambda x: layers.Rescaling(255.0, [-m for m in _CAFFE_MEAN], name="rescale")(
        ops.flip(x, axis=-1)
    ),
}


def FrameEncoder(  # noqa: N802
    model: keras.Model,
    preprocessing: str,
    input_shape: tuple[int | None, ...] | None = None,
    remat: bool = False,
    name: str = "frame_encoder",
    frozen: bool = False,
    regions: int = 1,
) -> keras.Model:
    """Make an image model an encoder of clips: the same for every frame, averaged over space.

        frame_features[b, t] = mean over height and width of model(preprocess(clips[b, t]))

    It has no temporal receptive field, as `FrameCNN`. The model is used as it is, not copied: its weights are
    trained with the encoder's, unless they are `frozen`. Pretrained ones of keras.applications are read with
    ``weights=FILE``.

    Args:
        model: images (B, H, W, 3) to a map (B, h, w, C), tokens (B, n, C), of which the mean is taken, or a
            vector (B, C): a model of keras.applications (``include_top=False``), a backbone of keras-hub, or
            one of your own.
        preprocessing: how the model expects colors, made from those in [0, 1]; the last three are what the
            `preprocess_input` of keras.applications calls so.
            "unit": as they are;
            "pixels": in [0, 255], for models with preprocessing inside (ConvNeXt, EfficientNet, MobileNetV3);
            "tf": in [-1, 1] (Inception, MobileNet, MobileNetV2, NASNet, ResNetV2, Xception);
            "torch": standardized with ImageNet's mean and deviation (DenseNet);
            "caffe": blue, green, red less their means, in [0, 255] (ResNet, VGG).
        input_shape: `(time, height, width, 3)` without the batch; None for any time and the model's
            height and width.
        remat: whether training keeps few activations of the model and computes the others again
            (`RematModel`); the model must be a Functional one.
        name: name of the encoder.
        frozen: whether the model is left as it is: none of its weights is trained, here and wherever else it
            is used, and it runs as in evaluation, without dropout and with its moving statistics. Then its
            features can be computed once and kept (`bod_keras.evaluation.TrainingFeatures`).
        regions: r: a map is divided into r x r regions, and each has a mean of its own, as in `FrameCNN`. One
            mean forgets where in a frame something is, and a frozen model does not learn to tell it otherwise.

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1], to frame features
        `(batch, time, regions^2 C)` float32.

    Raises:
        ValueError: if the model does not take RGB images or does not give one map or vector, or another
            argument is not as described.

    Example:
        >>> from bod_keras.encoders import FrameEncoder
        >>> import keras
        >>> images = keras.applications.MobileNet((32, 32, 3), alpha=0.25, include_top=False, weights=None)
        >>> FrameEncoder(images, preprocessing="tf").output_shape
        (None, None, 256)
    """
    check_choice("preprocessing (as the model was trained)", preprocessing, _PREPROCESSING)
    inputs = getattr(model, "inputs", None) or []
    if input_shape is None and len(inputs) == 1:
        input_shape = (None, *inputs[0].shape[1:])
    input_shape = checked_shape(input_shape, smallest=1, published=224)
    if len(inputs) == 1:
        _check_images(model, inputs[0].shape[1:], input_shape[1:])
    check_remat(remat)
    if remat:
        if len(inputs) != 1:
            raise UserError(
                f"remat=True needs a Functional model of one input. Received: {model.name}, a "
                f"{type(model).__name__} with {len(inputs)}. Pass remat=False."
            )
        model = RematModel(model.inputs[0], model.outputs[0], name=model.name)
    clips = keras.Input(input_shape, name="clips")
    frames = _PREPROCESSING[preprocessing](FoldTime(name="fold_time")(clips))
    if frozen:
        model = Frozen(model, name=f"frozen_{model.name}")
    features = model(frames)
    rank = len(features.shape) if isinstance(features, keras.KerasTensor) else None
    if rank not in (2, 3, 4):
        raise UserError(
            "The model must give one map (B, h, w, C), tokens (B, n, C) or one vector (B, C). Received from "
            f"{model.name}: {features}. For an application pass include_top=False."
        )
    if rank != 4 and regions != 1:
        raise UserError(
            f"regions={regions} needs a model that gives maps. Received from {model.name}: {features.shape}"
        )
    if rank == 4:
        features = region_means(features, regions)
    elif rank == 3:
        features = layers.GlobalAveragePooling1D(
            data_format="channels_last", dtype="float32", name="token_mean"
        )(features)
    features = UnfoldTime(name="unfold_time", dtype="float32")(features, clips)
    return ClipModel(clips, features, name=name)


def _check_images(model, takes, given):
    """Refuse clips whose frames are not the images of a model; Keras says it in twenty lines."""
    fits = len(takes) == 3 and takes[2] in (None, 3)
    if not fits or any(a and b and a != b for a, b in zip(given, takes)):
        raise UserError(
            f"{model.name} takes images {tuple(takes)}, and the frames of clips are {tuple(given)}. Expected a "
            "model of RGB images (height, width, 3) of the clips' size; in a config clips.size is both."
        )


@ENCODERS.register("frame_encoder")
def _named(
    input_shape,
    model,
    preprocessing,
    weights=None,
    remat=False,
    frozen=False,
    regions=1,
    **arguments,
) -> keras.Model:
    """`FrameEncoder` of a model of keras.applications, named as there, or of a file of a Keras model.

    `arguments` are those of the application.
    """
    if str(model).endswith(".keras"):
        if weights or arguments:
            raise UserError(
                f"encoder.arguments.model={model} is a file, which has its own weights and arguments. Leave "
                f"out: {', '.join([*(['weights'] if weights else []), *arguments])}"
            )
        images = _read(model)
    else:
        known = [n for n in dir(keras.applications) if callable(getattr(keras.applications, n))]
        check_choice(
            "encoder.arguments.model (a .keras file, or of keras.applications)", model, known
        )
        if frozen and not weights:
            raise UserError(
                f"encoder.arguments.frozen=True leaves {model} as random as it is made. Set "
                "encoder.arguments.weights to a file of its weights, or arguments.model to a .keras file."
            )
        builder = getattr(keras.applications, model)
        images = builder(
            input_shape=input_shape[1:], include_top=False, weights=weights, **arguments
        )
    return FrameEncoder(images, preprocessing, input_shape, remat, frozen=frozen, regions=regions)


def _read(file):
    if not os.path.isfile(file):
        raise UserError(
            f"encoder.arguments.model={file}: there is no such file. Give one that model.save has written."
        )
    try:
        return keras.saving.load_model(file, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"encoder.arguments.model={file} is not read as a Keras model: {error}"
        ) from error
