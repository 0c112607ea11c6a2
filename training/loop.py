"""The one loop: continued pre-training, embeddings alone, fine-tuning; a laptop, one GPU, many by torchrun.

A step is measured before it changes anything. Its data are a function of the step and of the ranges that
the spike guard has left out; the rest of the state is in the last checkpoint, so the run can be killed at any
moment and gives, on a CPU, the same losses to the bit.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.errors import ConfigError, Interrupted
from training.optimization import Training
from training.packed.batches import Feed
from training.packed.meta import tokenizer_sha256
from training.packed.order import Order
from training.packed.rows import Rows, open_rows
from training.recipe import Work
from training.swap.kept import read_kept
from training.trainer.checkpoints import Checkpoints
from training.trainer.course import Course
from training.trainer.learner import Learner, empty_learner
from training.trainer.parallel import World, world
from training.trainer.saved_model import write_model
from training.trainer.stepping import Stepper
from training.trainer.telling import Telling
from training.trainer.weights import Weights
from training.vocabulary.loading import FILES


def build(work: Work, *, training: Training, base: Path, store: Path) -> dict[str, Any]:
    """Train the model in `base` on the packed rows in `store`; leave a model and its log in work.folder.

    All processes call it. Raises Interrupted after a signal, the state saved; SpikeError; CheckpointError.
    """
    here = world()
    here.barrier()  # the main process has made the folder
    rows = open_rows(store, length=training.sequence_length)
    stepper, learner = _stepper(work, training, base=base, rows=rows, here=here)
    checkpoints = Checkpoints(
        work.folder / "checkpoints",
        settings=training.checkpoints,
        identity=_identity(work, training, base=base, rows=rows, learner=learner),
        world=here,
    )
    course = Course(work.folder, stepper=stepper, checkpoints=checkpoints, training=training, world=here)
    with (
        _stoppable() as asked,
        Telling(work, training, learner=learner, course=course, world=here) as telling,
        here.collective_errors(checkpoints.last_step),
    ):
        course.resume()
        telling.begin()
        while course.step < training.num_steps:
            step = course.step
            measured = course.advance(stop=asked[0] != 0)
            if course.step > step:
                telling.tell(measured, step=step)
                if checkpoints.due(course.step):
                    course.save()  # after the step was told of: a kill in between leaves no hole in the log
            if measured.stop:
                course.save()
                checkpoints.wait()
                raise Interrupted(
                    f"{training.name}: stopped after step {course.step} of {training.num_steps}"
                )
        course.save()
        checkpoints.wait()
        figures = telling.end()
        _finish(work, stepper.weights, base=base, here=here)
    return figures


def _stepper(
    work: Work, training: Training, *, base: Path, rows: Rows, here: World
) -> tuple[Stepper, Learner]:
    order = Order(rows.domains, weights=training.mixture, seed=work.run.seed)
    learner = empty_learner(base, trainable=training.trainable)
    num_rows = learner.head.shape[0]
    if rows.vocab_size > num_rows:
        raise ConfigError(
            f"training {training.name}: the packed tokens are of a vocabulary of {rows.vocab_size:,}, "
            f"the model in {base} has {num_rows:,} rows"
        )
    if (
        any(next(base.glob(pattern), None) for pattern in FILES)
        and tokenizer_sha256(base) != rows.tokenizer_sha256
    ):
        raise ConfigError(
            f"training {training.name}: the rows were packed with another tokenizer than the one in {base}: "
            "remove the packing stage's folder to pack anew"
        )
    if training.recompute:
        learner.model.gradient_checkpointing_enable({"use_reentrant": False})
    weights = Weights(learner, base, precision=training.precision, world=here)
    if training.trainable == "new-embeddings":
        weights.hold(read_kept(base))
    if training.compile:
        for layer in learner.layers:
            layer.compile()
    return Stepper(weights, feed=Feed(rows, order=order), training=training, world=here), learner


def _identity(work: Work, training: Training, *, base: Path, rows: Rows, learner: Learner) -> dict[str, Any]:
    """Return what a checkpoint must share with the run that goes on from it."""
    shapes = sorted((name, tuple(weight.shape)) for name, weight in learner.named_weights())
    return {
        "run": work.run.name,
        "training": training.name,
        "settings": hashlib.sha256(training.model_dump_json(exclude={"name"}).encode()).hexdigest()[:16],
        "seed": work.run.seed,
        "base": base.name,
        "tokenizer sha256": rows.tokenizer_sha256,
        "shapes": hashlib.sha256(repr(shapes).encode()).hexdigest()[:16],
        "rows": dict(rows.domains),
    }


def _finish(work: Work, weights: Weights, *, base: Path, here: World) -> None:
    """Write the model; every process takes part in gathering it."""
    trained = {name: value for name, value in weights.full() if here.main}
    if here.main:
        model = weights.learner.model
        embedding = model.get_input_embeddings().weight
        tied = next(name for name, one in weights.learner.named_weights() if one is embedding)
        write_model(
            base, trained, target=work.folder, tied=tied if weights.learner.head is embedding else None
        )
    here.barrier()


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Turn the first SIGTERM or SIGINT into a note that the loop reads; a second SIGINT stops at once."""
    asked = [0]

    def note(number: int, _: Any) -> None:
        if asked[0] and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked[0] = number

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
