//! Where the sky's north and east are in a stamp.

use pitt_alert::stamps::Plane;

/// Where north and east are in an image drawn with its first row at the bottom: degrees from up, counted to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Orientation {
    /// North `[deg]`.
    pub north: f64,
    /// East `[deg]`: a quarter turn to the left of north, to the right where the image is a mirror image of the sky.
    pub east: f64,
}

/// ZTF's stamps carry no world coordinates, but its cameras' readout is fixed: rows go south and columns west. Fitted to
/// `ra`, `dec`, `xpos` and `ypos` of detections of one image: 1.0124 arcsec a pixel, turned by less than 2 deg.
const ZTF: Orientation = Orientation {
    north: 180.0,
    east: 90.0,
};

impl Orientation {
    /// By the matrix of the image's header, else by what is known of its survey.
    pub fn of(plane: &Plane, survey: &str) -> Option<Self> {
        let by_survey = || (survey == "ztf").then_some(ZTF);
        Self::by_header(plane).or_else(by_survey)
    }

    fn by_header(plane: &Plane) -> Option<Self> {
        let [a, b, c, d] = to_sky(plane)?;
        let det = a * d - b * c;
        // The steps in pixels that raise the declination alone, and the right ascension alone.
        let angle = |x: f64, y: f64| Some((-x).atan2(y).to_degrees()).filter(|it| it.is_finite());
        Some(Self {
            north: angle(-b / det, a / det)?,
            east: angle(d / det, -c / det)?,
        })
    }

    fn is_mirrored(self) -> bool {
        (self.east - self.north).to_radians().sin() < 0.0
    }
}

/// Degrees east and north for a step of one column and of one row: `CD`, or `CDELT` and `PC`; `None` if the header has neither.
fn to_sky(plane: &Plane) -> Option<[f64; 4]> {
    let number = |keyword: &str| plane.card(keyword)?.trim().parse::<f64>().ok();
    let of = |kind: &str, at: &str| number(&format!("{kind}{at}"));
    if let Some(first) = number("CD1_1") {
        let rest = |at| of("CD", at).unwrap_or(0.0);
        return Some([first, rest("1_2"), rest("2_1"), rest("2_2")]);
    }
    number("PC1_1").or_else(|| number("CDELT1"))?;
    let [column, row] = ["CDELT1", "CDELT2"].map(|keyword| number(keyword).unwrap_or(1.0));
    let turn = |at, without| of("PC", at).unwrap_or(without);
    let [a, b] = [turn("1_1", 1.0), turn("1_2", 0.0)].map(|part| column * part);
    let [c, d] = [turn("2_1", 0.0), turn("2_2", 1.0)].map(|part| row * part);
    Some([a, b, c, d])
}

/// An image's values row by row from the bottom, with the rows turned over where the file holds a mirror image of the sky (ZTF): then north is up
/// and east left. Images that are only turned (Rubin's) stay as they are.
pub fn unmirrored(plane: Plane, survey: &str) -> Vec<f32> {
    match Orientation::of(&plane, survey) {
        Some(way) if way.is_mirrored() => {
            let rows = plane.pixels.chunks_exact(plane.width.max(1)).rev();
            rows.flatten().copied().collect()
        }
        _ => plane.pixels,
    }
}

#[cfg(test)]
mod tests {
    use pitt_alert::stamps::Card;

    use super::*;

    /// Three by two pixels, with these numbers in the header.
    fn plane(cards: &[(&str, f64)]) -> Plane {
        let card = |(keyword, value): &(&str, f64)| Card {
            keyword: (*keyword).to_owned(),
            value: format!("{value:e}"),
        };
        Plane {
            name: "PRIMARY".to_owned(),
            width: 3,
            height: 2,
            pixels: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            bitpix: -32,
            cards: cards.iter().map(card).collect(),
        }
    }

    fn angles(cards: &[(&str, f64)], survey: &str) -> Option<[f64; 2]> {
        let found = Orientation::of(&plane(cards), survey)?;
        Some([found.north, found.east].map(f64::round))
    }

    const NAXIS: (&str, f64) = ("NAXIS", 2.0);

    #[test]
    fn steps_and_matrices_say_the_same() {
        let up = [NAXIS, ("CDELT1", -5e-5), ("CDELT2", 5e-5)];
        assert_eq!(angles(&up, "lsst"), Some([0.0, 90.0]));
        let matrix = [NAXIS, ("CD1_1", -5e-5), ("CD2_2", 5e-5)];
        assert_eq!(angles(&matrix, "lsst"), Some([0.0, 90.0]));
        let mirror = [NAXIS, ("CD1_1", 5e-5), ("CD2_2", 5e-5)];
        assert_eq!(angles(&mirror, "lsst"), Some([0.0, -90.0]));
        assert_eq!(angles(&[NAXIS], "lsst"), None);
        assert_eq!(angles(&[NAXIS, ("CD1_1", 0.0)], "lsst"), None);
    }

    /// Numbers as in Rubin's stamps: a matrix in degrees beside steps of 1.
    #[test]
    fn a_turned_image_is_turned_the_right_way() {
        let (sin, cos) = 30f64.to_radians().sin_cos();
        let turned = [
            ("PC1_1", -cos),
            ("PC1_2", -sin),
            ("PC2_1", -sin),
            ("PC2_2", cos),
            ("CDELT1", 1.0),
            ("CDELT2", 1.0),
        ];
        // North is where a step raises the declination most: -sin columns, cos rows.
        assert_eq!(angles(&turned, "lsst"), Some([30.0, 120.0]));
        assert_eq!(
            unmirrored(plane(&turned), "lsst"),
            [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        );
    }

    #[test]
    fn ztfs_mirror_image_is_turned_over() {
        assert_eq!(angles(&[NAXIS], "ztf"), Some([180.0, 90.0]));
        assert_eq!(
            unmirrored(plane(&[NAXIS]), "ztf"),
            [4.0, 5.0, 6.0, 1.0, 2.0, 3.0]
        );
    }
}
