"""What goes wrong while compiling, in words for whoever gave us the model."""


class CompileError(ValueError):
    """The model cannot be compiled. The text says which model or layer, what was given, what
    fits, and what to do."""


class ShapeNeededError(CompileError):
    """An input has dimensions known only at run time, and nobody said for which to compile."""
