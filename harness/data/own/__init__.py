"""A person's own data in a study: folders of images, arrays in a file, functions of hers (docs/data.md)."""
