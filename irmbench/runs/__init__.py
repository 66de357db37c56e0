"""From trials to stored records: planning, executing, storing, loading."""
