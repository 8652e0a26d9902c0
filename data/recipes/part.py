"""Draw so many images of each class out of a tar of one folder a class, and write them to a smaller tar.

    python data/recipes/part.py cifar100-test.tar --each 13 --seed 0 --out cifar100-part.tar

Which ones depends on their names and the seed alone.
"""

import argparse
import tarfile
from collections import defaultdict
from pathlib import PurePosixPath

import numpy as np


def drawn(names: list[str], each: int, seed: int) -> set[str]:
    """Names of `each` images of every class; a class that has fewer gives all."""
    classes: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        classes[PurePosixPath(name).parent.name].append(name)
    draws = np.random.default_rng(seed)
    return {str(name) for own in classes.values() for name in draws.permutation(own)[:each]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("--each", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    with tarfile.open(options.images) as whole, tarfile.open(options.out, "w") as part:
        members = {member.name: member for member in whole.getmembers() if member.isfile()}
        for name in sorted(drawn(list(members), options.each, options.seed)):
            part.addfile(members[name], whole.extractfile(members[name]))


if __name__ == "__main__":
    main()
