"""Transcription-factor binding models for Kipoi, and the tools to train and interpret them.

Importing the package loads no framework: every public name is imported when it is first used.
"""

from __future__ import annotations

__version__ = "0.1.0"
