"""PuzzleMix: its cut, its mixed images and the saliency that it takes from a network."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from automix_mm.mixing import LabelCosts, Pair, mix_targets
from automix_mm.models import PuzzleMix
from automix_mm.models.mixers.puzzle_cut import best_labels
from automix_mm.models.mixers.puzzle_mix import PuzzleDraw
from automix_mm.registry import MODELS
from tests.small_models import batch, classifier, grads, plain_classifier, sgd, step, total, weights
from tests.test_mixing import puzzle_reference as reference
from tests.test_mixing.test_puzzle_energy import scenes

STD = (60.0, 65.0, 70.0)
PARTNER = torch.tensor([2, 1, 3, 0])
SMALL = dict(momentum=None, onehot=False, mixer=dict(type='automix_mm.PuzzleMix'))


def normalised(images):
    """Images as a data preprocessor with this std leaves them."""
    return (images - 0.45) * 255 / torch.tensor(STD).view(3, 1, 1)


def random_costs(num, rows, cols, labels=3, scale=1.0, seed=0):
    """Costs of noise, of which scale tells how much the neighbours matter."""
    source = torch.Generator().manual_seed(seed)
    return LabelCosts(
        torch.rand(num, rows, cols, labels, generator=source),
        torch.rand(num, rows - 1, cols, generator=source) * scale,
        torch.rand(num, rows, cols - 1, generator=source) * scale,
    )


def each(costs):
    """The costs of each sample as arrays of float64."""
    return [[term[i].double().numpy() for term in costs] for i in range(len(costs.unary))]


def scene_costs(num, fields=None, seed=0):
    """The costs of real steps: structured images and salient spots."""
    images, saliency = scenes(seed=seed)
    lam = torch.tensor([0.05, 0.3, 0.5, 0.8])
    found = []
    mixer = PuzzleMix(std=STD, energy=fields)
    mixer.energy = SpyEnergy(mixer.energy, found)
    mixer.mix(normalised(images), PuzzleDraw(Pair(lam, PARTNER), num), saliency)
    return found[0]


class SpyEnergy:
    """Keeps the costs that a mixer asks for."""

    def __init__(self, energy, found):
        self.energy, self.found = energy, found

    def __getattr__(self, name):
        return getattr(self.energy, name)

    def costs(self, *args):
        self.found.append(self.energy.costs(*args))
        return self.found[-1]


# -------------------------------------------------------------------------------- the cut


@pytest.mark.parametrize('scale', [0.0, 0.3, 3.0])
@pytest.mark.parametrize(
    ('rows', 'cols', 'labels'), [(2, 2, 3), (2, 2, 2), (2, 2, 5), (2, 3, 4), (3, 3, 3), (4, 4, 2)]
)
def test_cut_is_the_best_of_all_labelings(rows, cols, labels, scale):
    costs = random_costs(12, rows, cols, labels, scale)
    energy = costs.energy(best_labels(costs))
    for found, terms in zip(energy.tolist(), each(costs), strict=True):
        assert found == pytest.approx(reference.enumerate_labels(*terms), abs=1e-6)


@pytest.mark.parametrize('scale', [0.3, 1.0])
def test_cut_is_the_best_of_all_labelings_of_4x4_blocks(scale):
    """43 million labelings each, so one row after the other."""
    costs = random_costs(8, 4, 4, 3, scale)
    energy = costs.energy(best_labels(costs))
    for found, terms in zip(energy.tolist(), each(costs), strict=True):
        assert found == pytest.approx(reference.sweep_rows(*terms), abs=1e-6)


def test_the_two_exact_references_agree():
    for terms in each(random_costs(5, 3, 3, 3)):
        assert reference.sweep_rows(*terms) == pytest.approx(reference.enumerate_labels(*terms))


@pytest.mark.parametrize('num', [2, 4, 8, 16])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_energy_is_never_above_that_of_alpha_beta_swap(num, seed):
    """From any start: the swap of the authors ends in a local optimum at best."""
    costs = scene_costs(num, seed=seed)
    energy = costs.energy(best_labels(costs)).tolist()
    for found, terms in zip(energy, each(costs), strict=True):
        for start in range(3):
            swapped = reference.energy(*terms, reference.swap_labels(*terms, start))
            assert found <= swapped + 1e-6


def test_swap_is_sometimes_worse():
    """Or the test above would compare the cut with itself."""
    costs = scene_costs(16)
    energy = costs.energy(best_labels(costs)).tolist()
    swapped = [reference.energy(*t, reference.swap_labels(*t)) for t in each(costs)]
    assert max(s - e for s, e in zip(swapped, energy, strict=True)) > 1e-5


@pytest.mark.parametrize('num', [2, 4])
def test_cut_of_scenes_is_the_best_of_all_labelings(num):
    costs = scene_costs(num)
    energy = costs.energy(best_labels(costs)).tolist()
    for found, terms in zip(energy, each(costs), strict=True):
        assert found == pytest.approx(reference.sweep_rows(*terms), abs=1e-6)


def test_many_graphs_are_cut_as_one_batch():
    """40 images of 16 x 16 blocks take more than one graph."""
    costs = random_costs(40, 16, 16, 3)
    labels = best_labels(costs)
    alone = [best_labels(LabelCosts(*(t[i : i + 1] for t in costs))) for i in (0, 20, 39)]
    assert torch.equal(labels[[0, 20, 39]], torch.cat(alone))


@pytest.mark.parametrize(('rows', 'cols'), [(1, 1), (1, 5), (5, 1)])
def test_cut_of_a_single_row_or_block(rows, cols):
    costs = random_costs(6, rows, cols)
    labels = best_labels(costs)
    assert labels.shape == (6, rows, cols) and labels.dtype == torch.long
    for found, terms in zip(costs.energy(labels).tolist(), each(costs), strict=True):
        assert found == pytest.approx(reference.enumerate_labels(*terms), abs=1e-6)


def test_large_weights_leave_one_label():
    costs = random_costs(3, 4, 4, 3, scale=1e6)
    labels = best_labels(costs).flatten(1)
    assert torch.equal(labels, costs.unary.sum((1, 2)).argmin(1, keepdim=True).expand(3, 16))


@pytest.mark.parametrize('label', [0, 2])
def test_one_label_best_everywhere(label):
    costs = random_costs(2, 4, 4)
    costs.unary[..., label] = -5
    assert (best_labels(costs) == label).all()


# -------------------------------------------------------------------------------- the mix


@pytest.mark.parametrize('num', [2, 4, 8, 16])
@pytest.mark.parametrize(
    'transport', [{}, dict(t_size=4), dict(n_iter=1), dict(t_eps=0.1)], ids=str
)
def test_mixed_images_are_those_of_the_authors_steps(num, transport):
    images, saliency = scenes()
    lam, x = torch.tensor([0.1, 0.4, 0.5, 0.8]), normalised(images)
    mixed = PuzzleMix(std=STD, transport=transport).mix(
        x, PuzzleDraw(Pair(lam, PARTNER), num), saliency
    )
    kwargs = dict(transport)
    kwargs['rounds'] = kwargs.pop('n_iter', None)
    compared = 0
    for i, partner in enumerate(PARTNER.tolist()):
        seen = [saliency[at, 0].double().numpy() for at in (i, partner)]
        pixels = images[i].double().numpy(), images[partner].double().numpy()
        terms = reference.costs(*pixels, seen, float(lam[i]), num)
        labels = reference.swap_labels(*terms)
        side = 32 // num
        ours = (2 - 2 * mixed.mask[i, 0, ::side, ::side]).round().long().numpy()
        if reference.energy(*terms, labels) - reference.energy(*terms, ours) > 1e-6:
            continue  # the swap is stuck
        compared += 1
        own, other = x[i].numpy(), x[partner].numpy()
        expected, weight = reference.mix(own, other, seen, labels, num, **kwargs)
        np.testing.assert_allclose(mixed.images[i], expected, atol=1e-5)
        assert float(mixed.pair.lam[i]) == pytest.approx(weight)
    assert compared >= 1


def test_transport_changes_the_picture_and_not_the_labels():
    images, saliency = scenes()
    draw = PuzzleDraw(Pair(torch.tensor(0.5), PARTNER), 8)
    moved, still = (
        PuzzleMix(std=STD, transport=t).mix(normalised(images), draw, saliency)
        for t in (True, False)
    )
    assert torch.equal(moved.mask, still.mask)
    assert torch.equal(moved.pair.lam, still.pair.lam)
    assert not torch.allclose(moved.images, still.images)
    own = still.mask * normalised(images) + (1 - still.mask) * normalised(images)[PARTNER]
    torch.testing.assert_close(still.images, own)


def test_the_salient_image_is_shown_where_it_is_salient():
    saliency = torch.full((2, 1, 32, 32), 1e-3)
    saliency[0, :, :, :16] = 1
    saliency[1, :, :, 16:] = 1
    images, _ = scenes(2)
    draw = PuzzleDraw(Pair(torch.tensor(0.5), torch.tensor([1, 0])), 4)
    mask = PuzzleMix(std=STD).mix(normalised(images), draw, saliency).mask
    assert (mask[0, 0, :, :16] > mask[0, 0, :, 16:]).all()
    assert (mask[1, 0, :, :16] < mask[1, 0, :, 16:]).all()


@pytest.mark.parametrize('num', [2, 4, 8, 16])
def test_lam_is_the_prior_of_the_label_weight(num):
    images, saliency = scenes(12)
    found = []
    for lam in (0.02, 0.25, 0.5, 0.75, 0.98):
        draw = PuzzleDraw(Pair(torch.tensor(lam), torch.arange(12).roll(1)), num)
        found.append(PuzzleMix(std=STD).mix(normalised(images), draw, saliency).pair.lam)
    means = [float(lam.mean()) for lam in found]
    assert means == sorted(means)
    assert means[0] < 0.1 and means[-1] > 0.9
    assert found[2].std() > 0 or num == 2  # a weight for each sample


@pytest.mark.parametrize('lam', [0.0, 1.0])
def test_sure_lam_leaves_no_choice(lam):
    images, saliency = scenes()
    saliency[:, :, 3:6, 3:6] += 50  # what no finite prior outweighs
    pair = Pair(torch.tensor([lam, 0.5, lam, 0.5]), PARTNER)
    mixed = PuzzleMix(std=STD).mix(images, PuzzleDraw(pair, 8), saliency)
    assert mixed.pair.lam[[0, 2]].tolist() == [lam, lam]
    assert torch.equal(mixed.images[[0, 2]], (images if lam else images[PARTNER])[[0, 2]])
    assert ((mixed.pair.lam[[1, 3]] > 0) & (mixed.pair.lam[[1, 3]] < 1)).all()


def test_images_that_are_their_own_partner_come_back():
    images, saliency = scenes()
    for num in (2, 8, 16):
        draw = PuzzleDraw(Pair(torch.tensor(0.4), torch.arange(4)), num)
        assert torch.equal(PuzzleMix(std=STD).mix(images, draw, saliency).images, images)


@pytest.mark.parametrize('size', [(32, 32), (30, 45), (9, 13), (3, 40), (1, 1)])
@pytest.mark.parametrize('num', [2, 5, 16])
@pytest.mark.parametrize('t_size', [-1, 2])
def test_the_mean_pixel_is_the_mean_label_at_any_size(size, num, t_size):
    source = torch.Generator().manual_seed(0)
    saliency = torch.rand(6, 1, *size, generator=source) ** 8
    values = torch.arange(6.0)
    images = values.view(-1, 1, 1, 1).expand(6, 3, *size)
    draw = PuzzleDraw(Pair(torch.tensor(0.5), torch.arange(6).roll(1)), num)
    mixed = PuzzleMix(std=STD, transport=dict(t_size=t_size)).mix(images, draw, saliency)
    assert mixed.images.shape == images.shape and mixed.mask.shape == (6, 1, *size)
    targets = mix_targets(torch.arange(6), mixed.pair, 6)
    torch.testing.assert_close(mixed.images.mean((1, 2, 3)), targets @ values)
    torch.testing.assert_close(mixed.mask.mean((1, 2, 3)), mixed.pair.lam)


@pytest.mark.parametrize('bad', [0.0, float('nan'), float('inf')])
def test_saliency_that_says_nothing_is_taken_as_even(bad):
    images, saliency = scenes()
    even = saliency.clone()
    saliency[1], even[1] = bad, 1.0
    draw = PuzzleDraw(Pair(torch.tensor(0.5), PARTNER), 8)
    one, other = (PuzzleMix(std=STD).mix(images, draw, seen) for seen in (saliency, even))
    assert torch.equal(one.images, other.images)


def test_the_unit_of_the_saliency_does_not_matter():
    images, saliency = scenes()
    draw = PuzzleDraw(Pair(torch.tensor(0.5), PARTNER), 8)
    one, other = (PuzzleMix(std=STD).mix(images, draw, seen) for seen in (saliency, saliency / 64))
    assert torch.equal(one.images, other.images)


def test_every_grid_is_drawn():
    mixer, source = PuzzleMix(), torch.Generator().manual_seed(0)
    drawn = [mixer.draw(4, (32, 32), source).grid for _ in range(400)]
    for num in (2, 4, 8, 16):
        assert 70 <= drawn.count(num) <= 130
    assert PuzzleMix(grids=(7,)).draw(4, (32, 32), source).grid == 7


# --------------------------------------------------------------------------- the saliency


def look(mixer, encoder, images, data_samples):
    labels = torch.cat([sample.gt_label for sample in data_samples])
    target = torch.nn.functional.one_hot(labels, 10).float()
    return mixer.look(encoder, images, target), target


def test_saliency_is_the_input_gradient_of_each_sample():
    model = classifier(**SMALL)
    images, data_samples = batch(3)
    saliency, target = look(model.mixer, model.q, images, data_samples)
    assert saliency.shape == (3, 1, 16, 16) and saliency.dtype == torch.float32
    model.q.eval()
    for i in range(3):
        image = images[i : i + 1].clone().requires_grad_()
        score = model.q.heads['mix'](model.q.extract_feat(image))
        (-score.log_softmax(1) * target[i]).sum().backward()
        expected = image.grad.pow(2).mean(1).sqrt()
        # The unit is free.
        torch.testing.assert_close(
            saliency[i] / saliency[i].sum(), expected / expected.sum(), rtol=1e-4, atol=1e-7
        )


@pytest.mark.parametrize('train_mode', [False, True])
@pytest.mark.parametrize('training', [False, True])
def test_looking_leaves_no_trace(train_mode, training):
    model = classifier(**SMALL).train(training)
    model.q.backbone.conv1.weight.requires_grad_(False)
    model.q.backbone.bn1.eval()  # as norm_eval does
    mixer = PuzzleMix(train_mode=train_mode)
    modes = [m.training for m in model.modules()]
    needed = [p.requires_grad for p in model.parameters()]
    before, images = weights(model), batch()[0]
    look(mixer, model.q, *batch())
    assert modes == [m.training for m in model.modules()]
    assert needed == [p.requires_grad for p in model.parameters()]
    assert all(grad is None for grad in grads(model).values())
    assert not images.requires_grad and images.grad is None
    after = weights(model)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_modes_differ():
    model = classifier(**SMALL)
    model.q.extract_feat(batch(seed=5)[0])  # running statistics that are not those of the batch
    seen = [look(PuzzleMix(train_mode=m), model.q, *batch())[0] for m in (False, True)]
    assert not torch.allclose(seen[0], seen[1], rtol=1e-2)
    again = look(PuzzleMix(), model.q.eval(), *batch())[0]
    torch.testing.assert_close(seen[0], again)


def test_saliency_costs_no_weight_gradient():
    """Two of the three products of a training step."""
    model = classifier(**SMALL)
    images, data_samples = batch()
    with FlopCounterMode(display=False) as looking:
        _, target = look(model.mixer, model.q, images, data_samples)
    with FlopCounterMode(display=False) as training:
        model.q.loss(images, target, 'mix').backward()
    assert looking.get_total_flops() <= 0.7 * training.get_total_flops()


def test_saliency_under_autocast_and_without_gradient():
    model = classifier(**SMALL)
    exact = look(model.mixer, model.q, *batch())[0]
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        rough = look(model.mixer, model.q, *batch())[0]
    assert rough.dtype == torch.float32
    assert torch.corrcoef(torch.stack([exact.flatten(), rough.flatten()]))[0, 1] > 0.95


# -------------------------------------------------------------------------- the classifier


@pytest.mark.parametrize('momentum', [None, dict(momentum=0.1, max_steps=100)])
@pytest.mark.parametrize('onehot', [False, True])
def test_classifier_trains_with_it(momentum, onehot):
    model = classifier(**SMALL | dict(onehot=onehot, momentum=momentum))
    optimizer, before = sgd(model), weights(model)
    for seed in range(2):
        step(model, optimizer, *batch(seed=seed))
    after = weights(model)
    trained = {name for name in before if not torch.equal(before[name], after[name])}
    assert {'q.heads.mix.fc.weight', 'q.backbone.conv1.weight'} <= trained
    assert not [name for name in before if name.startswith('mixer.')]


def test_training_repeats_itself():
    losses = []
    for _ in range(2):
        model = classifier(**SMALL)
        optimizer = sgd(model)
        steps = [step(model, optimizer, *batch(seed=s)) for s in (0, 1)]
        losses.append([losses_of['loss_mix_q'].item() for losses_of in steps])
    assert losses[0] == losses[1]


def test_gradients_are_the_same_in_a_distributed_model():
    """The inner backward pass must not be taken for the one that gradients are exchanged in."""
    alone, inside = classifier(**SMALL), classifier(**SMALL)
    total(alone.loss(*batch())).backward()
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = MMDistributedDataParallel(module=inside, device_ids=None)
        total(wrapped(*batch(), mode='loss')).backward()
    finally:
        dist.destroy_process_group()
    expected, found = grads(alone), grads(inside)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_compiled_backbone_can_be_looked_through():
    model = classifier(**SMALL)
    expected = look(model.mixer, model.q, *batch())[0]
    model.q.backbone.compile(backend='aot_eager')
    found = look(model.mixer, model.q, *batch())[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_k_looks_where_there_is_one():
    model = classifier(**SMALL | dict(momentum=dict(momentum=0.1, max_steps=100)))
    seen, mixer = [], model.mixer
    mixer.look = lambda encoder, *args: (
        seen.append(encoder) or PuzzleMix.look(mixer, encoder, *args)
    )
    model.loss(*batch())
    assert len(seen) == 1 and seen[0] is model.k


# --------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(alpha=0), 'alpha'),
        (dict(prob=2), 'prob'),
        (dict(grids=()), 'grids must be'),
        (dict(grids=(1, 2)), 'grids must be'),
        (dict(grids=(2.0,)), 'grids must be'),
        (dict(std=0), 'std must be'),
        (dict(std=((1.0,),)), 'std must be'),
        (dict(energy=dict(gamma=-1)), 'gamma must be'),
        (dict(transport=dict(t_eps=-1)), 't_eps must be'),
    ],
)
def test_fields_outside_their_range(fields, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='automix_mm.PuzzleMix', **fields))


def test_what_must_fit_the_images():
    images, saliency = scenes()
    draw = PuzzleDraw(Pair(torch.tensor(0.5), PARTNER), 4)
    with pytest.raises(ValueError, match=r'needs the saliency.*\(4, 1, 32, 32\), got None'):
        PuzzleMix().mix(images, draw)
    with pytest.raises(ValueError, match=r'got \(4, 1, 16, 16\)'):
        PuzzleMix().mix(images, draw, saliency[..., :16, :16])
    with pytest.raises(ValueError, match='std must be a number or one per channel .* 3, got 2'):
        PuzzleMix(std=(1.0, 1.0)).mix(images, draw, saliency)
    grey = PuzzleMix(std=60.0).mix(images[:, :1], draw, saliency)
    assert grey.images.shape == (4, 1, 32, 32)


def test_the_hosts_classifier_cannot_use_it():
    """It needs the network, so it is no batch augment."""
    augments = dict(train_cfg=dict(augments=dict(type='automix_mm.PuzzleMix')))
    with pytest.raises(KeyError):
        plain_classifier(**augments)
