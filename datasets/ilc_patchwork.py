"""The AND-mask paper's patchwork: one strong input for each environment to learn by heart, one weak input for all."""

from dataclasses import dataclass, replace

import torch

from irmbench.interface import Dataset, Examples, Moments, Setting, Truth, hyper
from irmbench.moments import compress

STRONG, WEAK = 3.0, 0.3


@dataclass(frozen=True)
class ILCPatchwork(Dataset):
    """Environment e in {1, .., 4} is one example, x = 3 (unit vector e, 0.1) in R^5 and y = 1.

    Nothing is random, and copies of an example have its moments. Whatever fits all four examples is optimal in every
    environment; beta* = (0, 0, 0, 0, 10/3) is what would fit alone in each. Tests: the environments that are not
    trained on, and one without a strong input. The published loss has a factor 1/2: its learning rates are twice ours.
    """

    paper = "Parascandolo et al. 2020, arXiv 2009.00329; gibipara92/learning-explanations-hard-to-vary, notebook"

    n: int = hyper(2, "copies of an environment's example", low=2)
    environments: int = hyper(4, "training environments: the first of the four", low=2, high=4)

    @property
    def setting(self) -> Setting:
        return Setting(mean_shift=True, identifiable=False, shift="which input is strong")

    def truth(self, seed: int) -> Truth:
        beta = torch.tensor([0.0, 0.0, 0.0, 0.0, 1 / WEAK], dtype=torch.float64)
        return Truth(beta, beta != 0, torch.eye(5, dtype=torch.float64))

    def sample(self, n: int, seed: int) -> Examples:
        return _copies(_inputs()[: self.environments], n)

    def population(self, seed: int) -> Moments:
        return self._exact(self.sample(1, seed))

    def test_sample(self, n: int, seed: int) -> Examples:
        return _copies(_inputs()[self.environments :], n)

    def test_population(self, seed: int) -> Moments:
        return self._exact(self.test_sample(1, seed))

    def _exact(self, one: Examples) -> Moments:
        moments = compress(one)
        return replace(moments, count=moments.count * self.n, population=True)


def _inputs() -> torch.Tensor:
    """Return the only input of every environment, and of the one without a strong input, [5, 5]."""
    strong = torch.cat([STRONG * torch.eye(4), torch.zeros(1, 4)]).double()
    return torch.nn.functional.pad(strong, (0, 1), value=WEAK)


def _copies(inputs: torch.Tensor, n: int) -> Examples:
    copied = inputs[:, None].expand(-1, n, -1).contiguous()
    return Examples(copied, torch.ones_like(copied[..., 0]))
