"""The lines of a Dockerfile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.adapters.substra.dockerfile import LONGEST, expanded, instructions
from comity.values.errors import DecodeError


def said(text):
    return [(each.line, each.name, each.rest) for each in instructions(text.encode())]


def test_comments_and_empty_lines_are_left_out_also_within_an_instruction():
    text = "# first\n\nfrom python:3.11\nRUN a && \\\n\n  # between\n  b \\ \n  c\n  # last"
    assert said(text) == [(3, "FROM", "python:3.11"), (4, "RUN", "a &&   b   c")]


def test_an_instruction_that_goes_on_at_the_end_ends_there():
    assert said("FROM a\nRUN b \\") == [(1, "FROM", "a"), (2, "RUN", "b")]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A/$B", "1/"),
        ("${A}${B:-two}", "1two"),
        (r"\$A", "$A"),
        ("$", "$"),
        ("${A:-other}", "1"),
    ],
)
def test_variables_are_put_in_as_docker_does(text, value):
    assert expanded(text, {"A": "1"}) == value


def test_words_are_a_list_of_texts_or_none():
    (entry, shell, number) = instructions(b'ENTRYPOINT ["a", "b"]\nENTRYPOINT a b\nENTRYPOINT ["a", 1]')
    assert entry.words() == ["a", "b"]
    assert shell.words() is None
    assert number.words() is None


@pytest.mark.parametrize("data", [b"\xff", b"= 1", b"FROM a\n123 b", b"#" * (LONGEST + 1)])
def test_what_is_no_dockerfile_is_refused(data):
    with pytest.raises(DecodeError, match="Dockerfile"):
        instructions(data)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_are_instructions_or_refused(data):
    try:
        found = instructions(data)
    except DecodeError:
        return
    for each in found:
        assert each.name == each.name.upper() != ""
        each.words()
        each.flags()
