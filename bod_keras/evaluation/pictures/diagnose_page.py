"""A diagnosis as one HTML page that opens without a network."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bod_keras import KoopmanSplit

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .9rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; } figcaption, .about { color: #555; }
ul.verdicts { list-style: none; padding: 0; }
ul.verdicts li { padding: .3rem .7rem; margin: .3rem 0; border-left: .4rem solid #999; background: #f6f6f6; }
ul.verdicts li.holds { border-color: #0a7d4f; } ul.verdicts li.does-not-hold { border-color: #c0392b; }
ul.verdicts li.unclear { border-color: #e69f00; }
p.note { padding: .6rem .9rem; background: #fff6dd; border: 1px solid #e6c766; }
.pictures { display: flex; flex-wrap: wrap; } .pictures figure { flex: 1 1 24rem; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="about">$about</p>
$notes
<h2>Verdicts</h2>
<ul class="verdicts">
$verdicts
</ul>
<h2>Sensitivity</h2>
<p>How far a part moves when a clip is changed: mean |f(x) - f(x')| over the mean |f(x) - f(y)| of different
videos. 0: it does not notice; 1: it moves as far as another video is away. The other background replaced
$replaced of the pixels.</p>
$sensitivity
<h2>Dimension shares</h2>
<p>How much of each stage of the encoder, and of each part, is about what stays, what moves, or neither: softmax
of the correlation of clips that share the appearance alone (frames shuffled), of clips that share the motion
alone (colors turned, another background), and of 1. One factor alone gives 0.42 to 0.16; equal shares
say that neither or both decide.</p>
$shares
<h2>Eigenvalues of the operators</h2>
<p>Every clip has an operator that predicts each frame's embedding from the one before. Eigenvalues near 1
belong to what stays, all others to what changes; on the unit circle nothing grows or fades. The split is
$rule.</p>
$eigenvalues
<h2>Energy of the parts</h2>
<p>The share of the predicted frames' energy that a part has: |X A<sub>S</sub>|² or |X A<sub>D</sub>|² over
the sum of both, each in the embedding that the part is read from.
Overlap is 2 &lt;X A<sub>S</sub>, X A<sub>D</sub>&gt; over the same sum, 0 if the two
are orthogonal.</p>
$energy
<h2>Embeddings</h2>
<p>Of two clips of each video, rows divided by their length. Effective rank: exp of the entropy of the singular
values, in how many directions videos differ (1: all are one point). Alignment: mean squared distance of two
clips of one video, 0 is best. Uniformity: log mean exp(-2 |x - y|²) over different videos, lower is more
spread.</p>
$embeddings
<h2>All numbers</h2>
<p>They are in report.json of the run, in the section of this protocol, with where they come from.</p>
</body>
</html>
""")

CAPTIONS = {
    "spectrum": "eigenvalues in the complex plane",
    "sensitivity": "how far each part moves",
    "distances": "distances of the eigenvalues from 1, with the threshold",
    "energy": "shares of the energy, over clips",
}


_STATISTICS = ("effective_rank", "alignment", "uniformity")
_STATISTICS += ("positive_similarity", "negative_similarity")


def diagnose_page(
    result: Mapping[str, Any],
    pictures: Mapping[str, str | os.PathLike],
    name: str,
    split: KoopmanSplit,
) -> str:
    """Lay out a diagnosis, with its pictures inside of the text.

    Args:
        result: as the protocol "diagnose" returns it.
        pictures: PNG files: "sensitivity", "distances", "energy" and "spectrum".
        name: of the run.
        split: its `KoopmanSplit`.

    Returns:
        HTML without scripts and without links.
    """
    rule = "by count: the one closest to 1 of each clip (a conjugate pair stays together)"
    if split.threshold is not None:
        rule = f"by threshold: those within {split.threshold:g} of 1, or the closest where there is none"
    moved, spectra = result["sensitivity"], result["eigenvalues"]
    within = f"within {result['threshold']:g} of 1"
    shown = {
        part: {key.replace("_", " "): values[key] for key in _STATISTICS}
        for part, values in result["embeddings"].items()
    }
    columns = {
        of: {
            "number": values["number"],
            within: f"{values['within_threshold']:.1%}",
            "median |λ - 1|": values["median_distance"],
            "largest |λ|": values["largest"],
        }
        for of, values in spectra.items()
    }
    return _PAGE.substitute(
        title=html.escape(f"Diagnosis of {name}"),
        about=f"{result['used']} videos, drawn by the seed; nothing was trained.",
        notes="\n".join(_tag("p", note, "note") for note in result["warnings"]),
        verdicts="\n".join(
            _tag("li", verdict, verdict.partition(":")[0].replace(" ", "-"))
            for verdict in result["verdicts"]
        ),
        replaced=f"{result['replaced']:.0%}",
        sensitivity=_table("change", moved) + _figures(pictures, "sensitivity"),
        shares=_table("of", result["shares"]),
        rule=html.escape(rule),
        eigenvalues=_figures(pictures, "spectrum", "distances") + _table("of", columns),
        energy=_table("", {"mean": result["energy"]}) + _figures(pictures, "energy"),
        embeddings=_table("part", shown),
    )


def _tag(name: str, text: Any, css: str = "") -> str:
    """An element with a text, three decimals of a number."""
    text = f"{text:.3f}" if isinstance(text, float) else str(text)
    attribute = f' class="{html.escape(css)}"' if css else ""
    return f"<{name}{attribute}>{html.escape(text)}</{name}>"


def _table(corner: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A table with a row for each name, and a column for each of its values."""
    lines = ["".join(_tag("th", cell) for cell in (corner, *next(iter(rows.values()))))]
    for name, cells in rows.items():
        lines.append("".join(_tag("td", cell) for cell in (name, *cells.values())))
    return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>\n"


def _figures(pictures: Mapping, *names: str) -> str:
    found = []
    for name in names:
        data = base64.b64encode(Path(pictures[name]).read_bytes()).decode()
        caption = CAPTIONS[name]
        image = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
        found.append(f"<figure>{image}{_tag('figcaption', caption)}</figure>")
    return '<div class="pictures">\n' + "\n".join(found) + "\n</div>\n"
