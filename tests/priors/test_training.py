"""Network, training and the learned prior: preconditioning, resume, damaged checkpoints, weights files."""

import json

import pytest
import torch

from skyscore import io
from skyscore.diffusion.schedule import geometric, multistep
from skyscore.diffusion.training import learning_rate, train
from skyscore.priors import GaussianMixturePrior, GaussianPrior, NeuralPrior
from tests.helpers.training import NETWORK, SETTINGS, fresh


@pytest.fixture
def images():
    return 0.2 * torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_an_untrained_denoiser_is_the_wiener_filter_of_white_images():
    x, sigma = torch.randn(3, 1, 16, 16), torch.tensor([0.05, 0.2, 3.0])
    shrink = (0.2**2 / (sigma**2 + 0.2**2)).view(-1, 1, 1, 1)
    model = fresh()
    torch.nn.init.zeros_(model.net.head.bias)  # the weights of the last layer start at zero
    assert torch.allclose(model(x, sigma), shrink * x, atol=1e-6)


@pytest.mark.parametrize(
    "changes", [{}, {"patch": 4}, {"channels": [16, 24, 32]}, {"blocks": 2}, {"attention": 0}]
)
def test_architectures(changes):
    x = torch.randn(2, 1, 16, 16)
    assert fresh(**changes)(x, torch.ones(2)).shape == x.shape


def test_a_killed_and_resumed_training_is_the_one_that_was_not(tmp_path, images):
    whole, _ = train(images, fresh(), SETTINGS, 1, None, progress=False)
    path = tmp_path / "state.safetensors"
    train(images, fresh(), SETTINGS, 1, path, progress=False, stop_after=7)
    # what the killed process had in memory is gone: another initialisation goes on from the file
    resumed, record = train(images, fresh(seed=9), SETTINGS, 1, path, progress=False)
    for name, value in whole.named_parameters():
        assert torch.allclose(value, dict(resumed.named_parameters())[name], atol=1e-6), name
    assert record["steps"] == 12 and path.exists()


def test_a_training_goes_on_in_another_precision(tmp_path, images):
    """The state is float32 in both, so that a killed training may go on where the hardware differs. The record says so.

    Rounding of bfloat16 is 2^-9, and it alone may part the two runs.
    """
    whole, _ = train(images, fresh(), SETTINGS, 1, None, progress=False)
    path = tmp_path / "state.safetensors"
    _, record = train(images, fresh(), SETTINGS, 1, path, progress=False, stop_after=8)
    assert record["precision"] == "float32"
    other = {**SETTINGS, "precision": "bfloat16"}
    mixed, record = train(images, fresh(seed=9), other, 1, path, progress=False)
    assert record["precision"] == "float32, bfloat16 from step 8"
    a, b, start = (torch.cat([p.flatten() for p in m.parameters()]).detach() for m in (whole, mixed, fresh()))
    assert 0 < float((a - b).norm()) < 0.2 * float((a - start).norm())
    again, record = train(images, fresh(seed=9), SETTINGS, 1, path, progress=False)  # no step is left
    assert record["precision"] == "float32, bfloat16 from step 8"
    assert torch.equal(torch.cat([p.flatten() for p in again.parameters()]), b)


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_checkpoint_is_named_and_not_used(tmp_path, images, damage, capsys):
    path = tmp_path / "state.safetensors"
    train(images, fresh(), SETTINGS, 1, path, progress=False, stop_after=5)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"nonsense" * 100)
    again, _ = train(images, fresh(), SETTINGS, 1, path, progress=False)
    assert "state.safetensors: checkpoint is damaged" in capsys.readouterr().out
    whole, _ = train(images, fresh(), SETTINGS, 1, None, progress=False)
    assert all(torch.allclose(a, b) for a, b in zip(again.parameters(), whole.parameters(), strict=True))


def test_training_lowers_the_loss(images):
    """White images: the best possible loss per pixel is that of the Wiener filter, below the start's 1."""
    settings = {**SETTINGS, "steps": 60, "batch": 16}
    smooth = images.cumsum(-1).cumsum(-2) / 16  # strongly correlated pixels can be denoised much better
    _, record = train(smooth, fresh(), settings, 0, None, progress=False)
    assert record["loss"] < 0.9


def test_divergence_is_an_error(images):
    with pytest.raises(FloatingPointError, match="diverged"):
        train(images * float("nan"), fresh(), SETTINGS, 0, None, progress=False)


def test_learning_rate_warms_up_stays_and_decays():
    rates = [learning_rate(step, {**SETTINGS, "steps": 100}) for step in range(100)]
    assert rates[0] < rates[1] < rates[2] == rates[40] == 1e-3
    assert rates[99] < rates[75] < rates[50] and rates[99] == pytest.approx(2e-5)


def test_a_prior_survives_its_file(tmp_path):
    prior, path = NeuralPrior(fresh(), {"settings": json.dumps({"a": 1})}), tmp_path / "prior.safetensors"
    with torch.no_grad():
        for p in prior.model.parameters():
            p.normal_(std=0.1)
    prior.save(path)
    again = NeuralPrior.load(path)
    x = torch.randn(2, 1, 16, 16)
    assert torch.allclose(again.denoise(x, 0.3), prior.denoise(x, 0.3), atol=1e-3)  # kept in half precision
    again.save(path)
    assert torch.equal(NeuralPrior.load(path).denoise(x, 0.3), again.denoise(x, 0.3))
    assert again.config == {"a": 1} and again.shape == (1, 16, 16)


def test_sigma_of_a_neural_prior_may_be_a_number_or_one_per_image():
    prior, x = NeuralPrior(fresh()), torch.randn(2, 1, 16, 16)
    assert torch.allclose(prior.denoise(x, 0.3), prior.denoise(x, torch.tensor([0.3, 0.3])))
    assert prior.denoise(x.double(), 0.3).dtype == torch.float64


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "prior.safetensors"
    about = {"pixels": 16, "sigma_data": 0.2, "network": {**NETWORK, "channels": [16, 32]}}
    io.write_weights(path, fresh().state_dict(), {"architecture": json.dumps(about)})
    with pytest.raises(io.InputError, match=r"prior\.safetensors: weights do not fit.*--config train=true"):
        NeuralPrior.load(path)


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    io.write_weights(path, {"a": torch.zeros(3)}, {})
    with pytest.raises(io.InputError, match="no weights of a skyscore prior"):
        NeuralPrior.load(path)


def test_prior_samples_do_not_depend_on_the_batch():
    prior = NeuralPrior(fresh())
    a, b = (prior.sample(6, torch.Generator().manual_seed(0), steps=4, batch=k) for k in (6, 4))
    assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("deviation", [0.01, 0.1, 1.0])
def test_draws_with_an_exact_score_have_the_variance_of_the_prior(deviation):
    """The control of every prior sampling. The map is linear: its gain is found without any random number."""
    start = (20.0**2 + deviation**2) ** 0.5
    prior = GaussianPrior(torch.zeros(1).double(), torch.full((1, 1), deviation**2).double())
    gain = float(multistep(prior.denoise, torch.full((1, 1), start).double(), geometric(40, 20.0, 0.001)))
    assert (gain / deviation) ** 2 == pytest.approx(1, abs=0.01)


def test_draws_converge_to_a_mixture_of_two_peaks():
    """What is not Gaussian: shares and widths of the peaks, more exact with more levels."""
    weights, means = torch.tensor([0.7, 0.3]).double(), torch.tensor([[-1.0], [1.0]]).double()
    prior = GaussianMixturePrior(weights, means, torch.full((2, 1, 1), 0.04).double())
    x = 20.0 * torch.randn(40_000, 1, generator=torch.Generator().manual_seed(0)).double() - 0.4
    x = multistep(prior.denoise, x, geometric(40, 20.0, 0.001))
    assert float((x > 0).double().mean()) == pytest.approx(0.3, abs=0.01)  # four standard errors
    assert float(x[x > 0].std()) == pytest.approx(0.2, rel=0.03)


def test_levels():
    assert geometric(3, 4.0, 1.0) == pytest.approx([4, 2, 1])
    with pytest.raises(ValueError, match="sigma_max > sigma_min"):
        geometric(5, 1.0, 2.0)
