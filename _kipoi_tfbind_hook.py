"""Mends Kipoi 0.8.6 as it is imported; started by ``kipoi_tfbind.pth`` with the interpreter.

Kipoi knows only the plugins of a list in its own source, and it is archived: a plugin that wants to
be seen has to step in when ``kipoi.plugin`` is imported. This module runs at every start of Python
in the environment, so it imports nothing and only leaves a note on ``sys.meta_path``; the repairs
themselves are in ``kipoi_tfbind.repairs`` and are loaded when Kipoi is.
"""

import sys

REPAIRED_MODULES = ("kipoi.cli.main", "kipoi.model", "kipoi.pipeline", "kipoi.plugin", "kipoi.writers")


class KipoiFinder:
    """Finds Kipoi's modules as the other finders do, and has them repaired once they are executed."""

    @staticmethod
    def find_spec(fullname, path=None, target=None):  # type: ignore[no-untyped-def]
        """Return the module's spec with a repairing loader; None for a module that needs no repair."""
        if fullname not in REPAIRED_MODULES:
            return None
        for finder in sys.meta_path:
            find_spec = getattr(finder, "find_spec", None)
            if finder is KipoiFinder or find_spec is None:
                continue
            spec = find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = RepairingLoader(spec.loader)
                return spec
        return None


class RepairingLoader:
    """Stands in for a module's own loader until the module is executed, then repairs the module."""

    def __init__(self, loader):  # type: ignore[no-untyped-def]
        self._loader = loader

    def __getattr__(self, name):  # type: ignore[no-untyped-def]
        return getattr(self._loader, name)

    def create_module(self, spec):  # type: ignore[no-untyped-def]
        """Create the module as its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module):  # type: ignore[no-untyped-def]
        """Execute the module, give it its own loader back, and repair it."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        try:
            from kipoi_tfbind.repairs import repair

            repair(module)
        except Exception as error:
            # Kipoi must stay importable whatever is wrong with us: half-removed, or another Kipoi.
            import warnings

            warnings.warn(f"kipoi_tfbind: {module.__name__} is left unrepaired: {error!r}", stacklevel=2)


if KipoiFinder not in sys.meta_path:
    sys.meta_path.insert(0, KipoiFinder)
