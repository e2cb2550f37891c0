"""Every fault of `faults.py`, short: nothing lost, nothing doubled, the ledger balanced. In full: `./dev proof`."""

import random

import faults
import pytest
import reckoning

ROWS: list[reckoning.Reckoning] = []


@pytest.fixture(scope="module", autouse=True)
def numbers(request):
    """Prints the table of all that ran, at the end of the module."""
    yield
    if ROWS:
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print("\n\n" + reckoning.table(ROWS))


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost_or_doubled(fault, kafka_ground):
    """Alerts sent, archived and delivered are the same, whatever goes wrong in between."""
    try:
        row = fault(kafka_ground, faults.SHORT[fault.__name__], random.Random(fault.__name__))
    except PermissionError as why:
        pytest.skip(str(why))
    ROWS.append(row)
    assert row.complaints() == [], reckoning.table([row])
