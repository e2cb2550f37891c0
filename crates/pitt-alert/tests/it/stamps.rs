//! Stamps equal what astropy and Pillow make of them.

use pitt_alert::stamps;

use crate::{real, reference};

/// JPEG decoders may round the inverse cosine transform differently; two of 255 levels is what libjpeg's own methods
/// differ by.
const JPEG_LEVELS: f32 = 2.0;

#[test]
fn every_pixel_of_every_stamp_equals_the_reference() {
    let (Some(data), Some(python)) = (real::data(), real::python()) else {
        return;
    };
    let (mut child, mut source) =
        reference::start_script(&python, "stamps.py", &[&data.display().to_string()]);
    let (mut fits, mut jpeg, mut planes, mut pixels, mut missing, mut rounded) =
        (0, 0, 0, 0_usize, 0_usize, 0_usize);
    while source.letter() == b'S' {
        let is_fits = source.letter() == b'F';
        let (name, bytes) = (source.text(), source.bytes());
        let found = stamps::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(found.len(), source.count(), "{name}: planes");
        for plane in found {
            assert_eq!(plane.name, source.text(), "{name}");
            assert_eq!(
                (plane.width, plane.height),
                (source.count(), source.count()),
                "{name}"
            );
            for (at, &pixel) in plane.pixels.iter().enumerate() {
                let expected = f32::from_le_bytes(source.array());
                let equal = if is_fits {
                    pixel.to_bits() == expected.to_bits() || pixel.is_nan() && expected.is_nan()
                } else {
                    (pixel - expected).abs() <= JPEG_LEVELS
                };
                assert!(
                    equal,
                    "{name}, {}: pixel {at} is {pixel}, not {expected}",
                    plane.name
                );
                missing += usize::from(pixel.is_nan());
                rounded += usize::from(!is_fits && pixel != expected);
            }
            planes += 1;
            pixels += plane.pixels.len();
        }
        *(if is_fits { &mut fits } else { &mut jpeg }) += 1;
    }
    assert!(child.wait().expect("Python ends").success());
    println!(
        "compared {pixels} pixels ({missing} without a value) in {planes} planes of {fits} FITS and {jpeg} JPEG stamps; \
         {rounded} JPEG pixels differ by up to {JPEG_LEVELS} levels"
    );
    assert!(
        fits >= 5_000 && jpeg >= 300 && planes > fits + 300 && missing > 1_000,
        "too little was compared"
    );
}
