"""Timing the penalty and the training step, telling regressions from noise, and remembering."""
