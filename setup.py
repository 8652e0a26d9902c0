"""What pyproject.toml cannot say: a wheel holds the dashboard, its settings, the glossary and the sets inside the package.

They are the files that pyproject.toml lists for `duo_core._shipped`, a package whose folder in the checkout is the checkout itself.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["duo_core*"]), "duo_core._shipped"],
    package_dir={"duo_core._shipped": "."},
    script_name="setup.py",  # is left out of the package
)
