"""Which version of the standardization a result's tokens come from."""

from collections.abc import Mapping

from diffattn.config import DATA_SETTINGS

#: The version of `diffattn.custom_standardization`; another version gives other tokens.
#: Version 1 kept control and format characters and all white space but ASCII's, made
#: the word "quot" of "&quot;", ended at NUL, and depended on the system's locale.
STANDARDIZATION_VERSION = 2


def standardization_of(data: str, provenance: Mapping) -> int:
    """Return the version of the standardization that a run's texts went through.

    The generated texts have the same tokens in every version, as a test shows: theirs
    is always the current one.

    Args:
        data: the run's setting of this name, or its data's name.
        provenance: the run's; before version 2 it did not tell.
    """
    if data in DATA_SETTINGS:
        return STANDARDIZATION_VERSION
    return provenance.get("standardization", 1)
