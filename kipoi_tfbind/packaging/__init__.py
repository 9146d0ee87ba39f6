"""A model of one's own as an entry of Kipoi: its model.yaml, example, expected predictions and card."""

from kipoi_tfbind.packaging.description import EntryText
from kipoi_tfbind.packaging.package_model import check_request, package_model
from kipoi_tfbind.packaging.saved_model import SavedModel

__all__ = ["EntryText", "SavedModel", "check_request", "package_model"]
