"""Samples too large to hold: chunks drawn from streams of their own, kept as moments."""

import numpy as np
import pytest
import torch
from support import dataset, method, records_of

from irmbench import runner
from irmbench.errors import UserError
from irmbench.interface import Solver
from irmbench.moments import Examples, compress, stream
from irmbench.runner import Options
from irmbench.runs import scores, sources, streams
from irmbench.runs.assembly import training_data
from irmbench.suite import parse

CONVERGED = Solver(optimizer="newton")
LARGE = """
name = "large"
seeds = 1

[[experiments]]
datasets = [{ id = "irm_appendix_d", n = 20_000 }]
methods = ["erm", { id = "irmv1", variant = "ustat" }]
solvers = [{ name = "official", steps = 3 }]
"""


@pytest.fixture
def small_chunks(monkeypatch):
    """Samples of more than 1,000 examples are large, a chunk has 128, a block 4 chunks."""
    monkeypatch.setattr(streams, "WHOLE", 1000)
    monkeypatch.setattr(streams, "ROWS", 128)
    monkeypatch.setattr(streams, "BLOCK", 512)


@pytest.fixture
def threads():
    """A function that sets the number of threads, which is restored."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def data(of, seed=0, name="erm", **params):
    return training_data(of, method(name, **params), CONVERGED, seed)


def test_a_sample_of_one_piece_is_drawn_as_ever():
    of = dataset("irm_chain", n=500)
    assert torch.equal(data(of).second, compress(of.sample(500, 0)).second)


def test_moments_of_chunks_are_those_of_their_examples(small_chunks):
    of = dataset("irm_chain", n=3000)
    examples, moments = sources.drawn(of, "training", 0), data(of)
    assert examples.inputs.shape == (3, 3000, 10)
    rows = np.concatenate([examples.inputs, np.ones((3, 3000, 1)), examples.targets[..., None]], -1)
    expected = np.einsum("eni,enj->eij", rows, rows) / 3000
    np.testing.assert_allclose(moments.second, expected, rtol=1e-12, atol=1e-13)
    assert moments.count.tolist() == [3000] * 3


def test_no_two_chunks_are_alike(small_chunks):
    examples = sources.drawn(dataset("irm_chain", n=3000), "training", 0)
    assert len(np.unique(examples.targets[0])) == 3000


def test_the_number_of_threads_changes_no_bit(small_chunks, threads):
    found = []
    for number in (1, 2, 5):
        threads(number)
        found.append(data(dataset("irm_chain", n=5000)).second)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_another_seed_is_another_sample(small_chunks):
    first, other = (data(dataset("irm_chain", n=3000), seed).second for seed in (0, 1))
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["irm_chain", "imbalanced_envs", "hrm_selection"])
def test_moments_of_chunks_are_near_the_populations(small_chunks, name):
    of = dataset(name, n=50_000)
    moments, exact = data(of), of.population(0)
    assert moments.count.tolist() == exact.count.tolist()
    scale = exact.second.diagonal(dim1=-2, dim2=-1).sqrt()
    error = (moments.second - exact.second) / (scale[..., None] * scale[..., None, :])
    # Standard errors are about sqrt(2 / n) of these units, and more for products of inputs that are not normal.
    assert (error.abs() * exact.count[:, None, None].sqrt()).max() < 12


def test_an_environment_smaller_than_the_first_chunks_has_only_its_own_examples(small_chunks):
    of = dataset("imbalanced_envs", n=3000, ratio=100.0)
    examples, moments = sources.drawn(of, "training", 0), data(of)
    expected = [compress(Examples(examples.inputs[e, :n], examples.targets[e, :n])) for e, n in enumerate(of.sizes)]
    for e, one in enumerate(expected):
        torch.testing.assert_close(moments.second[e], one.second, rtol=1e-12, atol=1e-12)
    assert moments.count.tolist() == list(of.sizes)


def test_an_oracle_learns_from_chunks_of_the_test_environments(small_chunks):
    of = dataset("irm_chain", n=3000)
    found = sources.drawn_moments(of, "testing", 0)
    assert found.second.shape[0] == of.test_sample(2, 0).targets.shape[0]
    assert found.count.tolist() == [3000] * len(found.count)


def test_test_environments_without_exact_moments_are_drawn_in_chunks(small_chunks):
    of = dataset("eills_scm", n=5000)
    assert of.test_population(0) is None
    told = scores.Tester(of, 0, of.truth(0))(of.truth(0).coefficients)
    assert told["worst_test_risk"] == pytest.approx(1.0, abs=0.3)  # the target's own noise


def test_risks_to_select_by_come_from_chunks(small_chunks):
    place = "irm_chain", b'{"n":3000}', 0, "training", "validation"
    found = sources.fresh(*place)
    assert found.count.tolist() == [3000] * 3
    assert not torch.equal(found.second, data(dataset("irm_chain", n=3000)).second)


def test_an_environment_held_out_is_of_the_same_chunks(small_chunks):
    key = sources.Source("irm_chain", b'{"n":3000}', 0, held_out=1)
    every = data(dataset("irm_chain", n=3000)).second
    assert torch.equal(sources.held_out(key).second, every[[1]])
    assert torch.equal(sources.sample_moments(key).second, every[[0, 2]])


@pytest.mark.parametrize("name", ["two_bit_logistic", "spirals", "ilc_patchwork"])
def test_what_moments_do_not_tell_or_cannot_be_drawn_again_is_not_drawn_in_chunks(small_chunks, name):
    assert streams.streamed(dataset(name, n=3000), "training", 0, "data") is None


def statuses(folder, text=LARGE):
    summary = runner.run_suite(parse(text), Options(folder, workers=1))
    return {record["method"]: record for record in records_of(summary)}


@pytest.fixture
def no_plots(monkeypatch):
    """Tables and plots have tests of their own."""
    monkeypatch.setattr("irmbench.report.outputs.write", lambda *arguments: None)


def test_methods_on_moments_and_on_examples_see_one_sample(small_chunks, no_plots, tmp_path):
    found = statuses(tmp_path)
    assert {record["status"] for record in found.values()} == {"ok"}


def test_examples_that_memory_cannot_hold_are_told_in_figures(no_plots, tmp_path):
    found = statuses(tmp_path, LARGE.replace("20_000", "10_000_000_000").replace('"erm", ', ""))["irmv1"]
    assert found["status"] == "not_applicable"
    assert (
        "to draw 10,000,000,000 in each of 2 environments takes 1,490 GiB of memory; this machine has"
        in (found["error"])
    )


def test_the_time_to_draw_is_told_before_a_long_run():
    told = streams.expected([(dataset("irm_chain", n=10**9), "training")] * 3)
    assert told.startswith("3 samples of up to 1,000,000,000 examples in each environment: about ")
    assert streams.expected([(dataset("irm_chain", n=1000), "training")]) is None


def test_samples_of_large_n_do_not_share_a_batch(small_chunks):
    from irmbench.runs.execution import plan
    from irmbench.suite import trials

    text = (
        LARGE.replace("20_000", "1_000_000_000")
        .replace("seeds = 1", "seeds = 3")
        .replace(', { id = "irmv1", variant = "ustat" }', "")
    )
    assert [len(job.trials) for job in plan(trials(parse(text)))] == [1, 1, 1]


def test_more_examples_than_can_be_drawn_are_refused():
    with pytest.raises(UserError, match=r"irm_appendix_d\.n: expected at most 10,000,000,000 examples, got 1,0+"):
        parse(LARGE.replace("20_000", "1_000_000_000_000"))


def test_a_users_chunks_are_streamed():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, 1000, 3, generator=generator, dtype=torch.float64)
    whole = Examples(inputs, inputs.sum(-1))
    parts = (Examples(inputs[:, a:b], whole.targets[:, a:b]) for a, b in ((0, 1), (1, 400), (400, 1000)))
    torch.testing.assert_close(stream(parts).second, compress(whole).second, rtol=1e-12, atol=1e-13)


STREAM = """
import resource
import torch
from irmbench import plugins
from irmbench.runs import streams
torch.set_num_threads(2)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
of = plugins.load("datasets", "irm_appendix_d")
streams.streamed(of(n=2**19), "training", 0, "data")
before = peak()
moments = streams.streamed(of(n=2**20), "training", 0, "data")
print(moments.count[0].item(), peak() - before)
"""


def test_a_million_rows_take_no_more_memory_than_half_a_million(run_python):
    count, megabytes = map(float, run_python("-c", STREAM).split())
    assert count == 2**20
    assert megabytes < 20  # the rows themselves are 80 MB
