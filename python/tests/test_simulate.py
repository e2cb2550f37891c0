"""Made-up alerts."""

from __future__ import annotations

import pytest

import pitt_broker as pb


def test_packets_tables_and_truth_agree():
    simulation = pb.simulate(survey="ztf", visits=3, alerts_per_visit=20, seed=7)
    packets, truth = simulation.packets(), simulation.truth()
    [table] = simulation.tables()
    assert len(packets) == len(truth) == len(table) == 60
    assert table["alert_id"].to_pylist() == truth["alert_id"].to_pylist()
    assert truth.units["rate"] == "arcsec / h" and truth.units["true_flux"] == "nJy"
    assert set(truth["class"].to_pylist()) > {"bogus"}
    assert packets == pb.simulate(survey="ztf", visits=3, alerts_per_visit=20, seed=7).packets()
    assert packets != pb.simulate(survey="ztf", visits=3, alerts_per_visit=20, seed=8).packets()


def test_visits_come_one_by_one_and_again():
    simulation = pb.simulate(visits=2, alerts_per_visit=5)
    seen = [(visit.survey, visit.night, len(visit.packets)) for visit in simulation]
    assert seen == [("ztf", 20260224, 5), ("lsst", 20260224, 5)] * 2
    assert [visit.mjd_tai for visit in simulation] == [visit.mjd_tai for visit in simulation]


def test_what_is_damaged_is_told(tmp_path):
    simulation = pb.simulate(survey="ztf", visits=2, alerts_per_visit=100, bad_per_million=200_000, duplicates_per_million=100_000)
    faults = [fault for fault in simulation.truth()["fault"].to_pylist() if fault]
    assert "duplicate" in faults and len(set(faults)) > 1
    # Some damage leaves an alert readable.
    readable = len(simulation.tables()[0])
    assert len(simulation.packets()) - len(faults) <= readable < len(simulation.packets())
    written = simulation.write(tmp_path / "night")
    assert (written / "truth.csv").exists()
    of_files = sum(map(len, pb.decode(written, errors="skip")))
    assert of_files == readable


def test_what_cannot_be_simulated():
    with pytest.raises(ValueError, match="no survey `sdss`"):
        pb.simulate(survey="sdss")
    with pytest.raises(ValueError, match="YYYYMMDD"):
        pb.simulate(first_night=20261399)
