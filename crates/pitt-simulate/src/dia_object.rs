//! The `diaObject` of an LSST packet: what its light curve adds up to.

use crate::alert::Alert;
use crate::avro::Datum;
use crate::lsst::processed_mjd;

/// Running sums over the points of one band.
#[derive(Clone, Copy)]
struct Sums {
    count: i64,
    weight: f64,
    weighted: f64,
    sum: f64,
    squares: f64,
    errors: f64,
    min: f64,
    max: f64,
    steepest: f64,
    last: Option<(f64, f64)>,
}

impl Sums {
    const EMPTY: Self = Self {
        count: 0,
        weight: 0.0,
        weighted: 0.0,
        sum: 0.0,
        squares: 0.0,
        errors: 0.0,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        steepest: f64::NAN,
        last: None,
    };

    fn add(&mut self, mjd: f64, flux: f64, err: f64) {
        let weight = 1.0 / (err * err);
        self.count += 1;
        self.weight += weight;
        self.weighted += weight * flux;
        self.sum += flux;
        self.squares += flux * flux;
        self.errors += err;
        self.min = self.min.min(flux);
        self.max = self.max.max(flux);
        if let Some((before, last)) = self.last {
            let slope = (flux - last) / (mjd - before);
            self.steepest = if self.steepest >= slope {
                self.steepest
            } else {
                slope
            };
        }
        self.last = Some((mjd, flux));
    }

    /// Weighted mean and its error; NaN without points.
    fn mean(&self) -> [f32; 2] {
        [
            (self.weighted / self.weight) as f32,
            (1.0 / self.weight).sqrt() as f32,
        ]
        .map(|value| self.or_nan(value))
    }

    fn deviation(&self) -> f32 {
        let n = self.count as f64;
        if self.count < 2 {
            return f32::NAN;
        }
        ((self.squares - self.sum * self.sum / n).max(0.0) / (n - 1.0)).sqrt() as f32
    }

    fn extremes(&self) -> [f32; 4] {
        let values = [
            self.min,
            self.max,
            self.steepest,
            self.errors / self.count as f64,
        ];
        values.map(|value| self.or_nan(value as f32))
    }

    fn or_nan(&self, value: f32) -> f32 {
        if self.count == 0 { f32::NAN } else { value }
    }
}

/// Writes the nullable `diaObject`.
pub(crate) fn write(out: &mut Datum, alert: &Alert<'_>, object: i64) {
    let now = alert.now();
    let mut detected = [Sums::EMPTY; 6];
    let mut forced = [Sums::EMPTY; 6];
    let mut science = [Sums::EMPTY; 6];
    let mut count = 0;
    let mut first = now;
    for (exposure, seen) in alert.detections().chain([(now, alert.seen_now())]) {
        if count == 0 {
            first = exposure;
        }
        count += 1;
        detected[usize::from(exposure.band.index())].add(exposure.mjd_tai, seen.flux, seen.err);
    }
    for (exposure, seen) in alert.since_first_detection() {
        let band = usize::from(exposure.band.index());
        forced[band].add(exposure.mjd_tai, seen.flux, seen.err);
        science[band].add(exposure.mjd_tai, seen.flux + seen.template, seen.err);
    }
    out.some().long(object);
    out.double(processed_mjd(now));
    position(out, alert, count);
    for (detected, forced) in detected.iter().zip(&forced) {
        out.some_floats(&detected.mean());
        out.some_float(detected.deviation());
        out.long(detected.count);
        out.some_floats(&forced.mean());
    }
    science
        .iter()
        .for_each(|science| out.some_floats(&science.mean()));
    detected
        .iter()
        .for_each(|detected| out.some_floats(&detected.extremes()));
    out.some_double(first.mjd_tai);
    out.some_double(now.mjd_tai);
    out.long(count);
}

/// ra to ra_dec_Cov: the true place, with the error of the mean.
fn position(out: &mut Datum, alert: &Alert<'_>, count: i64) {
    let err_arcsec = 0.5 * alert.now().seeing / alert.seen_now().snr() / (count as f64).sqrt();
    let err = (err_arcsec / 3600.0) as f32;
    out.double(alert.source.ra);
    out.some_float(err);
    out.double(alert.source.dec);
    out.some_floats(&[err, 0.05 * err * err]);
}
