"""The company's own tables."""
