"""The frameworks: what is done with a model in TensorFlow, PyTorch, or by its predictions alone."""

from kipoi_tfbind.backends.base import Backend, Capability, InputStructure, OutputKind, Transform

__all__ = ["Backend", "Capability", "InputStructure", "OutputKind", "Transform"]
