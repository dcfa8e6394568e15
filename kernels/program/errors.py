"""What can go wrong with a compiled model."""


class FormatError(ValueError):
    """The compiled model cannot be read; the text says why and what to do."""


class RunError(ValueError):
    """The inputs do not fit the model, or a layer failed; the text says which."""
