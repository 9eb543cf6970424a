"""Why something cannot be followed or changed; the border of the package makes one line for a person of it."""


class RefusalError(Exception):
    """A reason, as the end of the line "no compressor can go behind 'layer1': …"."""
