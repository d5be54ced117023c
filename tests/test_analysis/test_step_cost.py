"""Cost of a step: bytes kept for the backward pass, FLOPs of the fused attention."""

import torch
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from automix_mm.analysis.step_cost import (
    CPU_ATTENTION,
    TrainingStep,
    _SavedBytes,
    alternate,
)
from automix_mm.mixing import attend


def saved_by(model: nn.Module, run) -> int:
    meter = _SavedBytes(model)
    with torch.autograd.graph.saved_tensors_hooks(meter.pack, meter.unpack):
        run()
    assert meter.live == 0, 'everything saved must have been released'
    return meter.peak


def test_saved_bytes_of_a_known_graph() -> None:
    model = nn.Sequential(nn.Linear(10, 20, bias=False), nn.Tanh(), nn.Linear(20, 5, bias=False))
    images = torch.randn(4, 10)
    # Kept: the input (4, 10) and tanh's output (4, 20), once though two nodes keep it.
    assert saved_by(model, lambda: model(images).sum().backward()) == 4 * (4 * 10 + 4 * 20)


def test_peak_counts_what_is_alive_at_a_time() -> None:
    model = nn.Linear(10, 10, bias=False)
    images = [torch.randn(4, 10) for _ in range(3)]

    def one_by_one() -> None:
        for batch in images:
            model(batch).tanh().sum().backward()

    def together() -> None:
        sum(model(batch).tanh().sum() for batch in images).backward()

    single = 4 * (4 * 10 + 4 * 10)
    assert saved_by(model, one_by_one) == single
    assert saved_by(model, together) == 3 * single


def test_fused_attention_is_counted_by_formula() -> None:
    num, length, width = 2, 64, 8
    query, key = (torch.randn(num, length, width, requires_grad=True) for _ in range(2))
    content = torch.randn(num, length, requires_grad=True)
    product = 2 * num * length * length * width  # one matrix product of the attention
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        out = attend(query, key, content)
    assert counter.get_total_flops() == 2 * product
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == 5 * product


def slim_step(branchwise: bool) -> TrainingStep:
    cfg = Config.fromfile('configs/automix/r18slim_cifar20.py')
    cfg.model.backbone.update(stem_channels=8, base_channels=8)
    cfg.model.head.in_channels = 64
    cfg.model.mixer.in_channels = 32
    cfg.model.train_cfg = dict(branchwise=branchwise, linear_interval=0)
    torch.manual_seed(0)
    return TrainingStep(cfg, batch_size=8, image_size=(16, 16), device=torch.device('cpu'))


def test_branchwise_step_keeps_less_than_the_plain_sum() -> None:
    branchwise, plain = slim_step(True), slim_step(False)
    assert branchwise.saved_bytes() < 0.5 * plain.saved_bytes()
    assert branchwise.flops(1) == plain.flops(1)
    held = branchwise.held_gradient_bytes()
    trained = [*branchwise.model.q.parameters(), *branchwise.model.mixer.parameters()]
    assert held == sum(4 * param.numel() for param in trained)
    assert plain.held_gradient_bytes() == 0


def test_alternate_takes_turns() -> None:
    calls: list[str] = []
    pairs = alternate(lambda: calls.append('a') or 1.0, lambda: calls.append('b') or 2.0, 3)
    assert calls == ['a', 'b'] * 3
    assert pairs == [(1.0, 2.0)] * 3
