"""Every link within the built site, and every relative link of the Markdown files at the root, leads somewhere.

python docs/_ext/check_links.py docs/_build/html
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]


class Page(HTMLParser):
    """The links of a page and the places that links may lead to."""

    def __init__(self, path):
        super().__init__()
        self.links, self.places = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.places.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def dead_links(site):
    """What leads nowhere: (page, link)."""
    pages = {path: Page(path) for path in site.rglob("*.html")}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not target.exists() or (target in pages and place not in pages[target].places):
                yield path.relative_to(site), link
    for path in sorted(ROOT.glob("*.md")):
        for link in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
            if not urlsplit(link).scheme and not (ROOT / link).exists():
                yield path.relative_to(ROOT), link


def main():
    dead = list(dead_links(Path(sys.argv[1]).resolve()))
    for page, link in dead:
        print(f"{page}: {link} leads nowhere")
    sys.exit(bool(dead))


if __name__ == "__main__":
    main()
