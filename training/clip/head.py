"""The stage `head`: a new projection on the tuned tower, which also knows things that only resemble labels.

Tuned to a few kinds, a tower calls whatever is near one of them by its name, mandolins guitars. What the
tower's first training (ImageNet) knew of other things is therefore distilled: of each photo, which of the
bank's rivals the original classifier would rather take it for (learning without forgetting, arXiv:1606.09282;
distillation at a temperature, arXiv:1503.02531). The rivals' texts then compete for the score. The projection
is begun anew: that of the tuning has forgotten what it would need.

Shapes: N photos, B of them, R rivals, C channels of the tower.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer

from models.eyes import load_banks
from training.clip import tower
from training.clip.captions import TOKENIZER, read_colours
from training.clip.contrastive import HIGHEST_SCALE, MODEL, loss_of
from training.clip.features import Features, is_learnt
from training.clip.index import read_index
from training.clip.lessons import Lessons
from training.clip.settings import Clip, Head
from training.recipe import Work

_AT_ONCE: Final = 64
_SMALLEST: Final = 1e-6  # spread of a channel


@dataclass(frozen=True)
class Seen:
    """The tuned tower's channels of photos, N x C, and the original classifier's logits of rivals, N x R."""

    pooled: Tensor
    logits: Tensor


def build(work: Work) -> dict[str, Any]:
    """Fit the projection and the text tower, the rest locked, and leave the model with all its weights."""
    clip = work.run.clip
    assert clip
    assert clip.head
    photos = read_index(work.before["photos"])
    learnt = [number for number, photo in enumerate(photos) if is_learnt(photo)]
    lessons = Lessons(photos, read_colours(work.before["captions"]), banks=load_banks(clip.banks))
    tokenizer = AutoTokenizer.from_pretrained(work.before["captions"] / TOKENIZER)
    model = tower.create(clip, vocabulary=len(tokenizer))
    model.load_state_dict(load_file(work.before["contrastive"] / MODEL))
    torch.manual_seed(work.run.seed)
    model.visual.head.proj.reset_parameters()
    classes = list(lessons.rivals.values())
    seen = _look(work, model, Features(work.before["features"], photos, settings=clip.image), learnt, classes)
    loss = fit(work, model, seen, lessons=lessons, learnt=learnt, tokenizer=tokenizer)
    weights = {name: one.contiguous() for name, one in model.state_dict().items()}
    save_file(weights, work.folder / MODEL)
    return {"photos": len(learnt), "rivals": len(classes), "steps": clip.head.steps, "loss": round(loss, 4)}


@torch.inference_mode()
def _look(work: Work, model: Any, features: Features, photos: Sequence[int], classes: Sequence[int]) -> Seen:
    """Look at whole photos, as the service does, with the tuned end of the tower and with the original."""
    clip = work.run.clip
    assert clip
    original, unlocked = tower.create_trunk(), clip.image.unlocked
    weight, bias = tower.imagenet_classifier()
    model.eval()
    pooled, logits = [], []
    for start in range(0, len(photos), _AT_ONCE):
        some = features.whole(photos[start : start + _AT_ONCE])
        with tower.autocast():
            pooled.append(tower.pooled(model.visual.trunk, some, unlocked=unlocked).float())
            first = tower.pooled(original, some, unlocked=unlocked).float()
        logits.append(first @ weight[classes].T + bias[classes])
        work.progress("looking", start + len(some), len(photos))
    return Seen(torch.cat(pooled).clone(), torch.cat(logits).clone())


def fit(
    work: Work, model: Any, seen: Seen, *, lessons: Lessons, learnt: Sequence[int], tokenizer: Any
) -> float:
    """Fit projection and text tower to `seen`, rows of the photos `learnt`; return the last loss."""
    clip = work.run.clip
    assert clip
    assert clip.head
    head, chance = clip.head, random.Random(f"{work.run.seed}/head")  # noqa: S311
    centre, spread = seen.pooled.mean(0), seen.pooled.std(0).clamp(min=_SMALLEST)
    model.requires_grad_(requires_grad=True)
    model.visual.trunk.requires_grad_(requires_grad=False)
    model.train()
    proj = model.visual.head.proj
    weights = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=head.learning_rate, weight_decay=head.weight_decay)
    names, loss = list(lessons.rivals), math.nan
    for step in range(head.steps):
        optimizer.param_groups[0]["lr"] = head.learning_rate * (1 - step / head.steps)
        rows = chance.sample(range(len(learnt)), min(head.batch, len(learnt)))
        rivals = chance.sample(range(len(names)), min(head.rivals, len(names)))
        lesson = lessons.draw([learnt[row] for row in rows], chance=chance)
        texts = [chance.choice(lessons.bank_texts(names[one])) for one in rivals]
        read = model.encode_text(_tokens(tokenizer, [*lesson.texts, *texts], clip)).float()
        images = proj(functional.dropout((seen.pooled[rows] - centre) / spread, clip.fitting.dropout))
        scale = model.logit_scale.exp().clamp(max=HIGHEST_SCALE)
        told = loss_of(images, read, lesson, scale=scale, smoothing=clip.fitting.smoothing)
        if rivals:
            others = functional.normalize(read[-len(rivals) :], dim=-1)
            other = scale * functional.normalize(images, dim=-1) @ others.T
            told = told + head.weight * _distilled(other, seen.logits[rows][:, rivals], head)
        optimizer.zero_grad()
        torch.autograd.backward(told)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        loss = told.item()
        work.progress(f"loss {loss:.2f}", step + 1, head.steps)
    _unfold(proj, centre=centre, spread=spread)
    return loss


def _distilled(logits: Tensor, teacher: Tensor, head: Head) -> Tensor:
    """Return the divergence [] of the logits, B x R, from the teacher's at its temperature, in nats."""
    return functional.kl_div(
        functional.log_softmax(logits, dim=1),
        functional.softmax(teacher / head.temperature, dim=1),
        reduction="batchmean",
    )


@torch.no_grad()
def _unfold(proj: nn.Linear, *, centre: Tensor, spread: Tensor) -> None:
    """Make the projection of centred channels one of the channels as they are."""
    proj.weight.div_(spread)
    proj.bias.sub_(proj.weight @ centre)


def _tokens(tokenizer: Any, texts: Sequence[str], clip: Clip) -> Tensor:
    found: Tensor = tokenizer(
        list(texts),
        return_tensors="pt",
        max_length=clip.text.context_length,
        padding="max_length",
        truncation=True,
    ).input_ids
    return found
