"""What forms hold, by the names of their parts."""

from __future__ import annotations

from typing import TypedDict

from comity.adapters.openapi import Binary
from comity.domain.words import Key
from comity.node.rest.bodies import NewDataset, NewFunction, NewSamples


class Login(TypedDict):
    """POST /api-token-auth/"""

    username: str
    password: str


class DatasetForm(TypedDict):
    """POST /data_manager/"""

    json: NewDataset
    data_opener: Binary
    description: Binary


class FunctionForm(TypedDict):
    """POST /function/"""

    json: NewFunction
    file: Binary
    description: Binary


class SamplesForm(TypedDict):
    """POST /data_sample/; further archives are parts of any other names."""

    json: NewSamples
    file: Binary


class Links(TypedDict):
    """POST /data_sample/bulk_update/"""

    data_sample_keys: list[Key]
    data_manager_keys: list[Key]
