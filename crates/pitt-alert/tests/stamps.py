"""Writes stamps and their pixels as astropy (FITS) or Pillow (JPEG) reads them to standard output.

    stamps.py DATA     every stamp of every packet under DATA, and made-up FITS files of every BITPIX

A stamp is: S, kind (F or J), name, bytes, number of planes, and of each plane: name, width, height (u32), pixels as f32,
bottom row first. Names and bytes stand behind their length (u32). All little-endian. E at the end.
"""

import gzip
import io
import struct
import sys
import warnings

import numpy as np
from astropy.io import fits
from PIL import Image

import reference

warnings.simplefilter("ignore")
out = sys.stdout.buffer


def text(raw):
    out.write(struct.pack("<I", len(raw)) + raw)


def planes_of_fits(raw):
    found = []
    with fits.open(io.BytesIO(raw), memmap=False) as hdus:
        for number, hdu in enumerate(hdus):
            if hdu.data is None or not isinstance(hdu, (fits.PrimaryHDU, fits.ImageHDU)):
                continue
            name = hdu.header.get("EXTNAME") or ("PRIMARY" if number == 0 else f"HDU{number}")
            data = hdu.data
            for plane in data.reshape(-1, *data.shape[-2:]):
                found.append((name, plane))
    return found


def stamp(name, raw):
    unpacked = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    if unpacked[:6] == b"SIMPLE":
        kind, planes = b"F", planes_of_fits(unpacked)
    elif unpacked[:3] == b"\xff\xd8\xff":
        grey = np.asarray(Image.open(io.BytesIO(unpacked)).convert("L"))
        kind, planes = b"J", [("JPEG", grey[::-1])]
    else:
        return
    out.write(b"S" + kind)
    text(name.encode())
    text(raw)
    out.write(struct.pack("<I", len(planes)))
    for plane, pixels in planes:
        text(plane.encode())
        out.write(struct.pack("<II", pixels.shape[1], pixels.shape[0]))
        out.write(np.ascontiguousarray(pixels, dtype="<f4").tobytes())


def stamps_in(value, name):
    if isinstance(value, bytes) and len(value) > 100:
        stamp(name, value)
    elif isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(member, list):
                stamps_in(member, f"{name}.{key}")


def made_up():
    numbers = np.arange(35).reshape(5, 7) * 3 - 40
    for kind in ("u1", "i2", "i4", "f4", "f8"):
        pixels = (numbers + 40).astype("u1") if kind == "u1" else numbers.astype(kind)
        hdus = fits.HDUList([fits.PrimaryHDU(pixels), fits.ImageHDU(np.stack([pixels, pixels]), name="CUBE")])
        hdus.append(fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.arange(9.0))]))
        hdus.append(fits.ImageHDU(pixels[:2], name="LAST"))
        file = io.BytesIO()
        hdus.writeto(file)
        stamp(f"made up, {kind}", file.getvalue())
        stamp(f"made up, {kind}, gzipped", gzip.compress(file.getvalue()))
    scaled = fits.PrimaryHDU(numbers.astype("i2"))
    scaled.header["BSCALE"], scaled.header["BZERO"], scaled.header["BLANK"] = 0.5, 10.0, -40
    file = io.BytesIO()
    scaled.writeto(file)
    stamp("made up, scaled and blanked", file.getvalue())
    file = io.BytesIO()
    fits.PrimaryHDU(np.arange(6, dtype="u2").reshape(2, 3) + 40000).writeto(file)
    stamp("made up, unsigned", file.getvalue())


if __name__ == "__main__":
    data = sys.argv[1]
    made_up()
    schemas = reference.lsst_schemas(data)
    for path, raw in reference.files(data):
        name = path[len(data) + 1 :]
        if "elasticc" in name:
            continue
        if raw[:4] == b"Obj\x01":
            records = reference.container(raw)
        elif raw[:1] == b"\0" and int.from_bytes(raw[1:5], "big") in schemas:
            records = [reference.datum(raw[5:], schemas[int.from_bytes(raw[1:5], "big")])]
        else:
            continue
        for record in records:
            stamps_in(record, name)
    out.write(b"E")
    out.flush()
