"""Results as text: in a terminal, Markdown, LaTeX, CSV and JSON."""
