"""The contract between training and serving: checkpoints (cards), their weights, their prompts."""
