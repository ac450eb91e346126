from ssimjax.tables import markdown_table


def test_a_line_within_a_cell_does_not_end_it():
    table = markdown_table([{"image": "a|b"}, {"image": "c"}])
    assert table.splitlines() == [
        "| image |",
        "| ----- |",
        "| a\\|b  |",
        "| c     |",
    ]
