"""The token record: what is written is read again, and what is no record is said in one line."""

import math
from dataclasses import fields
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hicra_trl.analysis.token_record import TokenRecord, high_entropy_shares
from hicra_trl.training.runs.token_record import SCHEMA, RecordedCompletion, read_record, write_record

from .synthetic_record import synthetic_row, write_synthetic_record


def test_what_is_written_is_read_again(tmp_path):
    record = TokenRecord.read(write_synthetic_record(tmp_path, ranks=2))
    assert record.steps == [1, 11, 21]
    rows = record.rows(11)
    assert [(row.group, row.index, row.rank) for row in rows] == [
        (group, index, group // 2) for group in range(4) for index in range(4)
    ]
    row = rows[5]
    again = synthetic_row(row.header, 11, 0, 1, 1)
    for field in fields(RecordedCompletion):
        ours, theirs = getattr(row, field.name), getattr(again, field.name)
        if isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype and np.array_equal(ours, theirs), field.name
        else:
            assert ours == theirs, field.name
    assert row.text.endswith("<|im_end|>") and row.header.grams[row.gram[row.planning][0]] in ("but wait", "let's try")


def test_completions_without_tokens_are_kept(tmp_path):
    (row, *_) = TokenRecord.read(write_synthetic_record(tmp_path)).rows(1)
    for field in fields(row):
        if isinstance(value := getattr(row, field.name), np.ndarray) and field.name != "rewards":
            setattr(row, field.name, value[:0])
    row.completion = b""
    write_record(tmp_path / "empty.parquet", [row])
    (again,) = read_record(tmp_path / "empty.parquet")
    assert len(again.ids) == len(again.logp) == 0 and again.text == ""


@pytest.mark.parametrize("spoil, message", [
    (lambda file: file.unlink(), r"no token record in .*: expected .*token_records, which training with token_record"),
    (lambda file: file.write_bytes(b"PAR1"), r"cannot read .*step_000001_rank_000\.parquet"),
    (lambda file: file.write_bytes(file.read_bytes()[:-9]), r"cannot read .*step_000001_rank_000\.parquet"),
    (lambda file: pq.write_table(pa.table({"step": [1]}), file), "token record of schema_version 1, got None"),
    (
        lambda file: pq.write_table(SCHEMA.with_metadata({"schema_version": "2"}).empty_table(), file),
        "token record of schema_version 1, got 2",
    ),
    (
        lambda file: pq.write_table(pa.table({"a": [1]}).replace_schema_metadata({"schema_version": "1"}), file),
        "expected the columns of a token record, step, .* got a",
    ),
])  # fmt: skip
def test_what_is_no_record_is_named_in_one_line(spoil, message, tmp_path):
    write_synthetic_record(tmp_path, steps=[1])
    spoil(tmp_path / "token_records" / "step_000001_rank_000.parquet")
    with pytest.raises(ValueError, match=message) as caught:
        TokenRecord.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_step_that_was_not_recorded_is_named(tmp_path):
    with pytest.raises(ValueError, match="no token record of step 2: expected one of 1, 11, 21"):
        TokenRecord.read(write_synthetic_record(tmp_path)).rows(2)


def of(entropy, planning):
    return SimpleNamespace(entropy=np.array(entropy, dtype=np.float16), planning=np.array(planning, dtype=bool))


def test_shares_of_high_entropy_are_of_all_completions_together():
    rows = [of([5, 4, 3, np.nan], [1, 0, 0, 1]), of([2, 1], [1, 1]), of([], [])]
    assert high_entropy_shares(rows, 0.4) == pytest.approx((1 / 3, 1 / 2, 3 / 5))
    assert high_entropy_shares(rows, 0.7) == pytest.approx((1.5 / 3, 1.5 / 3.5, 3 / 5))
    assert high_entropy_shares(rows, 1) == pytest.approx((1, 3 / 5, 3 / 5))


def test_equal_entropies_say_what_chance_says():
    generator = np.random.default_rng(0)
    planning = generator.random(1000) < 0.1
    shares = high_entropy_shares([of(np.zeros(1000), planning)], 0.2)
    assert shares == pytest.approx((0.2, planning.mean(), planning.mean()))
    shuffled = high_entropy_shares([of(np.zeros(1000), planning[::-1])], 0.2)
    assert shuffled == pytest.approx(shares)


def test_shares_of_nothing_are_nan():
    assert all(map(math.isnan, high_entropy_shares([], 0.2)))
    assert math.isnan(high_entropy_shares([of([1, 2], [0, 0])], 0.5).planning_that_are_high)
    with pytest.raises(ValueError, match=r"share must be in \(0, 1\], got 20"):
        high_entropy_shares([], 20)
