"""A filter tried on alerts that are here."""

from __future__ import annotations

import json
import subprocess

import pytest
from broker import pitt

import pitt_broker as pb

SQL = "SELECT alert_id, object_id, mag(psf_flux) AS m, psf_flux, band FROM alerts WHERE psf_flux > 0 AND reliability > 0.5"


def test_archive_files_and_memory_give_the_same_rows(simulated):
    stored = simulated.archive.test_filter(SQL)
    assert stored.matches == len(stored.table) > 0 and stored.complete
    assert stored.table.columns == ["alert_id", "object_id", "m", "psf_flux", "band"]
    assert stored.table.units["psf_flux"] == "nJy"
    of_files = pb.test_filter(SQL, simulated.folder)
    in_memory = pb.test_filter(SQL, simulated.packets)
    ids = [sorted(trial.table["alert_id"].to_pylist()) for trial in (stored, of_files, in_memory)]
    assert ids[0] == ids[1] == ids[2]
    assert (stored.alerts, of_files.alerts) == (len(simulated.packets), len(simulated.packets))


def test_counts_are_those_of_the_terminal(simulated, tmp_path):
    file = tmp_path / "good.sql"
    file.write_text(SQL)
    words = [pitt(), "filter", "test", file, "--from", "archive", "--json", "--archive", simulated.archive.folder]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    trial = pb.test_filter(file, simulated.archive)
    assert (trial.name, trial.alerts, trial.matches) == ("good", told["alerts"], told["matches"])
    nights = zip(trial.nights["night"].to_pylist(), trial.nights["matches"].to_pylist())
    assert {str(night): matches for night, matches in nights if matches} == told["nights"]
    assert sum(trial.nights["alerts"].to_pylist()) == trial.alerts
    assert 0 < trial.rate < 1 and trial.cost_us > 0


def test_nights_and_rows_can_be_bounded(simulated):
    nights = simulated.archive.test_filter("true").nights
    first = nights["night"][0].as_py()
    of_one = simulated.archive.test_filter("true", nights=[first])
    assert of_one.alerts == nights["alerts"][0].as_py() < len(simulated.packets)
    few = simulated.archive.test_filter("true", max_rows=7)
    assert len(few.table) == 7 and few.table.truncated and few.matches > 7
    begun = pb.test_filter("true", simulated.packets * 12, max_alerts=1000)
    assert not begun.complete and 1000 <= begun.alerts < 12 * len(simulated.packets)


def test_surveys_with_columns_of_their_own_stand_apart_and_together(simulated):
    trial = simulated.archive.test_filter("SELECT * FROM alerts WHERE psf_flux > 0")
    assert len(trial.tables) == 2
    common = simulated.archive.test_filter("psf_flux > 0")
    assert len(common.table) == common.matches == trial.matches
    assert set(common.table["survey"].to_pylist()) == {"ztf", "lsst"}
    nothing = simulated.archive.test_filter("false")
    assert nothing.matches == 0 and len(nothing.table) == 0


def test_a_refused_filter_says_where_and_what_to_write():
    text = "SELECT object_id FROM alerts\nWHERE rise_rat('g') > 0.3"
    for refuse in (pb.check_filter, lambda text: pb.test_filter(text, [])):
        with pytest.raises(pb.FilterError) as caught:
            refuse(text)
        error = caught.value
        assert isinstance(error, pb.PittError)
        assert (error.line, error.column, error.suggestion) == (2, 7, "rise_rate")
        assert "no function" in error.problem and "^^^" in str(error)
    with pytest.raises(pb.FilterError) as caught:
        pb.check_filter("-- survey: ztf\nspeed > 1 AND reliability > 0.5")
    assert caught.value.line == 2 and caught.value.alert_id is None


def test_a_filter_that_fails_on_an_alert_tells_which(simulated):
    packets = [packet for visit in pb.simulate(survey="ztf", visits=2, alerts_per_visit=30) for packet in visit.packets]
    ids = pb.decode(packets)[0]["alert_id"].to_pylist()
    with pytest.raises(pb.FilterError) as caught:
        pb.test_filter(f"-- survey: ztf\n1 / (alert_id - {ids[20]}) <= 1", packets)
    assert caught.value.alert_id == ids[20] and caught.value.line is None
    assert caught.value.trial.matches == 20 == len(caught.value.trial.table)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(pb.ArchiveError, match="nowhere"):
        pb.test_filter("true", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        pb.test_filter(tmp_path / "none.sql", [])
