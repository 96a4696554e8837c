"""Numbers in captions and tables of the report and the documentation."""
