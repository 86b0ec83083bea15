"""Write the encoder of a run, or all parts of its model, for another runtime.

bod-keras export --encoder=runs/videos-seed0 --output=encoder.safetensors
KERAS_BACKEND=torch bod-keras export --encoder=runs/videos-seed0 --output=encoder.pt2
bod-keras export --encoder=runs/videos-seed0 --parts --output=embedder

The encoder is a finished run's folder, or a .keras file of an encoder, a model or a checkpoint.
With --parts clips become pooled features, static part and dynamic part instead of frame features.
The output's ending chooses the form: .safetensors or .pth, weights with the keys of the published
network; .onnx; .pt2, a program of torch.export; .keras; a name without an ending, a SavedModel.
docs/weights.md says which backend writes which.
"""

import sys

from bod_keras.argument_parser import argument_parser
from bod_keras.errors import UserError
from bod_keras.storage.clean_exit import clean_exit


def main(argv: list[str], name: str = "python -m bod_keras.weights") -> None:
    """Parse the arguments, write the file, say what it is."""
    parser = argument_parser(name, __doc__)
    parser.add_argument("--encoder", required=True, help="a run's folder, or a .keras file")
    parser.add_argument("--output", required=True, help="the file, or folder, to write")
    parser.add_argument(
        "--parts", action="store_true", help="the model with its static and dynamic part"
    )
    options = parser.parse_args(argv)
    from bod_keras.weights import export, load, load_encoder

    try:
        model = (load if options.parts else load_encoder)(options.encoder)
        export(model, options.output)
    except (ImportError, OSError, UserError) as error:
        sys.exit(f"{name}: {error}")
    encoder = getattr(model, "encoder", model)
    outputs = (
        "pooled, static and dynamic" if options.parts else f"frame features {encoder.output_shape}"
    )
    print(
        f"{options.output}: {model.name}, {encoder.count_params():,} parameters in the encoder, clips "
        f"{encoder.input_shape} to {outputs}"
    )


if __name__ == "__main__":
    with clean_exit():
        main(sys.argv[1:])
