"""The language of study files."""
