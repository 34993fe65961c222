"""Train the smoke model: `python -m training.train --out FOLDER`.

The seeds, the data, the order of the batches and the schedule are fixed; only `--device`,
`--workers` and `--threads` differ between machines.  Figures go to `FOLDER/log.jsonl`, the model
to `FOLDER/smoke_model`.  `--minutes` stops early with a checkpoint, `--resume` goes on from it.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import cast

import torch
from torch.nn import functional

from training import data, network
from training.convert import write_model

SCHEDULE = 12_000
"""Steps that rates, coaching and rounding are laid out over."""
STEPS = 11_645
"""Steps that are made: the shipped weights' run reached its limit of time here."""
PEAK_RATE = 1.5e-3
WARM_UP = 400
QUANTISED_FROM = 0.5
"""From this share of the schedule on, the model trains as it ships: rounded to 4 bits."""
SEED = 20_251


def rate(step: int) -> float:
    """The learning rate as a share of its peak: up in a line, down in half a cosine."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / (SCHEDULE - WARM_UP)
    return 0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * done))


def coaching(step: int) -> float:
    """The weight of the coach's loss: 1 at first, nothing from the middle of the training."""
    return max(0.0, 1 - 2 * step / SCHEDULE)


def drawn(make: Callable[[int], data.Batch], numbers: range, workers: int) -> Iterator[data.Batch]:
    """Batches in order, drawn ahead by other processes."""
    if workers == 0:
        yield from map(make, numbers)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        ahead: deque[Future[data.Batch]] = deque()
        for number in numbers:
            ahead.append(pool.submit(make, number))
            if len(ahead) > 4 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


class Layouts:
    """The layout of each picture size, made once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known: dict[tuple[int, int], network.Layout] = {}

    def of(self, batch: data.Batch) -> network.Layout:
        """The layout for a batch's picture size."""
        size = batch.pixels.shape[2] // 16, batch.pixels.shape[3] // 16
        if size not in self._known:
            self._known[size] = network.make_layout(*size, self._device)
        return self._known[size]


def right_answers(
    logits: torch.Tensor, places: torch.Tensor, tokens: torch.Tensor, batch: data.Batch
) -> torch.Tensor:
    """(B, Q): whether every token of the answer is the likeliest, so greedy decoding gives it."""
    pictures, questions, length = batch.tokens.shape
    wrong = torch.zeros(pictures * questions, device=logits.device)
    wrong.index_add_(0, places // length, (logits.argmax(-1) != tokens).float())
    return (wrong == 0).view(pictures, questions)


@torch.no_grad()
def measured(
    model: torch.nn.Module, layouts: Layouts, device: torch.device, batches: int, workers: int
) -> float:
    """The share of right answers on unseen pictures, quantised as shipped."""
    weights = network.effective_weights(model, quantised=True)
    right = total = 0
    for batch in drawn(data.unseen_batch, range(batches), workers):
        places, tokens = network.answer_places(batch, device)
        logits = network.answer_logits(weights, batch, layouts.of(batch), device, places)
        right += int(right_answers(logits, places, tokens, batch).sum())
        total += batch.tokens.shape[0] * batch.tokens.shape[1]
    return right / total


class Log:
    """Figures to the screen and to a file, a line of JSON each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.monotonic()
        self._right: list[torch.Tensor] = []
        self._losses: list[torch.Tensor] = []
        self._facts: list[torch.Tensor] = []

    def seconds(self) -> float:
        """Since the start."""
        return round(time.monotonic() - self._began, 1)

    def note(self, **figures: float | str | list[float]) -> None:
        """One line."""
        line = json.dumps({**figures, "seconds": self.seconds()})
        print(line, flush=True)
        with self._path.open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def add(self, loss: torch.Tensor, known: torch.Tensor, shares: torch.Tensor) -> None:
        """What one step gave, kept until `summary`."""
        self._losses.append(loss.detach())
        self._facts.append(known)
        self._right.append(shares)

    def summary(self, step: int) -> None:
        """A line about the steps since the last one."""
        whole, broken = torch.stack(self._right).sum(0).view(2, 2).tolist()
        self.note(
            step=step,
            loss=round(float(torch.stack(self._losses).mean()), 5),
            right=round(whole[0] / max(1, whole[1]), 4),
            broken_seen=round(broken[0] / max(1, broken[1]), 4),
            facts=[round(x, 3) for x in torch.stack(self._facts).mean(0).tolist()],
        )
        self._right, self._losses, self._facts = [], [], []


class Trainer:
    """The model, its coach and their optimiser."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.layouts = Layouts(device)
        self.model = cast(torch.nn.Module, network.new_model(SEED)).to(device)
        self._coach = network.Coach(streams=3, width=128).to(device)
        both = [*self.model.parameters(), *self._coach.parameters()]
        decayed = [p for p in both if p.ndim >= 2]
        plain = [p for p in both if p.ndim < 2]
        self._optimiser = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
            lr=PEAK_RATE,
            betas=(0.9, 0.98),
            fused=device.type == "cuda",
        )
        self.step = 0

    def load(self, path: Path) -> None:
        """Go on from a checkpoint."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self._coach.load_state_dict(state["coach"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "coach": self._coach.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "step": self.step,
        }
        torch.save(state, path)

    def learn(self, batch: data.Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One step; gives the loss, the coach's shares of known facts, the shares answered."""
        for group in self._optimiser.param_groups:
            group["lr"] = PEAK_RATE * rate(self.step)
        quantised = self.step >= QUANTISED_FROM * SCHEDULE
        weights = network.effective_weights(self.model, quantised=quantised)
        places, tokens = network.answer_places(batch, self.device)
        layout = self.layouts.of(batch)
        features = network.seen(weights, batch, layout, self.device)
        logits = network.answers_from(weights, features, batch, layout, places)
        coached, known = self._coach(features, batch)
        loss = functional.cross_entropy(logits, tokens) + coaching(self.step) * coached
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self.step += 1
        answered = right_answers(logits.detach(), places, tokens, batch)
        return loss, known, _shares(answered, batch)

    def measured(self, batches: int, workers: int) -> float:
        """The share of right answers on unseen pictures, quantised as shipped."""
        return measured(self.model, self.layouts, self.device, batches, workers)


def train(options: argparse.Namespace) -> None:
    """The whole training, or as much of it as --minutes allows."""
    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    options.out.mkdir(parents=True, exist_ok=True)
    log = Log(options.out / "log.jsonl")
    trainer = Trainer(torch.device(options.device))
    if options.resume:
        trainer.load(options.resume)
    numbers = range(trainer.step, options.steps)
    for batch in drawn(data.training_batch, numbers, options.workers):
        log.add(*trainer.learn(batch))
        if trainer.step % options.log_every == 0:
            log.summary(trainer.step)
        if trainer.step % options.measure_every == 0:
            log.note(step=trainer.step, unseen=trainer.measured(20, 0))
        if options.minutes and log.seconds() > 60 * options.minutes:
            break
    trainer.save(options.out / "checkpoint.pt")
    log.note(step=trainer.step, unseen=trainer.measured(options.final, options.workers))
    weights = {name: p.data for name, p in trainer.model.named_parameters()}
    write_model(weights, options.out / "smoke_model")


def _shares(right: torch.Tensor, batch: data.Batch) -> torch.Tensor:
    """Right and asked about whole pictures, right and asked about broken ones."""
    broken = torch.from_numpy(batch.broken).to(right.device)[:, None].expand_as(right)
    return torch.stack(
        [(right & ~broken).sum(), (~broken).sum(), (right & broken).sum(), broken.sum()]
    )


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--log-every", type=int, default=100)
    parser.add_argument("--measure-every", type=int, default=2000)
    parser.add_argument("--final", type=int, default=80, help="batches of the last measurement")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
