"""
Files of finished calls are rated in order, whatever is wrong with single records.
"""

import csv
import io
import json
from pathlib import Path

import pytest

from aaa.cli import rate_files
from aaa.cli.main import run
from aaa.cli.rate_files import RESULT_COLUMNS, rate_file
from aaa.errors import ConfigError
from rating import price
from rating.money import parse_money
from tests.unit.rating.hand_tariffs import PEAK, at_us, tariff

TEXT = PEAK + '[[rate]]\nprefix = "49"\nblocked = "yes"\ndestination = "Nowhere"\n'
CSV = """id,destination,answered_at,used,note
1,4420,2026-11-23T07:59:00+01:00,120,plain
2,4420,1795417140,60,"quoted, with
a line break"
3,4930,2026-11-23T08:00:00Z,60,blocked
4,4420,2026-11-23T08:00:00,60,no zone
5,4420,yesterday,60,no instant
6,4420,2026-11-23T08:00:00Z,-1,negative

7,4420,2026-11-23T08:00:00Z
9,4420,2026-11-23T08:00:00Z,99999999999,for ever
10,4420,1234-11-23T08:00:00Z,60,long ago
11,4420,,60,no time
8,4420,2026-11-23T08:00:00Z,0,unanswered
"""


@pytest.fixture(params=[1, 2], ids=["here", "two processes"])
def processes(request):
    return request.param


def rated(tmp_path, content, name="calls.csv", processes=1, progress=None):
    path = tmp_path / name
    path.write_text(content, newline="")
    out = io.StringIO()
    return rate_file(path, tariff(TEXT), out, processes, progress), out.getvalue()


def test_csv_records_keep_their_order_and_their_columns(tmp_path, processes):
    """Charges are added behind the columns that were there; what cannot be rated says why."""
    summary, text = rated(tmp_path, CSV, processes=processes)
    rows = list(csv.DictReader(io.StringIO(text)))

    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5", "6", "7", "9", "10", "11", "8"]
    assert [row["charge"] for row in rows] == ["0.1100", "0.0100", "", "", "", "", "", "", "", "", "0.0000"]
    assert rows[1]["note"] == "quoted, with\na line break"
    assert [row["rating_error"] for row in rows[2:10]] == [
        "destination blocked",
        "answered_at: '2026-11-23T08:00:00' has no time zone",
        "answered_at: 'yesterday' is no instant, such as 2026-11-23T12:00:00Z",
        "used: '-1' is no whole number",
        "not a record",
        "used: longer than a year",
        "answered_at: 1234-11-23T08:00:00Z is not between 1970 and 2200",
        "answered_at: missing",
    ]
    assert (summary.calls, summary.rated, summary.amount_micro) == (11, 3, 120_000)
    assert summary.errors == {"destination blocked": 1, "answered_at": 4, "used": 2, "not a record": 1}


def test_json_lines_keep_their_fields(tmp_path, processes):
    """Fields of a record are passed on, a line that is no record is kept as text."""
    lines = [
        json.dumps({"destination": "4420", "answered_at": 1795417140, "used": 120, "extra": [1, None]}),
        "not json",
        '"text"',
        json.dumps({"destination": 44, "answered_at": 0, "used": 1}),
        json.dumps({"destination": "44", "answered_at": 0, "used": 1, "service": "fax"}),
        json.dumps({"destination": "44", "answered_at": 0, "used": 1.5}),
    ]
    summary, text = rated(tmp_path, "\n".join(lines) + "\n\n", "calls.jsonl", processes)
    records = [json.loads(line) for line in text.splitlines()]

    assert records[0]["charge"] == "0.1100"
    assert records[0]["extra"] == [1, None]
    assert [record["rating_error"] for record in records] == [
        "",
        "not a record",
        "not a record",
        "destination: missing",
        "service: unknown service 'fax'",
        "used: 1.5 is no whole number",
    ]
    assert records[1]["record"] == "not json"
    assert summary.calls == 6


def test_many_blocks_come_out_in_order(tmp_path, monkeypatch, processes):
    """Blocks are rated side by side and written one after the other, each call as `price` says."""
    monkeypatch.setattr(rate_files, "BLOCK_LENGTH", 2_000)
    lines = [f'"{number}\n",4420,2026-11-23T07:50:00+01:00,{number}\n' for number in range(2_000)]
    summary, text = rated(tmp_path, "id,destination,answered_at,used\n" + "".join(lines), processes=processes)
    rows = list(csv.DictReader(io.StringIO(text)))
    plan = tariff(TEXT).find("voice", "4420")
    at = at_us("2026-11-23 07:50")

    assert [row["id"] for row in rows] == [f"{number}\n" for number in range(2_000)]
    assert all(parse_money(row["charge"]) == price(plan, at, int(row["used"])) for row in rows)
    assert summary.amount_micro == sum(parse_money(row["charge"]) for row in rows)


def test_progress_covers_the_whole_file(tmp_path):
    """Calls and octets of the progress sum to what the file has."""
    told = []
    rated(tmp_path, CSV, progress=lambda calls, octets: told.append((calls, octets)))

    assert sum(calls for calls, _ in told) == 11
    assert sum(octets for _, octets in told) == len(CSV)


def test_a_rated_file_can_be_rated_again(tmp_path):
    """Result columns are replaced, not doubled."""
    _, text = rated(tmp_path, CSV.replace("7,4420,2026-11-23T08:00:00Z\n", ""))
    _, again = rated(tmp_path, text)

    assert again == text
    assert text.splitlines()[0].split(",")[-len(RESULT_COLUMNS) :] == list(RESULT_COLUMNS)


def test_a_file_without_the_columns_is_refused(tmp_path):
    """The header is checked before anything is rated."""
    with pytest.raises(ConfigError, match=r"calls\.csv:1: missing column used"):
        rated(tmp_path, "destination,answered_at\n44,0\n")
    with pytest.raises(ConfigError, match="missing column destination"):
        rated(tmp_path, "")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """Missing files and other encodings are errors that name the file."""
    with pytest.raises(ConfigError, match=r"nowhere\.csv"):
        rate_file(tmp_path / "nowhere.csv", tariff(TEXT), io.StringIO())
    path = tmp_path / "latin.csv"
    path.write_bytes(b"destination,answered_at,used,note\n44,0,1,\xe9\n")
    with pytest.raises(ConfigError, match="codec"):
        rate_file(path, tariff(TEXT), io.StringIO())


CALLS = (
    "destination,answered_at,used\n"
    "442012345678,2026-01-05T10:00:00Z,61\n"
    "442012345678,2026-01-05T10:00:00Z,0\n"
    "99,2026-01-05T10:00:00Z,5\n"
)
TARIFF = """
[[tariff]]
name = "retail"
currency = "EUR"
timezone = "UTC"
[[tariff.rate]]
prefix = "44"
price = "0.60"
price_unit = "60s"
pulse = "60/60"
"""


def test_the_command_rates_a_file_without_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calls.csv").write_text(CALLS)
    (tmp_path / "t.toml").write_text(TARIFF)
    out = tmp_path / "rated.csv"
    tariff, calls = str(tmp_path / "t.toml"), str(tmp_path / "calls.csv")
    code = run(["cdr", "rate", calls, "--tariff-file", tariff, "--out", str(out), "--processes", "1"])
    told = capsys.readouterr().err

    assert code == 0
    assert "3 calls, 2 rated, 1.200000 EUR" in told
    assert "not rated" in told
    assert out.read_text().splitlines()[1].startswith("442012345678,2026-01-05T10:00:00Z,61,1.2")


def test_a_tariff_with_mistakes_rates_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "calls.csv").write_text(CALLS)
    (tmp_path / "t.toml").write_text(TARIFF.replace("0.60", "free"))
    code = run(["cdr", "rate", str(tmp_path / "calls.csv"), "--tariff-file", str(tmp_path / "t.toml")])

    assert code == 1
    assert "price" in capsys.readouterr().err
