"""Errors that a user can put right; each message says how, in one line."""


class UserError(ValueError):
    """What a user can put right."""


class DataError(UserError):
    """The data are missing, damaged or something else than they should be."""


class RunError(UserError):
    """A folder is not the run that it should be."""


class DivergenceError(UserError):
    """A training's loss is no longer a finite number."""


class ResultError(UserError):
    """A file is no result, or results do not belong together."""
