"""What pyproject.toml cannot say: a wheel holds the dashboard, its settings, the glossary and the sets inside the package.

They lie in a package `duo_core._shipped`, whose folder in the checkout is the checkout itself; pyproject.toml lists those that are
not Python.
"""

from setuptools import find_packages, setup

SHIPPED = "duo_core._shipped"

setup(
    packages=[*find_packages(include=["duo_core*"]), SHIPPED, *(f"{SHIPPED}.{name}" for name in find_packages(include=["app*"]))],
    package_dir={SHIPPED: "."},
    script_name="setup.py",  # is left out of the package
)
