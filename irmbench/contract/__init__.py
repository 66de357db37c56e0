"""What every method and dataset must keep to, checked on one plugin."""
