"""`FrameEncoder`: any 2-D image model of Keras, applied to every frame."""

import keras
from keras import layers, ops

from bod_keras.encoders._blocks import ENCODERS, check_remat, checked_shape, standardize
from bod_keras.encoders.clip_model import ClipModel
from bod_keras.encoders.frame_cnn import FoldTime, UnfoldTime
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
) -> keras.Model:
    """Make an image model an encoder of clips: the same for every frame, averaged over space.

        frame_features[b, t] = mean over height and width of model(preprocess(clips[b, t]))

    It has no temporal receptive field, as `FrameCNN`. The model is used as it is, not copied: its weights are
    trained with the encoder's. Pretrained ones of keras.applications are read with ``weights=FILE``.

    Args:
        model: images (B, H, W, 3) to a map (B, h, w, C) or a vector (B, C): a model of keras.applications
            (``include_top=False``), or one of your own.
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

    Returns:
        A `keras.Model` from `(batch, time, height, width, 3)`, RGB in [0, 1], to frame features
        `(batch, time, C)` float32.

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
    features = model(frames)
    rank = len(features.shape) if isinstance(features, keras.KerasTensor) else None
    if rank not in (2, 4):
        raise UserError(
            f"The model must give one map (B, h, w, C) or one vector (B, C). Received from {model.name}: "
            f"{features}. For an application pass include_top=False."
        )
    if rank == 4:
        features = layers.GlobalAveragePooling2D(
            data_format="channels_last", dtype="float32", name="space_mean"
        )(features)
    features = UnfoldTime(name="unfold_time", dtype="float32")(features, clips)
    return ClipModel(clips, features, name=name)


@ENCODERS.register("frame_encoder")
def _named(
    input_shape, model, preprocessing, weights=None, remat=False, **arguments
) -> keras.Model:
    """`FrameEncoder` of a model of keras.applications, named as there; `arguments` are its own."""
    known = [n for n in dir(keras.applications) if callable(getattr(keras.applications, n))]
    check_choice("encoder.arguments.model (of keras.applications)", model, known)
    builder = getattr(keras.applications, model)
    images = builder(input_shape=input_shape[1:], include_top=False, weights=weights, **arguments)
    return FrameEncoder(images, preprocessing, input_shape, remat)
