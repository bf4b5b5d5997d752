"""The site is built, with warnings as errors, and every link in it leads somewhere."""

import logging
from pathlib import Path

import pytest
from documents import ROOT, documents


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_the_site_is_built_without_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    with caplog.at_level(logging.WARNING):
        build(config)
    assert [record.message for record in caplog.records if record.name.startswith("mkdocs")] == []
    for path in documents():
        if path.startswith("docs/"):
            page = Path(path.removeprefix("docs/")).with_suffix("")
            page = page.parent if page.name == "index" else page
            assert (tmp_path / "site" / page / "index.html").is_file(), path
