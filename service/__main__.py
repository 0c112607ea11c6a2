"""`python -m service serve`: settings, then engines, then uvicorn, then a clean end."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import structlog
import uvicorn
from pydantic import ValidationError

from models.card import CardError
from service.app import create_app
from service.deployment import DeploymentError, load_deployment
from service.settings import Settings
from service.telemetry import Metrics, configure_logging
from service.versions import VersionError, bring_up

log = structlog.get_logger("service")


class DrainingServer(uvicorn.Server):
    """Tells the runner when the drain begins, so that what outlasts the grace ends with a clear error."""

    def handle_exit(self, sig: int, frame: object) -> None:
        """Start the drain at the first signal; a second Ctrl-C ends at once, as uvicorn does."""
        if not self.should_exit:
            log.info("draining", signal=signal.Signals(sig).name)
            app = self.config.app
            app.state.runner.drain(app.state.settings.drain_grace_s)  # type: ignore[union-attr]
        super().handle_exit(sig, frame)  # type: ignore[arg-type]


async def serve(settings: Settings) -> None:
    """Bring the engines up, serve until a signal, take everything down."""
    metrics = Metrics()
    deployment = load_deployment(settings.deployment)
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(bring_up(deployment, settings=settings, metrics=metrics))
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, starting.cancel)
    versions = await starting
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(sig)
        signal.signal(
            sig, signal.SIG_IGN
        )  # uvicorn raises the signal again at its end: that is the clean end here
    app = create_app(settings, versions, default=deployment.default, metrics=metrics)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=round(settings.drain_grace_s) + 5,
        timeout_keep_alive=30,
    )
    await DrainingServer(config).serve()


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
    except (DeploymentError, CardError, VersionError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
