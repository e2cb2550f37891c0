"""The native half: thin functions over the engine. `pitt_broker` has the names and documentation for users."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, final

__all__ = [
    "__version__",
    "Archive",
    "Packets",
    "Table",
    "Schemas",
    "Trial",
    "Simulation",
    "Visit",
    "decode",
    "alerts",
    "datum",
    "of_packet",
    "of_dict",
    "check_filter",
    "try_filter",
    "planes",
    "download",
    "releases",
    "ensure_topic",
    "send",
    "PittError",
    "ArchiveError",
    "QueryError",
    "FilterError",
    "DecodeError",
    "DownloadError",
    "StreamError",
]

__version__: str

class PittError(Exception): ...
class ArchiveError(PittError): ...
class QueryError(PittError): ...

class FilterError(PittError):
    filter: str
    line: int | None
    column: int | None
    problem: str
    suggestion: str | None
    alert_id: int | None
    trial: Any

class DecodeError(PittError): ...
class DownloadError(PittError): ...
class StreamError(PittError): ...

@final
class Table:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def __len__(self) -> int: ...

@final
class Schemas:
    """Writers' schemas of messages that name theirs by number (Confluent wire format)."""

    def __new__(cls, folder: Path | str | None = None, registry: str | None = None) -> Schemas: ...

@final
class Archive:
    def __new__(cls, folder: Path | None = None) -> Archive: ...
    @property
    def folder(self) -> Path: ...
    @property
    def surveys(self) -> list[str]: ...
    def refresh(self) -> None: ...
    def close(self) -> None: ...
    def packet(self, alert_id: int) -> bytes | None: ...
    def alert(self, alert_id: int) -> dict[str, Any] | None: ...
    def history(self, alert_id: int) -> Table | None: ...
    def light_curve(self, object_id: str) -> Table: ...
    def cone(self, ra_deg: float, dec_deg: float, radius_arcsec: float) -> Table: ...
    def query(self, sql: str, max_rows: int | None = None, timeout_s: float | None = None) -> tuple[Table, bool]: ...
    def packets(
        self,
        survey: str | None = None,
        partition: str | None = None,
        night: int | None = None,
        raw: bool = False,
    ) -> Packets: ...

@final
class Packets(Iterator[Any]):
    def __iter__(self) -> Packets: ...
    def __next__(self) -> Any: ...

@final
class Trial:
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def alerts(self) -> int: ...
    @property
    def matches(self) -> int: ...
    @property
    def rejected(self) -> int: ...
    @property
    def damaged(self) -> list[str]: ...
    @property
    def complete(self) -> bool: ...
    @property
    def cost_us(self) -> float: ...
    @property
    def tables(self) -> list[Table]: ...
    @property
    def nights(self) -> Table: ...

@final
class Visit:
    """One exposure and the packets of it."""

    @property
    def survey(self) -> str: ...
    @property
    def night(self) -> int: ...
    @property
    def mjd_tai(self) -> float: ...
    @property
    def packets(self) -> list[bytes]: ...
    @property
    def truth(self) -> Table: ...

@final
class Simulation(Iterator[Visit]):
    def __new__(
        cls,
        *,
        seed: int,
        surveys: list[str],
        first_night: int,
        nights: int,
        visits: int,
        alerts_per_visit: int,
        bad_per_million: int,
        duplicates_per_million: int,
    ) -> Simulation: ...
    @property
    def total_visits(self) -> int: ...
    def write(self, folder: Path) -> tuple[int, int, list[Path], Path]: ...
    def __iter__(self) -> Simulation: ...
    def __next__(self) -> Visit: ...

def decode(
    packets: list[bytes | Path],
    schemas: Schemas | None = None,
    stamps: bool = False,
    columns: list[str] | None = None,
) -> tuple[list[tuple[str, str | None, Table]], list[tuple[str, str]]]: ...
def alerts(packet: bytes, schemas: Schemas | None = None) -> list[dict[str, Any]]: ...
def datum(datum: bytes, schema: str) -> list[dict[str, Any]]: ...
def of_packet(packet: bytes, record: int = 0, schemas: Schemas | None = None) -> Table: ...
def of_dict(alert: dict[str, Any]) -> Table: ...
def planes(stamp: bytes) -> list[tuple[str, tuple[int, int], bytes, list[tuple[str, str]]]]: ...
def check_filter(text: str, name: str, folder: Path | None = None) -> None: ...
def try_filter(
    text: str,
    name: str,
    source: Archive | list[bytes] | Path,
    *,
    nights: set[int] | None = None,
    max_alerts: int | None = None,
    max_rows: int = 100_000,
    schemas: Schemas | None = None,
    folder: Path | None = None,
) -> Trial: ...
def download(
    folder: Path | None = None,
    url: str | None = None,
    newest: int = 1,
    nights: list[str] | None = None,
    keep: Path | None = None,
    force: bool = False,
    say: Any = None,
) -> tuple[list[dict[str, Any]], list[str]]: ...
def releases(folder: Path | None = None) -> list[dict[str, Any]]: ...
def ensure_topic(servers: str, topic: str, timeout_s: float = 30.0) -> None: ...
def send(servers: str, topic: str, packets: Iterable[bytes], timeout_s: float = 30.0) -> tuple[int, list[str]]: ...
