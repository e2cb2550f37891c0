"""What a user writes, for mypy --strict: it is checked, not run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mock_stream
import pitt_broker as pb


def a_night(folder: Path) -> dict[str, Any]:
    with pb.open(folder) as archive:
        table: pb.Table = archive.query("SELECT object_id FROM alerts", max_rows=10)
        units: dict[str, str] = table.units
        for alert in archive.alerts(night=20260301):
            first: dict[str, Any] = alert
            break
        for packet in archive.alerts(raw=True):
            pb.alerts(packet)[0]["objectId"].lower()
        curve = archive.light_curve("ZTF18abudxnw").to_pandas()
        pb.plot_lightcurve(curve, unit="flux").savefig(folder / "curve.png")
        trial = archive.test_filter("reliability > 0.9", nights=[20260301])
        rate: float = trial.rate
        print(units, rate, len(trial.table), trial.nights.columns)
    return first


def live() -> None:
    try:
        pb.check_filter("rise_rate('g') > 0.3")
    except pb.FilterError as error:
        line: int | None = error.line
        print(line, error.suggestion)
    with pb.follow("bright", timeout_s=1.0) as matches:
        for match in matches:
            number: int | None = match.alert_id
            print(number, match["candidate"])
    with pb.follow_http("bright", after="0") as events:
        print(events.last_id, next(events).place)
    with pb.replay_http(filter="bright", token="pitt_..") as replay:
        rest: int = replay.chunks - len(list(replay))
        print(replay.id, rest, replay.state["expires_us"])


def made_up() -> int:
    for visit in pb.simulate(survey="ztf", visits=1):
        packets: list[bytes] = visit.packets
        print(len(packets), pb.Table(visit.truth).columns)
    total: int = mock_stream.get_number_local_alerts()
    return total
