"""The page's script, and the policy that lets no other run."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup

_PARTS = ("chart", "tables", "variants", "data", "places", "pairs", "tracks", "locus", "start")


def page_script() -> tuple[Markup, str]:
    """The script, and its entry in the page's policy: its hash.

    Examples
    --------
    >>> script, policy = page_script()
    >>> policy.startswith("script-src 'sha256-"), "fetch(" in script
    (True, False)
    """
    folder = files(__package__)
    parts = [(folder / f"{part}.js").read_text(encoding="utf-8") for part in _PARTS]
    script = '"use strict";\n(() => {\n' + "\n".join(parts) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Markup(script), f"script-src 'sha256-{digest}'"
