"""Versions of the standardization, and which one a run's tokens come from."""

from collections.abc import Mapping

#: The version of `diffattn.custom_standardization`; another version gives other tokens.
#: Version 1 left control and format characters and white space outside ASCII in place,
#: turned "&quot;" into the word "quot", ended at NUL, and depended on the locale.
STANDARDIZATION_VERSION = 2

#: The data sets whose tokens are the same in every version, as a test shows.
SAME_IN_ALL_VERSIONS = {"sample", "order"}


def standardization_of(data: str, provenance: Mapping) -> int:
    """Return the version of the standardization behind a run's tokens.

    It is the current one for data whose tokens are the same in all versions.

    Args:
        data: the run's setting ``data``, or the data set's name.
        provenance: the run's; under version 1 it did not record the version.
    """
    if data in SAME_IN_ALL_VERSIONS:
        return STANDARDIZATION_VERSION
    return provenance.get("standardization", 1)
