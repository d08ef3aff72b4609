"""What a table's title says when an experiment had too few rounds for its strategy to finish."""


def note(finished: bool) -> str:
    """Nothing, or a warning that the numbers below are not final.

    >>> note(finished=False)
    '; NOT FINISHED: give the experiment more rounds'
    """
    return "" if finished else "; NOT FINISHED: give the experiment more rounds"
