"""Conversations to tokens: chat templates, loss masks, token tables, micro-batches."""
