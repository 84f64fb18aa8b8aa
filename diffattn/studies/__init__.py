"""Many runs: what they answer, how they are trained, and what can be concluded.

A new study is one new file beside this one, which makes a `Study`, and one entry in
`STUDIES`. Import what is slow to load (pandas, SciPy, Matplotlib) inside the functions
of that file: the command line reads `STUDIES` before it answers ``--help``.
"""

from diffattn.studies import (
    imdb_order,
    length,
    mechanisms,
    onset,
    order,
    published,
    recall,
    sample,
    sentences,
)

#: The studies by name.
#:
#: :meta hide-value:
STUDIES = {
    study.name: study
    for study in (
        published.STUDY,
        mechanisms.STUDY,
        order.STUDY,
        sample.STUDY,
        sentences.STUDY,
        length.STUDY,
        recall.STUDY,
        onset.STUDY,
        imdb_order.STUDY,
    )
}
