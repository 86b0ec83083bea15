"""Tables of benchmarks for documents."""


def markdown(rows):
    """A Markdown table whose columns are also aligned as text."""
    columns = list(rows[0])
    widths = [max(len(c), *(len(row[c]) for row in rows)) for c in columns]
    lines = [
        columns,
        ["-" * width for width in widths],
        *([row[c] for c in columns] for row in rows),
    ]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in lines
    )
