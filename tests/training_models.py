"""Small classifiers for tests of training: built by name, with a head of as many classes as are asked for."""

import torch
from torch import nn

from duo_core.models.transforms import Transform
from duo_core.models.zoo import load
from duo_core.models.zoo.specs import ModelSpec

HALF = (0.5, 0.5, 0.5)
SMALL = Transform((3, 16, 16), HALF, HALF, resize=(16, 16), crop=False)


class Net(nn.Module):
    """Two convolutions with BatchNorm, dropout, a linear head."""

    def __init__(self, num_classes=5, seed=0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.trunk = nn.Sequential(
                nn.Conv2d(3, 6, 3, stride=2),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 8, 3, stride=2),
                nn.BatchNorm2d(8),
                nn.ReLU(),
            )
            self.drop = nn.Dropout(0.1)
            self.fc = nn.Linear(8, num_classes)
            for part in self.modules():
                if isinstance(part, nn.BatchNorm2d):
                    nn.init.uniform_(part.running_var, 0.5, 2.0)

    def forward(self, images):
        return self.fc(self.drop(self.trunk(images).mean(dim=(2, 3))))


class Folded(Net):
    """The same with statistics that are merged into the convolutions."""

    def __init__(self, num_classes=5):
        super().__init__(num_classes)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.reset_running_stats()


class Fixed(Net):
    """Built for five classes and no others."""

    def __init__(self):
        super().__init__(5)


class Convolved(nn.Module):
    """Its logits come from a convolution."""

    def __init__(self, num_classes=5):
        super().__init__()
        self.conv = nn.Conv2d(3, num_classes, 3)

    def forward(self, images):
        return self.conv(images).mean(dim=(2, 3))


class Two(Net):
    """Its logits are the mean of two heads."""

    def __init__(self, num_classes=5):
        super().__init__(num_classes)
        self.other = nn.Linear(8, num_classes)

    def forward(self, images):
        seen = self.trunk(images).mean(dim=(2, 3))
        return (self.fc(seen) + self.other(seen)) / 2


def loaded(kind="Net", transform=SMALL, **arguments):
    """A model as the zoo loads it from `training_models:KIND`."""
    reference = f"training_models:{kind}"
    return load(ModelSpec(kind.lower(), reference, "python", "Tiny", arguments=arguments, transform=transform))
