"""`python -m service serve`: the engines come up, uvicorn serves until a signal, everything goes down."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI

from models.eyes import load_caption_card
from service.answers import Answers
from service.app import create_app
from service.deployment import Deployment, load_deployment
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Metrics
from service.versions import bring_up

log = structlog.get_logger("service")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class AddressError(Exception):
    """The address cannot be had; one line that says which and why."""


class DrainingServer(uvicorn.Server):
    """Tells the runner when the drain begins, so that what outlasts the grace ends with a clear error."""

    drain: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say where the service answers, once it does."""
        await super().startup(sockets)
        for address in sockets or []:
            host, port = address.getsockname()[:2]
            log.info(f"running on http://{host}:{port}")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain at the first signal; a second Ctrl-C ends at once, as uvicorn does."""
        if not self.should_exit:
            self.drain()
        super().handle_exit(sig, frame)


async def start(deployment: Deployment, *, settings: Settings, metrics: Metrics) -> FastAPI:
    """Bring the versions up and let each answer every task's example once."""
    versions = await bring_up(deployment, settings=settings, metrics=metrics)
    answers = Answers(
        settings.answers_path, max_rows=settings.answers_max_rows, max_age_days=settings.answers_max_age_days
    )
    app = create_app(settings, versions, default=deployment.default, metrics=metrics, answers=answers)
    try:
        await app.state.runner.warm_up(TASKS)
    except BaseException:
        await asyncio.gather(*(v.engine.close() for v in versions.values()), return_exceptions=True)
        raise
    return app


async def serve(settings: Settings) -> None:
    """Bring the engines up, serve until a signal, take everything down."""
    metrics = Metrics()
    deployment = load_deployment(settings.deployment)
    if settings.eyes:
        load_caption_card(settings.eyes)  # a wrong name is told now, not when the engines are up
    address = bind(settings.host, settings.port)
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(start(deployment, settings=settings, metrics=metrics))
    for sig in SIGNALS:
        loop.add_signal_handler(sig, starting.cancel)
    app = await starting
    gc.collect()
    gc.freeze()  # what is loaded now stays: a full collection over it would stop every stream for 50 ms
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=round(settings.drain_grace_s) + 5,
        timeout_keep_alive=30,
    )
    server = DrainingServer(config)

    def drain() -> None:
        # A signal may arrive in the middle of anything; the loop's own turn is the safe moment.
        log.info("draining", grace_s=settings.drain_grace_s)
        loop.call_soon_threadsafe(app.state.runner.drain, settings.drain_grace_s)

    def stop(*_: object) -> None:
        server.should_exit = True

    server.drain = drain
    for sig in SIGNALS:
        loop.remove_signal_handler(sig)
        # In force until uvicorn listens to signals itself, and when it raises them once more at its end.
        signal.signal(sig, stop)
    await server.serve(sockets=[address])


def bind(host: str, port: int) -> socket.socket:
    """Take the address before the engines are started: a taken port is told at once, not minutes later.

    Raises:
        AddressError: it is in use, or not this machine's.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.socket(family)
    address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        address.bind((host, port))
    except OSError as error:
        address.close()
        raise AddressError(f"cannot listen on {host}:{port}: {error.strerror}; set LLM_PORT") from None
    return address
