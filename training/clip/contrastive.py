"""The stage `contrastive`: photos and captions meet in one space; what is unlocked of the tower bends to it.

A step draws a view and a caption of each photo. Its loss has two halves: each photo against the batch's
captions, and back, where every caption that is true of a photo counts as its own (supervised contrastive,
arXiv:2004.11362, UniCL, arXiv:2204.03610); and each photo against one text of every label of a bank, which
is how the captions are used. All that chance decides follows from seed and epoch, so a killed run that goes
on from its last epoch ends where an undisturbed one does.

Shapes: B photos, T texts, D of the embedding.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer

from models.eyes import load_banks
from training.clip import tower
from training.clip.captions import TOKENIZER, read_colours
from training.clip.features import Features, is_learnt
from training.clip.index import read_index
from training.clip.lessons import Lesson, Lessons
from training.clip.settings import Clip
from training.recipe import Work

MODEL: Final = "model.safetensors"
HISTORY: Final = "history.json"
_STATE: Final = "state.pt"
WEIGHTS: Final = {"kind": 1.0, "category": 0.5, "colour": 0.5, "captions": 0.5}  # of the parts of the loss
HIGHEST_SCALE: Final = 100.0  # of the logits, as in CLIP
MEASURED: Final = 256  # photos at a time


def build(work: Work) -> dict[str, Any]:
    """Train from the last whole epoch on, and leave the model with all its weights."""
    clip = work.run.clip
    assert clip
    course = Course(work, clip)
    begun = course.resume()
    for epoch in range(begun, clip.fitting.epochs):
        course.train(epoch)
        course.save(epoch + 1)
    save_file(
        {name: one.contiguous() for name, one in course.model.state_dict().items()}, work.folder / MODEL
    )
    (work.folder / HISTORY).write_text(json.dumps(course.history, indent=1), encoding="utf-8")
    (work.folder / _STATE).unlink(missing_ok=True)
    last = course.history[-1]
    return {"photos": len(course.learnt), "epochs": len(course.history), **last}


class Course:
    """The model, what it learns from, and how far it is."""

    def __init__(self, work: Work, clip: Clip) -> None:
        self.work, self.clip, self.seed = work, clip, work.run.seed
        photos, colours = read_index(work.before["photos"]), read_colours(work.before["captions"])
        self.features = Features(work.before["features"], photos, settings=clip.image)
        self.lessons = Lessons(photos, colours, banks=load_banks(clip.banks))
        self.learnt = [number for number, photo in enumerate(photos) if is_learnt(photo)]
        self.watched = [
            number for number, one in enumerate(photos) if one.role == "taught" and one.part == "calibration"
        ]
        self.tokenizer = AutoTokenizer.from_pretrained(work.before["captions"] / TOKENIZER)
        torch.manual_seed(self.seed)
        self.model = tower.create(clip, vocabulary=len(self.tokenizer))
        self.optimizer = _optimizer(self.model, clip)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.history: list[dict[str, float]] = []

    @property
    def steps(self) -> int:
        """Return the steps of an epoch."""
        return max(1, len(self.learnt) // self.clip.fitting.batch)

    def resume(self) -> int:
        """Take up the state that a killed run has left, and return the epochs that it had finished."""
        path = self.work.folder / _STATE
        if not path.exists():
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]
        return len(self.history)

    def save(self, epoch: int) -> None:
        """Keep the state, whole or not at all."""
        assert epoch == len(self.history)
        path = self.work.folder / _STATE
        partial = path.with_suffix(".partial")
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state | {"history": self.history}, partial)
        partial.replace(path)

    def train(self, epoch: int) -> None:
        """Go through the photos once, by chance in their order."""
        chance = random.Random(f"{self.seed}/{epoch}")  # noqa: S311
        torch.manual_seed(chance.randrange(2**31))
        order = chance.sample(self.learnt, len(self.learnt))
        batch, losses = self.clip.fitting.batch, []
        self.model.train()
        self.model.visual.trunk.eval()  # its norms keep the statistics of ImageNet
        for step in range(self.steps):
            done = epoch * self.steps + step
            self._set_rates(done)
            losses.append(self._step(order[step * batch : (step + 1) * batch], chance))
            note = f"epoch {epoch + 1}, loss {losses[-1]:.2f}"
            self.work.progress(note, done + 1, self.clip.fitting.epochs * self.steps)
        told = {"loss": round(sum(losses) / len(losses), 4)}
        self.history.append(told | {"kind, calibration part": round(self.top1(self.watched), 4)})

    def _step(self, photos: Sequence[int], chance: random.Random) -> float:
        lesson = self.lessons.draw(photos, chance=chance)
        with tower.autocast():
            features = self.features.drawn(photos, chance=chance)
            seen = tower.embed(self.model.visual, features, unlocked=self.clip.image.unlocked)
            read = self.model.encode_text(self.tokens(lesson.texts))
        scale = self.model.logit_scale.exp().clamp(max=HIGHEST_SCALE)
        loss = loss_of(seen.float(), read.float(), lesson, scale=scale, smoothing=self.clip.fitting.smoothing)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _set_rates(self, step: int) -> None:
        """Rise linearly, then fall as a cosine to 0."""
        total = self.clip.fitting.epochs * self.steps
        warm_up = self.clip.fitting.warm_up * total
        left = math.cos(math.pi / 2 * max(0.0, (step - warm_up) / max(1.0, total - warm_up))) ** 2
        factor = min((step + 1) / (warm_up + 1), left)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Return T x context length, as open_clip's own tokenizer gives them."""
        found: Tensor = self.tokenizer(
            list(texts),
            return_tensors="pt",
            max_length=self.clip.text.context_length,
            padding="max_length",
            truncation=True,
        ).input_ids
        return found

    @torch.inference_mode()
    def top1(self, photos: Sequence[int]) -> float:
        """Return the share of photos whose kind comes first of all that are taught. NaN without photos."""
        self.model.eval()
        kinds = self.lessons.labels["kind"]
        texts = [self.lessons.bank_texts(kind) for kind in kinds]
        matrix = torch.stack([_mean(self.model.encode_text(self.tokens(some))) for some in texts])
        right = 0
        for start in range(0, len(photos), MEASURED):
            some = photos[start : start + MEASURED]
            seen = tower.embed(
                self.model.visual, self.features.whole(some), unlocked=self.clip.image.unlocked
            )
            best = (functional.normalize(seen, dim=-1) @ matrix.T).argmax(1).tolist()
            right += sum(kinds[at] == self.lessons.kinds[photo] for at, photo in zip(best, some, strict=True))
        return right / len(photos) if photos else math.nan


def _mean(texts: Tensor) -> Tensor:
    """Return the mean direction [D] of texts [T, D]."""
    return functional.normalize(functional.normalize(texts, dim=-1).mean(0), dim=-1)


def _optimizer(model: Any, clip: Clip) -> torch.optim.Optimizer:
    trunk = tower.unlocked_parameters(model.visual.trunk, unlocked=clip.image.unlocked)
    inside = {id(one) for one in model.visual.trunk.parameters()}
    rest = [one for one in model.parameters() if id(one) not in inside]
    fitting = clip.fitting
    groups = [{"params": rest, "lr": fitting.learning_rate}]
    groups += [{"params": trunk, "lr": fitting.trunk_rate}] if trunk else []
    return torch.optim.AdamW(groups, weight_decay=fitting.weight_decay)


def loss_of(seen: Tensor, read: Tensor, lesson: Lesson, *, scale: Tensor, smoothing: float) -> Tensor:
    """Return the loss [] of embeddings of photos [B, D] and of the lesson's texts [T, D], in nats."""
    seen, read = functional.normalize(seen, dim=-1), functional.normalize(read, dim=-1)
    logits = scale * seen @ read.T
    captions = logits[:, : len(lesson.true)]
    own = lesson.true.float()
    loss = WEIGHTS["captions"] * (_of_all_true(captions, own) + _of_all_true(captions.T, own.T)) / 2
    for bank, (first, last, answers) in lesson.banks.items():
        asked = answers >= 0
        if asked.any():
            told = logits[asked, first:last]
            loss = loss + WEIGHTS[bank] * functional.cross_entropy(
                told, answers[asked], label_smoothing=smoothing
            )
    return loss


def _of_all_true(logits: Tensor, true: Tensor) -> Tensor:
    """Return the mean cross entropy of each row against all that is true of it, alike."""
    shares = true / true.sum(1, keepdim=True).clamp(min=1)
    return -(shares * functional.log_softmax(logits, dim=1)).sum(1).mean()
