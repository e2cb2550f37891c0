"""Plots: what is in them, that nothing global changes, and how they look beside images that were looked at.

`PITT_NEW_IMAGES=1` draws the reference images anew; look at each before it is committed.
"""

from __future__ import annotations

import copy
import os
import pathlib

import matplotlib
import numpy as np
import pytest
from matplotlib.testing.compare import compare_images

import pitt_broker as pb

IMAGES = pathlib.Path(__file__).parent / "images"
#: Root mean square of the difference, of 255, up to which pictures are the same: fonts are drawn a little differently
#: elsewhere. A missing point or label is more.
TOLERANCE = 3.0


def alert_of(survey: str, kind: str) -> tuple[bytes, dict]:
    """The alert of that kind with the longest history, of a simulated night."""
    simulation = pb.simulate(survey=survey, visits=4, alerts_per_visit=60)
    truth = simulation.truth()["class"].to_pylist()
    packets = [packet for packet, what in zip(simulation.packets(), truth) if what == kind]
    packet = max(packets, key=lambda packet: len(pb.history(packet)))
    return packet, pb.alerts(packet)[0]


@pytest.fixture(scope="module")
def ztf():
    return alert_of("ztf", "supernova_ia")


@pytest.fixture(scope="module")
def lsst():
    return alert_of("lsst", "agn")


def turned(alert: dict) -> dict:
    """The alert, with stamps turned by 30 degrees against the sky."""
    import io

    from astropy.io import fits

    changed = dict(alert)
    cosine, sine = np.cos(np.radians(30)), np.sin(np.radians(30))
    for name in ("cutoutScience", "cutoutTemplate", "cutoutDifference"):
        with fits.open(io.BytesIO(alert[name])) as file:
            header = file[0].header
            header["PC1_1"], header["PC1_2"], header["PC2_1"], header["PC2_2"] = cosine, -sine, sine, cosine
            out = io.BytesIO()
            file.writeto(out)
        changed[name] = out.getvalue()
    return changed


def night() -> pb.Table:
    return pb.simulate(visits=20, alerts_per_visit=40).truth()


PICTURES = {
    "stamps_ztf": lambda ztf, lsst: pb.plot_stamps(ztf[1], colorbar=True, stretch={"Difference": "linear"}),
    "stamps_lsst": lambda ztf, lsst: pb.plot_stamps(lsst[1], stretch="log"),
    "stamps_north_up": lambda ztf, lsst: pb.plot_stamps(turned(lsst[1]), north_up=True),
    "lightcurve_mag": lambda ztf, lsst: pb.plot_lightcurve(ztf[0], title=ztf[1]["objectId"]),
    "lightcurve_flux": lambda ztf, lsst: pb.plot_lightcurve(lsst[0], unit="flux"),
    "sky": lambda ztf, lsst: pb.plot_sky(night(), title="2026-02-24"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_look_as_they_did(name, ztf, lsst, tmp_path):
    figure = PICTURES[name](ztf, lsst)
    drawn, reference = tmp_path / f"{name}.png", IMAGES / f"{name}.png"
    figure.savefig(drawn, dpi=60)
    if os.environ.get("PITT_NEW_IMAGES"):
        reference.write_bytes(drawn.read_bytes())
    assert reference.stat().st_size < 50_000
    different = compare_images(str(reference), str(drawn), tol=TOLERANCE)
    assert different is None, different


def test_a_picture_that_lacks_something_is_noticed(ztf, tmp_path):
    """The comparison can fail: without its limits a light curve is another."""
    table = pb.history(ztf[0]).to_pandas()
    pb.plot_lightcurve(table[table["kind"] == "detection"], title=ztf[1]["objectId"]).savefig(tmp_path / "less.png", dpi=60)
    assert compare_images(str(IMAGES / "lightcurve_mag.png"), str(tmp_path / "less.png"), tol=TOLERANCE)


def test_nothing_global_changes(ztf, lsst):
    import matplotlib.pyplot as plt

    plt.close("all")
    before, backend = copy.deepcopy(dict(matplotlib.rcParams)), matplotlib.get_backend()
    figures = [draw(ztf, lsst) for draw in PICTURES.values()]
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before and matplotlib.get_backend() == backend
    assert len({id(figure) for figure in figures}) == len(figures)


def test_notebooks_show_them_and_they_can_be_kept(ztf):
    import pickle

    figure = pb.plot_lightcurve(ztf[0])
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert len(pickle.loads(pickle.dumps(pb.plot_sky({"ra": [1.0], "dec": [2.0]}))).axes) == 1


def test_they_draw_on_given_axes(ztf, lsst):
    from matplotlib.figure import Figure

    figure = Figure()
    upper, lower = figure.subplots(2, 3)
    assert pb.plot_stamps(ztf[1], axes=upper) is figure
    assert pb.plot_lightcurve(ztf[0], ax=lower[0]) is figure
    assert [ax.get_title() for ax in upper] == ["Science", "Template", "Difference"] and lower[0].get_ylabel()
    with pytest.raises(ValueError, match="mollweide"):
        pb.plot_sky(night(), ax=lower[1])
    with pytest.raises(ValueError, match="2 given, 3 needed"):
        pb.plot_stamps(ztf[1], axes=lower[:2])
    assert len(figure.axes) == 6


def test_north_is_up_and_east_left(lsst):
    """A step to the north and one to the east, in pixels of the file, are up and left on the page."""
    alert = turned(lsst[1])
    header = pb.stamp(alert["cutoutScience"])[0].header
    wcs = np.array([[float(header[f"CDELT{i}"]) * float(header[f"PC{i}_{j}"]) for j in (1, 2)] for i in (1, 2)])
    ax = pb.plot_stamps(alert, north_up=True).axes[0]
    image = ax.images[0]
    to_page = image.get_transform() - ax.transData
    for sky, way in (((0, 1), (0, 1)), ((1, 0), (-1, 0))):
        pixel = np.linalg.inv(wcs) @ sky
        step = to_page.transform(pixel / np.hypot(*pixel))
        assert np.allclose(step, way, atol=1e-6), (sky, step)


def test_ztfs_mirror_image_is_turned_over(ztf):
    """Rows of ZTF's files go south, columns west: the first row is at the top of the page, the first column at its left."""
    for north_up in (False, True):
        ax = pb.plot_stamps(ztf[1], north_up=north_up).axes[0]
        to_page = ax.images[0].get_transform() - ax.transData
        assert np.allclose(to_page.transform([[1, 0], [0, 1]]), [[1, 0], [0, -1]], atol=1e-6)
        assert ax.get_title() == "Science"


def test_each_image_has_its_own_stretch(ztf):
    from matplotlib.colors import LogNorm, Normalize

    axes = pb.plot_stamps(ztf[1], stretch={"Science": "log", "Difference": "linear"}).axes
    norms = [ax.images[0].norm for ax in axes]
    assert type(norms[0]) is LogNorm and type(norms[2]) is Normalize
    # Asinh, the usual one, is linear around the background and steep there.
    middle = np.median(np.asarray(axes[1].images[0].get_array()))
    steps = np.diff(norms[1]([middle - 1, middle, middle + 1, norms[1].vmax - 1, norms[1].vmax]))
    assert np.isclose(steps[0], steps[1], rtol=0.05) and steps[0] > steps[3]
    with pytest.raises(ValueError, match="stretch 'square'"):
        pb.plot_stamps(ztf[1], stretch="square")
    with pytest.raises(KeyError, match="no stamps"):
        pb.plot_stamps({"candid": 5})


def test_a_light_curve_stands_where_it_should():
    """A flux of 36307.8 nJy is AB 20; a negative one is open; one below 3 sigma is a limit at 5 sigma."""
    points = {"mjd_tai": [60000.0, 60001.0, 60002.0], "band": ["g", "g", "r"], "psf_flux": [36307.8, -36307.8, 100.0],
              "psf_flux_err": [363.1, 363.1, 7261.56]}
    ax = pb.plot_lightcurve(points).axes[0]
    positive, negative = (container.lines[0] for container in ax.containers)
    assert positive.get_xdata()[0] == 60000.0 and abs(positive.get_ydata()[0] - 20.0) < 1e-3
    assert negative.get_markerfacecolor() == "none" and abs(negative.get_ydata()[0] - 20.0) < 1e-3
    limit = ax.lines[-1]
    assert limit.get_xdata()[0] == 60002.0 and abs(limit.get_ydata()[0] - 20.0) < 1e-3
    assert ax.yaxis_inverted() and "AB" in ax.get_ylabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["g", "negative", "5 sigma limit"]
    with pytest.raises(ValueError, match="unit 'Jy'"):
        pb.plot_lightcurve(points, unit="Jy")
    with pytest.raises(KeyError):
        pb.plot_lightcurve({"mjd_tai": [1.0], "band": ["g"]})


def test_dates_stand_above(ztf):
    """MJD 60000 is 2023-02-25."""
    points = {"mjd_tai": [60000.0, 60010.0], "band": ["g", "g"], "psf_flux": [1e4, 1e4], "psf_flux_err": [1e2, 1e2]}
    figure = pb.plot_lightcurve(points, unit="flux")
    [above] = figure.axes[0].child_axes
    assert above.xaxis.get_major_formatter()(60000.0) == "2023-02-25"
    assert not pb.plot_lightcurve(points, utc=False).axes[0].child_axes


def test_every_input_gives_the_same_curve(simulated, ztf):
    packet, alert = ztf
    drawn = [pb.plot_lightcurve(given) for given in (packet, pb.history(packet), pb.history(packet).to_pandas())]
    points = [[line.get_xydata().tolist() for line in figure.axes[0].lines] for figure in drawn]
    assert points[0] == points[1] == points[2]
    assert pb.plot_lightcurve(alert).axes[0].lines


def test_the_sky_has_east_to_the_left():
    ax = pb.plot_sky({"ra": [180.0, 90.0, 0.1], "dec": [0.0, 45.0, -10.0]}).axes[0]
    points = ax.collections[0].get_offsets()
    assert np.allclose(points[0], (0, 0)) and np.allclose(points[1], np.radians((90, 45))) and points[2][0] > 3.1
    assert ax.get_title() == "3 positions"
