"""The tasks that the service offers; a new one is its module and one line here."""

from typing import Any

from service.tasks.base import Task
from service.tasks.describe import DESCRIBE
from service.tasks.extract_model import EXTRACT_MODEL
from service.tasks.suggest_replies import SUGGEST_REPLIES
from service.tasks.summarize_reviews import SUMMARIZE_REVIEWS

TASKS: tuple[Task[Any, Any], ...] = (DESCRIBE, EXTRACT_MODEL, SUMMARIZE_REVIEWS, SUGGEST_REPLIES)
