"""What jobs ask of the machine."""

from __future__ import annotations

import pytest

from plan import resources
from plan.resources import Resources
from skyscore.compute.devices import has_gpu
from skyscore.config.limits import DECOMPOSED_PIXELS
from tests.helpers.plan import Views, wildcards


def of(problem: str):
    return wildcards(problem=problem)


def test_memory_grows_with_each_attempt():
    """What a rule asks for when a profile's `retries` submits it again."""
    needs = Views().needs
    assert [needs.memory(4000)(None, attempt) for attempt in (1, 2, 3)] == [4000, 8000, 12000]
    more = needs.memory(4000, lambda wildcards: 500)
    assert [more(None, attempt) for attempt in (1, 2)] == [4500, 9000]


def test_memory_grows_with_the_pixels_of_a_decomposed_operator():
    """At 128 pixels an operator is a matrix of 16,384 x 16,384; maps that go through Fourier transforms have none."""
    needs = Views("paper").needs
    each = 8 * 128**4 / 1e6
    assert needs.matrices(of("lens")) == needs.matrices(of("kappa")) == int(10 * each)
    assert needs.matrices(of("cosmos360")) == 0


@pytest.mark.parametrize(
    ("decompose", "small", "large"), [(None, True, False), (True, True, True), (False, False, False)]
)
def test_maps_are_decomposed_up_to_a_size_or_as_they_say(decompose, small, large):
    """Without a setting the limit is that of the problem itself: 64 x 64 pixels."""
    assert DECOMPOSED_PIXELS == 64**2
    for pixels, expected in ((64, small), (65, large)):
        needs = Views(
            datasets={"convergence32": {"pixels": pixels}}, problems={"kappa": {"decompose": decompose}}
        ).needs
        assert (needs.matrices(of("kappa")) > 0) == expected


def test_memory_grows_with_images():
    needs = Views("paper").needs
    expected = int(3 * 4 * 200_000 * 128**2 / 1e6)
    assert needs.images(wildcards(prior="galaxies128")) == expected
    assert needs.images(wildcards(dataset="galaxies128")) == expected
    assert needs.images(wildcards(dataset="galaxies128", split="train")) == expected
    assert 0 < needs.images(wildcards(dataset="galaxies128", split="held_out")) < expected


@pytest.mark.parametrize("here", [True, False])
def test_jobs_ask_for_a_gpu_where_there_is_one(monkeypatch, here):
    """On this machine only if it has one, so that jobs need not take turns without; on a cluster always."""
    monkeypatch.setattr(resources, "has_gpu", lambda: here)
    assert Views().needs.one_gpu(None) == int(here)
    assert Views(local=False).needs.one_gpu(None) == 1


def test_the_gpu_of_this_machine():
    assert Views().needs.one_gpu(None) == has_gpu()


def test_trainings_ask_for_as_many_gpus_as_share_a_batch():
    needs = Views(local=False, priors={"kappa32": {"training": {"devices": 2}}}).needs
    assert [needs.gpus_of_training(wildcards(prior=name)) for name in ("galaxies32", "kappa32")] == [1, 2]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (8, 4), (None, 2)])
def test_two_trainings_share_the_cores(cores, threads):
    """Half of the cores each, at least one; two threads on a cluster, where the number of cores is not known."""
    assert Resources({}, None, cores=cores).half == threads
