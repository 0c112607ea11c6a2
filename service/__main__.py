"""`python -m service serve`: settings, then engines, then uvicorn, then a clean end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from models.card import CardError
from service.app import create_app
from service.deployment import Deployment, DeploymentError, load_deployment
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Metrics, configure_logging
from service.versions import VersionError, bring_up

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
    app = create_app(settings, versions, default=deployment.default, metrics=metrics)
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


def main(argv: list[str] | None = None) -> int:
    """Parse the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_subparsers(dest="command", required=True).add_parser(
        "serve", help="answer over HTTP; settings come from LLM_* variables (see README)"
    )
    parser.parse_args(argv)
    try:
        settings = Settings()
        configure_logging(style=settings.log_format, level=settings.log_level)
        with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
            runner.run(serve(settings))
    except asyncio.CancelledError:
        return 0  # stopped while the engines were starting
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        print(f"error: LLM_{'_'.join(map(str, first['loc'])).upper()}: {first['msg']}", file=sys.stderr)
        return 2
    except (AddressError, DeploymentError, CardError, VersionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
