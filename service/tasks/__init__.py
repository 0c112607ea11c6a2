"""The tasks that the service offers; a new one is its module and one line here."""

from typing import Any

from service.tasks.base import Task
from service.tasks.describe import DESCRIBE

TASKS: tuple[Task[Any, Any], ...] = (DESCRIBE,)
