"""Where the playground's templates and static files lie."""

from pathlib import Path

HERE = Path(__file__).parent

TEMPLATES, STATIC = HERE / "templates", HERE / "static"
