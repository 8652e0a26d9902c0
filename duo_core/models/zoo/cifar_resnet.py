"""The small ResNets for 32 x 32 images of He et al. 2016 (Deep Residual Learning, Section 4.2): ResNet-20, 32, 44, 56, and the
shallower ResNet-8 and 14 of the same rule."""

from torch import Tensor, nn
from torch.nn import functional

DEPTHS = (8, 14, 20, 32, 44, 56)


class CifarResNet(nn.Module):
    """A ResNet of depth 6 n + 2: a stem, three stages of n basic blocks, global average pooling and a linear layer.

    Parameters
    ----------
    depth
        6 n + 2.
    num_classes
        Number of logits.
    width
        Channels of the first stage, an even number; the next two have twice and four times as many. 16 in the paper.
    """

    def __init__(self, depth: int, num_classes: int = 10, width: int = 16) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        widths = (width, 2 * width, 4 * width)
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1 = _stage(widths[0], widths[0], blocks)
        self.layer2 = _stage(widths[0], widths[1], blocks)
        self.layer3 = _stage(widths[1], widths[2], blocks)
        self.linear = nn.Linear(widths[2], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images (b, 3, h, w) -> logits (b, k)."""
        features = functional.relu(self.bn1(self.conv1(images)))
        features = self.layer3(self.layer2(self.layer1(features)))
        logits: Tensor = self.linear(features.mean(dim=(2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut that has no parameters (the paper's option A)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.stride = 1 if before == after else 2
        self.padding = (after - before) // 2
        self.conv1 = nn.Conv2d(before, after, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)

    def forward(self, features: Tensor) -> Tensor:
        """Features (b, before, h, w) -> (b, after, h / stride, w / stride)."""
        change = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(features)))))
        every = features[:, :, :: self.stride, :: self.stride]
        shortcut = functional.pad(every, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(change + shortcut)


def _stage(before: int, after: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(BasicBlock(before if i == 0 else after, after) for i in range(blocks)))
