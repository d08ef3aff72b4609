"""Whose data it is."""

from comity import data


def credit(name: str) -> str:
    """One line about a data set, by the name of its loader: source, licence, and where its terms stand.

    >>> credit("heart")
    "Data: UCI Heart Disease, split of FLamby (CC BY 4.0). Terms and whom to cite: co.data.terms('heart')"
    """
    about = next(row for row in data.catalog().records() if row["name"] == name)
    return f"Data: {about['source']} ({about['licence']}). Terms and whom to cite: co.data.terms({name!r})"
