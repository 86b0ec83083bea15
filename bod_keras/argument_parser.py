"""The parser of a command that its module's docstring describes."""

from __future__ import annotations

import argparse


def argument_parser(name: str, description: str) -> argparse.ArgumentParser:
    r"""Return a parser without arguments, whose help begins and ends with a docstring.

    Args:
        name: what messages call the command.
        description: the docstring: its first line stands above the arguments, the rest below them.

    Example:
        >>> from bod_keras.argument_parser import argument_parser
        >>> argument_parser("greet", "Say hello.\n\ngreet NAME").description
        'Say hello.'
    """
    summary, _, rest = description.partition("\n")
    return argparse.ArgumentParser(
        prog=name,
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
