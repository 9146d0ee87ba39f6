"""Kipoi's list of plugins: this package's place in it, and what each command says at its start."""

from __future__ import annotations

import warnings
from types import ModuleType

PLUGIN = {
    "plugin": "kipoi_tfbind",
    "url": "",
    "cli": True,
    "description": "Train, package and interpret transcription-factor binding models.",
}


def register_plugin(plugin: ModuleType) -> None:
    """Enter this package in ``kipoi.plugin.PLUGINS``: the list is hard-coded, and no other way in exists."""
    if all(entry["plugin"] != PLUGIN["plugin"] for entry in plugin.PLUGINS):
        plugin.PLUGINS.append(PLUGIN)


def silence_pkg_resources(plugin: ModuleType) -> None:
    """Keep the deprecation of pkg_resources off every ``kipoi`` command: its user cannot act on it.

    The package pins the setuptools that still has pkg_resources.
    """
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", module=r"kipoi\.__main__")
