"""What pyproject.toml cannot say: an editable installation brings the data files along, as any other does.

setuptools means to, but its `editable_wheel` asks for `has_data`, a name that no distribution has. PEP 660 leaves it
open: https://peps.python.org/pep-0660/#what-to-put-in-the-wheel. What it looks like for another Jupyter project:
https://github.com/jupyterlab/jupyterlab-latex/issues/50. When setuptools copies the files by itself, this file may go.
"""

from setuptools import Distribution, setup

Distribution.has_data = Distribution.has_data_files

setup()
