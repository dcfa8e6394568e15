"""Train, prune and write the demo's networks: daemon/demo/networks/*.onnx.

    python bench/train_demo.py [--steps 2400] [--only scene|sound]

Data are drawn as training goes, so nothing repeats and nothing is downloaded. The first third
trains dense weights; then whole block columns are taken away step by step, and the rest is
trained on until what remains has learnt the work of all. About twenty minutes on one core.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from demo_networks import (
    PERCEPTION_RULES,
    SOUND_RULES,
    Perception,
    PruneRule,
    Sound,
    column_mask,
    save_perception,
    save_sound,
)
from torch import Tensor, nn

from coexec.daemon.demo import sound, world

_NETWORKS = Path(__file__).parent.parent / "daemon" / "demo" / "networks"
_DENSE_PART = 0.33  # of all steps
_RAMP_PART = 0.25
_MASK_EVERY = 20


class Pruner:
    """Zeroes block columns of a network's weights while it trains."""

    def __init__(self, net: nn.Module, rules: Mapping[str, PruneRule], steps: int) -> None:
        weights = dict(net.named_parameters())
        self._weights = [(weights[name], rule) for name, rule in rules.items()]
        self._masks: list[Tensor] = []
        self._first, self._ramp = int(_DENSE_PART * steps), max(1, int(_RAMP_PART * steps))

    def after_step(self, step: int) -> None:
        """Renew the masks while the ramp lasts, then apply them."""
        if step < self._first:
            return
        progress = min(1.0, (step - self._first) / self._ramp)
        ramping = step <= self._first + self._ramp
        if not self._masks or (ramping and (step - self._first) % _MASK_EVERY == 0):
            self._masks = [column_mask(w, rule, progress) for w, rule in self._weights]
        elif step == self._first + self._ramp + 1:
            self._masks = [column_mask(w, rule, 1.0) for w, rule in self._weights]
        with torch.no_grad():
            for (weight, _), mask in zip(self._weights, self._masks, strict=True):
                weight.mul_(mask)

    def densities(self) -> list[float]:
        """The share of each pruned weight that is not zero."""
        return [float((weight != 0).float().mean()) for weight, _ in self._weights]


def scene_batch(size: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
    """Random scenes: images and the truth for every head."""
    views = [world.render(world.random_scene(rng), rng) for _ in range(size)]
    truth = {
        "kind": torch.tensor([view.kind for view in views]),
        "box": torch.from_numpy(np.stack([view.box for view in views])),
        "mask": torch.from_numpy(np.stack([view.mask for view in views]).astype(np.float32)),
        "count": torch.tensor([view.count for view in views]),
    }
    return torch.from_numpy(np.stack([view.image for view in views])), truth


def scene_loss(answer: Mapping[str, Tensor], truth: Mapping[str, Tensor]) -> Tensor:
    """The four heads' losses, weighted to be of one size."""
    cross, f = nn.functional.cross_entropy, nn.functional
    box = f.smooth_l1_loss(torch.sigmoid(answer["box"]), truth["box"], beta=0.02)
    mask = f.binary_cross_entropy_with_logits(answer["mask"], truth["mask"])
    kinds = cross(answer["kind"], truth["kind"]) + cross(answer["count"], truth["count"])
    return kinds + 10 * box + 3 * mask


def scene_scores(net: Perception, rng: np.random.Generator) -> dict[str, float]:
    """Accuracy of each head on new scenes: right kinds and counts, mean IoU of box and mask."""
    images, truth = scene_batch(400, rng)
    net.eval()
    with torch.no_grad():
        answer = net(images)
    net.train()
    box, true = torch.sigmoid(answer["box"]), truth["box"]
    sides = torch.minimum(box[:, 2:], true[:, 2:]) - torch.maximum(box[:, :2], true[:, :2])
    both = sides.clamp(min=0).prod(1)
    either = (box[:, 2:] - box[:, :2]).prod(1) + (true[:, 2:] - true[:, :2]).prod(1) - both
    mask, real = answer["mask"] > 0, truth["mask"] > 0
    overlap = (mask & real).sum((1, 2)) / (mask | real).sum((1, 2))
    return {
        "kind": float((answer["kind"].argmax(1) == truth["kind"]).float().mean()),
        "box": float((both / either).mean()),
        "mask": float(overlap.mean()),
        "count": float((answer["count"].argmax(1) == truth["count"]).float().mean()),
    }


def train_scene(steps: int, batch: int = 48) -> None:
    """Train the perception family and write its four files."""
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    net = Perception()
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.1)
    pruner = Pruner(net, PERCEPTION_RULES, steps)
    began = time.monotonic()
    for step in range(steps):
        images, truth = scene_batch(batch, rng)
        loss = scene_loss(net(images), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        pruner.after_step(step)
        if step % 100 == 99:
            scores = scene_scores(net, np.random.default_rng(2))
            line = " ".join(f"{name} {score:.3f}" for name, score in scores.items())
            print(
                f"{step + 1:5d} {time.monotonic() - began:5.0f} s loss {loss.item():.3f} {line}",
                flush=True,
            )
    print("densities", [round(density, 3) for density in pruner.densities()])
    save_perception(net.eval(), _NETWORKS)


def sound_batch(size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Windows of random sounds and their kinds."""
    kinds = rng.integers(len(sound.KINDS), size=size)
    seconds = (sound.WINDOW_LEN + 1) / sound.RATE
    waves = [sound.make_sound(int(kind), seconds, rng)[: sound.WINDOW_LEN] for kind in kinds]
    windows = np.stack([sound.features(wave) for wave in waves])
    return torch.from_numpy(windows), torch.from_numpy(kinds)


def train_sound(steps: int, batch: int = 48) -> None:
    """Train the sound network and write its file."""
    torch.manual_seed(3)
    rng = np.random.default_rng(3)
    net = Sound(len(sound.KINDS))
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps, pct_start=0.1)
    pruner = Pruner(net, SOUND_RULES, steps)
    for step in range(steps):
        windows, kinds = sound_batch(batch, rng)
        loss = nn.functional.cross_entropy(net(windows), kinds)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        pruner.after_step(step)
        if step % 100 == 99:
            windows, kinds = sound_batch(300, np.random.default_rng(4))
            with torch.no_grad():
                right = (net(windows).argmax(1) == kinds).float().mean()
            print(f"{step + 1:5d} loss {loss.item():.3f} kind {right:.3f}", flush=True)
    print("densities", [round(density, 3) for density in pruner.densities()])
    save_sound(net.eval(), _NETWORKS)


def main() -> None:
    """Train what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--only", choices=["scene", "sound"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    _NETWORKS.mkdir(exist_ok=True)
    if options.only != "scene":
        train_sound(options.steps // 2)
    if options.only != "sound":
        train_scene(options.steps)


if __name__ == "__main__":
    main()
