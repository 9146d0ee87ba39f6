"""Description of a model: its card, or the text of its model.yaml."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import xarray as xr
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from kipoi_tfbind.errors import InputError
from kipoi_tfbind.results.view import model_name

_ENTRIES = (
    ("doc", "description"),
    ("authors", "authors"),
    ("contributors", "contributors"),
    ("version", "version"),
    ("license", "license"),
    ("cite_as", "cite as"),
    ("trained_on", "trained on"),
    ("training_procedure", "training procedure"),
    ("tags", "tags"),
)
_DEEPEST_HEADING = 6


@dataclass(frozen=True)
class Card:
    """Description of a model in a report.

    Attributes
    ----------
    name
        The first heading of its card, else what the results call the model.
    html
        Its card, safe to put into a page; None where it has none.
    info
        (entry, text) of its model.yaml, where there is no card.
    """

    name: str
    html: str | None = None
    info: Sequence[tuple[str, str]] = ()

    @property
    def is_filled(self) -> bool:
        """Whether anything is known but the name."""
        return self.html is not None or bool(self.info)


def read_card(name: str, folder: str | os.PathLike[str]) -> Card:
    """Read what is known of a Kipoi model in a local folder; none of the model's code is run.

    Parameters
    ----------
    name
        Name of the model where its card has no heading.
    folder
        The model's folder, as `load_model` takes it with ``source="dir"``: that of a group's model need
        not exist. The card is ``cards/NAME.md`` of the group, else ``README.md`` of the model, else
        there is none, and model.yaml says what it can.

    Raises
    ------
    InputError
        There is no such model.
    """
    folder = Path(os.path.abspath(folder))
    for path in _places(folder):
        if path.is_file():
            markdown = path.read_text(encoding="utf-8", errors="replace")
            return Card(heading(markdown) or name, to_html(markdown))
    return Card(name, info=_info(folder))


def _places(folder: Path) -> list[Path]:
    """Where a card may lie: that of GROUP/NAME/variants is GROUP/cards/NAME.md."""
    cards = [folder.parents[i] / "cards" / f"{p.name}.md" for i, p in enumerate((folder, folder.parent))]
    return [*cards, folder / "README.md"]


def _info(folder: Path) -> list[tuple[str, str]]:
    import kipoi

    try:
        info = kipoi.get_model_descr(str(folder), source="dir").info
    except Exception as error:  # Kipoi's parser raises whatever its parts raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{folder}: no Kipoi model can be read there ({reason}); give the folder with its model.yaml"
        ) from None
    entries = ((title, _text(getattr(info, entry, None))) for entry, title in _ENTRIES)
    return [(title, text) for title, text in entries if text]


def _text(value: Any) -> str:
    """Write an entry of model.yaml as text: a list with commas, a person by name."""
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    return " ".join(str(getattr(value, "name", value)).split())


def cards_of(results: Sequence[xr.Dataset], folder: str | os.PathLike[str] | None) -> list[Card]:
    """Card of each model of the results that is in a local folder."""
    names = {str(result.attrs.get("model", "")): model_name(result) for result in results}
    if folder is not None:
        return [read_card(", ".join(names.values()), folder)]
    # Results of older versions do not say their model's source.
    sources = {str(r.attrs.get("model", "")): str(r.attrs.get("model_source", "dir")) for r in results}
    cards = {
        path: _card_if_there(names[path], path) if source == "dir" else Card(names[path])
        for path, source in sources.items()
    }
    return _one_of_each(results, cards)


def _one_of_each(results: Sequence[xr.Dataset], cards: Mapping[str, Card]) -> list[Card]:
    """Leave out what says nothing new: a card twice, or no card for a model that has one by another path."""
    pairs = [
        (cards[str(result.attrs.get("model", ""))], str(result.attrs.get("model_hash", "")))
        for result in results
    ]
    known = {model_hash for card, model_hash in pairs if model_hash and card.is_filled}
    kept = [card for card, model_hash in pairs if card.is_filled or model_hash not in known]
    return [card for i, card in enumerate(kept) if card not in kept[:i]]


def _card_if_there(name: str, folder: str) -> Card:
    """The card of a model, if its folder is still there."""
    if folder:
        with contextlib.suppress(InputError):
            return read_card(name, folder)
    return Card(name)


def heading(markdown: str) -> str:
    r"""Return the text of the first top heading of a card; empty where there is none.

    Examples
    --------
    >>> heading("Some words\n\n# TFBind/*CTCF*\n")
    'TFBind/CTCF'
    """
    tokens = MarkdownIt("commonmark", {"html": False}).parse(markdown)
    for before, token in pairwise(tokens):
        if before.type == "heading_open" and before.tag == "h1":
            return "".join(child.content for child in token.children or ())
    return ""


def to_html(markdown: str) -> str:
    r"""Turn a card's Markdown into HTML that is safe to put into a page.

    HTML in it is shown as text, a picture as its description (the page loads nothing), and its headings
    go two levels down, under those of the report.

    Examples
    --------
    >>> print(to_html("# CTCF <b>\n![a plot](https://example.org/x.png)"))
    <h3>CTCF &lt;b&gt;</h3>
    <p>a plot</p>
    <BLANKLINE>
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _picture_as_text)
    tokens = parser.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + 2, _DEEPEST_HEADING)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _picture_as_text(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]
) -> str:
    from markupsafe import escape

    return str(escape(tokens[index].content))
