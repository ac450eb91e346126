from experiments.studies.page import write_section


def test_sections_are_replaced_where_they_are(tmp_path):
    page = tmp_path / "folder" / "page.md"
    write_section(page, "one", "# One\n")
    write_section(page, "two", r"\1 is no group")
    page.write_text("# Title\n\n" + page.read_text() + "\nThe end.\n")
    write_section(page, "one", "# Another\n\nwith lines")
    text = page.read_text()
    assert text.startswith("# Title\n") and text.endswith("The end.\n")
    assert "# One" not in text and "with lines" in text and r"\1 is no group" in text
    assert text.index("# Another") < text.index("no group")
    assert text.count("<!-- one -->") == text.count("<!-- end of one -->") == 1
