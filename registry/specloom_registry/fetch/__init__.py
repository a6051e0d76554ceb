"""Git: tags, candidates, and files brought from a tag into the store."""
