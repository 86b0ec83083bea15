"""Small trees of files with annotations as they are distributed."""

import pathlib


def write_files(folder, contents):
    """Write text or bytes under relative names; None writes a file whose content does not matter."""
    for name, content in contents.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            content = b"x"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def touch(folder, *names):
    """Write files whose content does not matter."""
    return write_files(folder, dict.fromkeys(names))
