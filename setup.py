"""Metadata is in setup.cfg; here is only what places ``kipoi_tfbind.pth`` beside the package.

Python reads .pth files in site-packages only, and setuptools has no declarative way to put a file
there: its data files go below ``sys.prefix``, and an editable install leaves them out.
"""

from distutils.command.install_data import install_data

from setuptools import Distribution, setup


class InstallBesidePackage(install_data):
    """Installs the data files where the package goes."""

    def finalize_options(self) -> None:
        """Take the directory of the package for that of the data."""
        self.set_undefined_options("install", ("install_lib", "install_dir"))
        super().finalize_options()


class DistributionWithData(Distribution):
    """A distribution that answers the question that setuptools' editable install asks about data."""

    def has_data(self) -> bool:
        """Whether there are data files to install."""
        return self.has_data_files()


setup(distclass=DistributionWithData, cmdclass={"install_data": InstallBesidePackage})
