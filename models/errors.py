"""What can be wrong with the contract: every message is one line that says where and what to do.

ContractError
├── CardError       a card that cannot be read or breaks its schema
├── StoreError      weights that cannot be had, or are not what the card promises
├── PromptError     a template that is missing or malformed, or fields that do not fit it
└── VisionError     open_clip cannot be imported

A `__main__` prints the text of any of them and exits, without a traceback.
"""

from __future__ import annotations


class ContractError(Exception):
    """Base of the tree; its text is brought to one line."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class CardError(ContractError, ValueError):
    """A card cannot be read or breaks its schema."""


class StoreError(ContractError):
    """Weights cannot be fetched, or are not what the card promises."""


class PromptError(ContractError, ValueError):
    """A template is missing or malformed, or the fields do not fit it."""


class VisionError(ContractError):
    """open_clip or what it needs is not installed, or does not fit the torch that is."""
