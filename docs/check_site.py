"""Checks a built site: every link inside it resolves, nothing is fetched from a network, nothing is left out.

    python docs/check_site.py docs/_build/html

A page is checked as a browser that opens it from disk sees it: links are relative, files exist, and so do
the anchors that links name.
"""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches to show a page, by attribute.
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "object": "data"}


class Page(HTMLParser):
    """Links, anchors and fetched files of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag == "link" and values.get("rel") in ("stylesheet", "preload", "icon", "modulepreload"):
            self.fetched.add(values["href"])
        if tag in FETCHED and FETCHED[tag] in values:
            self.fetched.add(values[FETCHED[tag]])


def read(path: Path) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(path.read_text())
    return page


def problems(site: Path) -> list[str]:
    """Everything that is wrong, a line each."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in page.links | page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched and parts.scheme != "data":
                    found.append(f"{name}: fetches {link}")
                continue
            target = path if not parts.path else path.parent / unquote(parts.path)
            target = target.resolve()
            if not target.is_file():
                found.append(f"{name}: {link} does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} has no such anchor")
    return found


def missing_names(site: Path) -> list[str]:
    """Public names that the reference has not."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="")
    known = {name for kind in inventory.data.values() for name in kind}
    names = json.loads((site.parent / "public_names.json").read_text())
    return [
        f"kipoi_tfbind.{name}: not in the reference"
        for page in names.values()
        for name in page
        if f"kipoi_tfbind.{name}" not in known
    ]


if __name__ == "__main__":
    SITE = Path(sys.argv[1]).resolve()
    FOUND = problems(SITE) + missing_names(SITE)
    print(
        "\n".join(FOUND)
        or f"{len(list(SITE.rglob('*.html')))} pages: every link resolves, nothing is fetched"
    )
    sys.exit(bool(FOUND))
