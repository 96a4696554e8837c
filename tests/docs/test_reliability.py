"""docs/reliability.md is what its record makes, and the record holds the faults of the tests, all survived."""

import json

from docs.make.reliability import RECORD, TEXT, described
from tests.system import test_faults


def test_the_table_is_that_of_the_record_and_of_the_tests():
    record = json.loads(RECORD.read_text())
    assert TEXT.read_text() == described(record), "run: python -m docs.make.reliability"
    assert list(record["faults"]) == list(test_faults.FAULTS.values()), "run: make reliability"
    assert (record["steps"], record["checkpoint_every"]) == (test_faults.STEPS, test_faults.EVERY)
    for name, row in record["faults"].items():
        assert row["tried"] == row["survived"] > 0, name
