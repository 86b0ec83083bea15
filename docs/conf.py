"""The site: `make docs` builds it from the Markdown files of this folder and the docstrings of the package."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "bod_keras"
author = "The bod_keras contributors"
copyright = "The bod_keras contributors, Apache-2.0"
release = (HERE.parent / "bod_keras/version.py").read_text().split('"')[-2]
version = release

extensions = ["myst_nb", "sphinx.ext.githubpages", "generated_pages"]
exclude_patterns = ["_build"]
nb_execution_mode = "off"  # `make notebooks` stores what they printed
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
highlight_language = "text"
add_module_names = False
python_display_short_literal_types = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"bod_keras {release}"
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
