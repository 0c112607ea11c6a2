"""Brings the live versions up: starts or reaches every engine, refuses one that does not serve its card."""

from __future__ import annotations

import asyncio

import structlog

from models.card import TOKENIZER_PROBE, Card, fingerprint, load_card
from models.prompts import PromptError, render
from service.admission import Gate
from service.call import Version
from service.deployment import Deployment, LiveVersion
from service.engine.base import Engine
from service.engine.fake import FakeEngine
from service.engine.identity import mismatch
from service.engine.local import EngineStartError, LocalEngine
from service.engine.replicas import Replicas
from service.engine.vllm import VllmEngine
from service.errors import EngineRejected, ServiceError
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Metrics

log = structlog.get_logger(__name__)
RETRY_S = 2.0  # between looks at a remote engine that does not answer yet


class VersionError(Exception):
    """A version cannot go live; one line that says which and why."""


async def bring_up(deployment: Deployment, *, settings: Settings, metrics: Metrics) -> dict[str, Version]:
    """Return all live versions, engines answering; one after the other, since they share this machine.

    Raises:
        VersionError, CardError: nothing is left running then.

    """
    versions: dict[str, Version] = {}
    try:
        for name, live in deployment.versions.items():
            card = load_card(live.card)
            _check_tasks(name, card)
            engine = await _engine(name, live, card, settings=settings, metrics=metrics)
            gate = Gate(limit=settings.max_in_flight, queue=settings.max_queue)
            versions[name] = Version(name, card, engine, gate)
            metrics.info.labels(name, card.name, card.base, card.git_sha).set(1)
            log.info("version is live", model_version=name, card=card.name, engines=list(live.engines))
    except BaseException:
        await asyncio.gather(*(v.engine.close() for v in versions.values()), return_exceptions=True)
        raise
    return versions


def _check_tasks(name: str, card: Card) -> None:
    asked = [(task, prompt) for task in TASKS for prompt in task.prompts(task.example)]
    missing = sorted({prompt.section for _, prompt in asked} - set(card.tasks))
    if missing:
        raise VersionError(
            f"version {name}: card {card.name} has no settings for the tasks {', '.join(missing)}"
        )
    for _, prompt in asked:
        try:
            render(*card.tasks[prompt.section].template, prompt.fields)
        except PromptError as error:
            raise VersionError(f"version {name}: card {card.name}: {error}") from None


async def _engine(
    name: str, live: LiveVersion, card: Card, *, settings: Settings, metrics: Metrics
) -> Engine:
    engines: dict[str, Engine] = {}
    try:
        for place in live.engines:
            try:
                if place.startswith("fake://"):
                    engines[place] = _fake(place)
                    continue
                if place == "local":
                    engine = LocalEngine(
                        card,
                        card_source=live.card,
                        cache=settings.cache,
                        on_restart=metrics.engine_restarts.labels(name).inc,
                    )
                    engines[place] = engine
                    await engine.start(timeout_s=settings.start_timeout_s)
                    client = engine.client
                else:
                    engines[place] = client = VllmEngine(place, model=card.name)
                await _verify(client, card, timeout_s=settings.start_timeout_s)
            except EngineStartError as error:
                raise VersionError(f"version {name}: {error}") from None
    except BaseException:
        await asyncio.gather(*(engine.close() for engine in engines.values()), return_exceptions=True)
        raise
    return next(iter(engines.values())) if len(engines) == 1 else Replicas(engines)


def _fake(url: str) -> FakeEngine:
    try:
        return FakeEngine.from_url(url)
    except ValueError as error:
        raise EngineStartError(f"{url}: {error}") from None


async def _verify(client: VllmEngine, card: Card, *, timeout_s: float) -> None:
    """Hold what the server says of itself against the card; wait for one that does not answer yet."""
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout_s
    while True:
        try:
            fault = await mismatch(
                client,
                name=card.name,
                vocab_size=card.vocab_size,
                context_length=card.context_length,
                fingerprint=card.tokenizer_fingerprint,
                probe_text=TOKENIZER_PROBE,
                fingerprint_of=fingerprint,
            )
        except ServiceError as error:
            if isinstance(error, EngineRejected) or loop.time() > until:
                raise EngineStartError(f"{client.url}: {error.detail}") from None
            log.info("waiting for the engine", url=client.url, reason=error.detail)
            await asyncio.sleep(RETRY_S)
            continue
        if fault:
            raise EngineStartError(fault)
        return
