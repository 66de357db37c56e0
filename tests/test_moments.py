import subprocess
import sys

import numpy as np
import pytest
import torch

from irmbench.moments import CHUNK, Examples, compress, merge


def examples(n, environments=2, d=3, intercept=False):
    generator = torch.Generator().manual_seed(n)
    inputs = torch.randn(environments, n, d, generator=generator, dtype=torch.float64) + 1.0
    return Examples(inputs, inputs.sum(-1) ** 2, intercept)


def test_moments_are_the_means_they_are_named_for():
    data = examples(50)
    moments = compress(data)
    X, y = data.inputs.numpy(), data.targets.numpy()
    np.testing.assert_allclose(moments.gram, np.einsum("eni,enj->eij", X, X) / 50)
    np.testing.assert_allclose(moments.cross, np.einsum("eni,en->ei", X, y) / 50)
    np.testing.assert_allclose(moments.target_square, (y**2).mean(1))
    np.testing.assert_allclose(moments.input_mean, X.mean(1))
    np.testing.assert_allclose(moments.target_mean, y.mean(1))


def test_an_intercept_is_a_last_input_of_ones():
    moments = compress(examples(50, intercept=True))
    assert moments.dimension == 4
    np.testing.assert_allclose(moments.gram[:, -1, -1], 1.0)
    np.testing.assert_allclose(moments.gram[:, -1, :-1], moments.input_mean[:, :-1])
    np.testing.assert_allclose(moments.cross[:, -1], moments.target_mean)


def test_chunks_give_the_moments_of_the_whole():
    data = examples(CHUNK + 17)
    rows = torch.cat([data.inputs, torch.ones_like(data.targets)[..., None], data.targets[..., None]], -1)
    torch.testing.assert_close(compress(data).second, rows.mT @ rows / rows.shape[1], rtol=1e-12, atol=0)


def test_merging_weighs_parts_by_their_examples():
    data = examples(100)
    parts = [Examples(data.inputs[:, a:b], data.targets[:, a:b]) for a, b in ((0, 7), (7, 60), (60, 100))]
    merged, whole = merge(compress(part) for part in parts), compress(data)
    torch.testing.assert_close(merged.second, whole.second, rtol=1e-12, atol=1e-12)
    assert merged.count.tolist() == [100, 100]


def test_merging_nothing_is_refused():
    with pytest.raises(ValueError, match="no moments to merge"):
        merge([])


def test_float32_examples_are_accumulated_in_float64():
    data = examples(1000)
    single = Examples(data.inputs.float(), data.targets.float())
    assert compress(single).second.dtype == torch.float64


STREAM = """
import resource, torch
from irmbench.moments import Examples, compress, merge
torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
def chunk(n):
    inputs = torch.randn(2, n, 4, generator=generator, dtype=torch.float64)
    return Examples(inputs, inputs.sum(-1))
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
compress(chunk(10_000))
before = peak()
moments = merge(compress(chunk(10_000)) for _ in range(200))
print(moments.count[0].item(), (peak() - before) / 1024, (moments.gram - torch.eye(4)).abs().max().item())
"""


def test_two_million_rows_stream_in_bounded_memory():
    done = subprocess.run([sys.executable, "-c", STREAM], capture_output=True, text=True, check=True)
    count, megabytes, error = map(float, done.stdout.split())
    assert count == 2_000_000
    assert megabytes < 20  # the rows themselves are 160 MB
    assert error < 5 * np.sqrt(2 / count)
