"""Which version of the standardization a run's tokens come from."""

from collections.abc import Mapping

#: The version of `diffattn.custom_standardization`; another version gives other tokens.
#: Version 1 kept control and format characters and all white space but ASCII's, made
#: the word "quot" of "&quot;", ended at NUL, and depended on the system's locale.
STANDARDIZATION_VERSION = 2

#: The data sets whose tokens are the same in every version, as a test shows.
SAME_IN_ALL_VERSIONS = {"sample", "order"}


def standardization_of(data: str, provenance: Mapping) -> int:
    """Return the version of the standardization that a run's texts went through.

    Args:
        data: the run's setting of this name, or its data's name. Where all versions
            give the same tokens, the current one counts.
        provenance: the run's; before version 2 it did not tell.
    """
    if data in SAME_IN_ALL_VERSIONS:
        return STANDARDIZATION_VERSION
    return provenance.get("standardization", 1)
