"""What a run leaves for people: tables, figures and one page with all of it."""
