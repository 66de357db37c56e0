"""From trials to statistics, tables and verdicts."""
