"""The contract: every bundled plugin keeps to it, and whoever does not is told how."""

import dataclasses
import itertools
import textwrap

import pytest
import torch
from support import dataset, method
from typer.testing import CliRunner

from irmbench import plugins
from irmbench.cli import app
from irmbench.contract import checks, of_datasets, of_methods, small_problems
from irmbench.contract.findings import findings
from irmbench.contract.variations import variations
from irmbench.errors import UserError
from irmbench.interface import Dataset, Examples, Method, Moments, Setting, Truth, hyper


def broken(found):
    return {finding.check: finding.detail for finding in found if finding.verdict == "broken"}


@pytest.mark.parametrize("name", plugins.discover("methods"))
def test_every_bundled_method_keeps_to_the_contract(name):
    assert broken(findings(plugins.load("methods", name), of_methods.CHECKS)) == {}


@pytest.mark.parametrize("name", plugins.discover("datasets"))
def test_every_bundled_dataset_keeps_to_the_contract(name):
    assert broken(findings(plugins.load("datasets", name), of_datasets.CHECKS)) == {}


@dataclasses.dataclass(frozen=True)
class Sound(Method):
    paper = "nobody"
    family = "example"

    weight: float = hyper(0.5, "of the worst risk", low=0)

    def objective(self, env):
        return env.risk.mean() + self.weight * env.risk.square().mean()


def check_of(name, cls):
    (one,) = [check for check in of_methods.CHECKS if check.__name__ == name]
    (finding,) = findings(cls, [one])
    return finding


def test_a_sound_method_passes_every_check():
    verdicts = {finding.check: finding.verdict for finding in findings(Sound, of_methods.CHECKS)}
    assert set(verdicts.values()) == {"ok"}


class Nameless(Sound):
    paper = ""


class TwoShort(Sound):
    def coefficients(self, parameters):
        return parameters[:-2]


class NotFinite(Sound):
    def objective(self, env):
        return env.risk.mean() * torch.inf


COUNTER = itertools.count()


class Counting(Sound):
    def fit(self, moments):
        return moments.cross[0] * next(COUNTER)

    official = dataclasses.replace(Method.official, optimizer="closed_form")


class First(Sound):
    def objective(self, env):
        return env.risk[0] + self.weight * env.risk.mean()


class Coordinates(Sound):
    def objective(self, env):
        return env.risk.mean() + self.weight * env.coefficients.abs().sum()


@dataclasses.dataclass(frozen=True)
class Idle(Sound):
    unused: float = hyper(1.0, "nothing")


class Detached(Sound):
    def objective(self, env):
        return env.risk.mean() + env.coefficients.detach() @ env.coefficients


class Asking(Sound):
    def objective(self, env):
        return env.risk.mean() * (2.0 if env.risk.sum().item() > 0 else 1.0)


class Silent(Sound):
    def not_applicable(self, dataset, solver):
        return ""


@pytest.mark.parametrize(
    ("check", "cls", "words"),
    [
        ("metadata", Nameless, "name the paper"),
        ("applicability", Silent, "give a reason of one line"),
        ("shapes_and_values", NotFinite, "not finite"),
        ("determinism", Counting, "a second run differs"),
        ("order_of_environments", First, "declare `ordered = True`"),
        ("rotation_of_the_inputs", Coordinates, "after a rotation"),
        ("hyper_parameters", Idle, "no effect on any problem here: unused"),
        ("gradient", Detached, "differs from finite differences"),
        ("no_host_values", Asking, "no `if` on a float"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_told_how(check, cls, words):
    finding = check_of(check, cls)
    assert (finding.verdict, words in finding.detail) == ("broken", True), finding


def test_a_batch_that_changes_a_trial_is_found(monkeypatch):
    whole = small_problems.solve

    def leaking(batch, record_every=0):
        fit = whole(batch, record_every)
        return dataclasses.replace(fit, coefficients=fit.coefficients + 1e-3 * (batch.shape[0] - 1))

    monkeypatch.setattr(small_problems, "solve", leaking)
    small_problems.solved.cache_clear()
    finding = check_of("batch_invariance", Sound)
    small_problems.solved.cache_clear()
    assert finding.verdict == "broken"
    assert "alone and in a batch differ" in finding.detail


def test_an_error_is_told_in_one_line_with_the_plugin_s_own(tmp_path):
    file = tmp_path / "faulty.py"
    file.write_text(
        textwrap.dedent(
            '''
            """A method that divides by zero."""
            from dataclasses import dataclass
            from irmbench.interface import Method

            @dataclass(frozen=True)
            class Faulty(Method):
                def objective(self, env):
                    return env.risk.mean() / (1 // 0)
            '''
        )
    )
    _, found = checks.check(str(file))
    detail = broken(found)["shapes and values"]
    assert detail == "raised ZeroDivisionError: integer division or modulo by zero (faulty.py, line 9)"


def test_a_plugin_whose_defaults_cannot_be_built_says_so():
    @dataclasses.dataclass(frozen=True)
    class Needy(Method):
        weight: float

    (finding,) = findings(Needy, of_methods.CHECKS)
    assert "cannot be built without arguments" in finding.detail


@dataclasses.dataclass(frozen=True)
class Plain(Dataset):
    """y = x + noise, in two environments of different scale."""

    paper = "nobody"

    @property
    def setting(self):
        return Setting()

    def truth(self, seed):
        return Truth(torch.ones(1).double(), torch.ones(1, dtype=torch.bool), torch.eye(1).double())

    def sample(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        x, noise = torch.randn(2, 2, n, generator=generator, dtype=torch.float64)
        x = x * torch.tensor([[1.0], [2.0]]).double()
        return Examples(x[..., None], x + noise)

    def test_sample(self, n, seed):
        return self.sample(n, seed + 1_000_000)

    def population(self, seed):
        variance = torch.tensor([1.0, 4.0], dtype=torch.float64)
        second = torch.zeros(2, 3, 3, dtype=torch.float64)
        second[:, 0, 0], second[:, 0, 2], second[:, 2, 0] = variance, variance, variance
        second[:, 1, 1], second[:, 2, 2] = 1, variance + 1
        return Moments(second, torch.full((2,), 1000.0).double(), population=True)


class WrongMoments(Plain):
    def population(self, seed):
        exact = super().population(seed)
        return exact.with_tensors(exact.second * 1.05, exact.count)


class Forgetful(Plain):
    def sample(self, n, seed):
        return super().sample(n, int(torch.randint(10**6, ())))


class WrongMask(Plain):
    def truth(self, seed):
        return dataclasses.replace(super().truth(seed), causal=torch.zeros(1, dtype=torch.bool))


class SameTest(Plain):
    def test_sample(self, n, seed):
        return self.sample(n, seed)


class Endless(Plain):
    def sample(self, n, seed):
        drawn = super().sample(n, seed)
        return drawn.with_tensors(drawn.inputs / 0, drawn.targets)


def test_a_sound_dataset_breaks_nothing():
    assert broken(findings(Plain, of_datasets.CHECKS)) == {}


@pytest.mark.parametrize(
    ("check", "cls", "words"),
    [
        ("population", WrongMoments, "standard errors from 100,000 examples"),
        ("seeds", Forgetful, "the same seed gave other inputs"),
        ("truth", WrongMask, "a coefficient off the causes is not zero"),
        ("test environments", SameTest, "the test sample is the training one"),
        ("samples", Endless, "is not finite"),
    ],
)
def test_datasets_are_told_how_too(check, cls, words):
    assert words in broken(findings(cls, of_datasets.CHECKS))[check]


def test_variations_differ_in_one_field():
    m = method("irmv1")
    for field in dataclasses.fields(m):
        pairs = list(variations(m, field, steps=30))
        assert pairs
        for one, other in pairs:
            differing = [f.name for f in dataclasses.fields(m) if getattr(one, f.name) != getattr(other, f.name)]
            assert differing == [field.name]


def test_the_command_line_checks_a_name(monkeypatch):
    result = CliRunner().invoke(app, ["check", "irm_appendix_d"])
    assert result.exit_code == 0
    assert "irm_appendix_d: keeps to the contract of datasets" in result.output


def test_the_command_line_fails_where_something_is_broken(tmp_path):
    (tmp_path / "empty.py").write_text(
        '"""A method of nothing."""\nfrom dataclasses import dataclass\nfrom irmbench.interface import Method\n'
        "@dataclass(frozen=True)\nclass Empty(Method):\n    pass\n"
    )
    result = CliRunner().invoke(app, ["check", str(tmp_path / "empty.py")])
    assert result.exit_code == 1
    assert "of the rules of methods" in result.output


@pytest.mark.parametrize("text", ["irmv2", "no/such/file.py"])
def test_what_cannot_be_found_is_one_line(text):
    with pytest.raises(UserError) as error:
        checks.check(text)
    assert "\n" not in str(error.value)


def test_a_file_without_a_plugin_is_refused(tmp_path):
    (tmp_path / "nothing.py").write_text("x = 1\n")
    with pytest.raises(UserError, match="needs one public subclass"):
        checks.check(str(tmp_path / "nothing.py"))


def test_the_reference_problems_have_what_they_stand_for():
    built = {name: dataset(plugin, **params) for name, (plugin, params) in small_problems.PROBLEMS.items()}
    assert built["mean shift"].setting.mean_shift
    assert built["intercept"].intercept
    assert built["logistic"].loss == "logistic"
