//! Time scales as types: a date in UTC and one in TAI cannot be mixed up.
//!
//! Leap seconds come from the IAU's SOFA tables (`sofars::ts::dat`); since 2017 TAI - UTC = 37 s.

use std::fmt;

use sofars::ts;

/// JD of the epoch of MJD: `MJD = JD - 2400000.5`.
pub const MJD_EPOCH_JD: f64 = 2_400_000.5;

/// MJD of 1970-01-01, the epoch of Unix time.
const UNIX_EPOCH_MJD: f64 = 40_587.0;

/// Seconds in a day.
pub const DAY_S: f64 = 86_400.0;

const DAY_US: i64 = 86_400_000_000;

/// Modified Julian date, International Atomic Time `[d]`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MjdTai(pub f64);

/// Modified Julian date, Coordinated Universal Time `[d]`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MjdUtc(pub f64);

/// Julian date, Coordinated Universal Time `[d]`; ZTF's `jd`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct JdUtc(pub f64);

impl JdUtc {
    /// The same instant as MJD.
    pub fn to_mjd(self) -> MjdUtc {
        MjdUtc(self.0 - MJD_EPOCH_JD)
    }
}

impl MjdUtc {
    /// The same instant in TAI. `NaN` in, `NaN` out.
    pub fn to_tai(self) -> MjdTai {
        MjdTai(self.0 + tai_minus_utc_s(self) / DAY_S)
    }

    /// The same instant as Julian date.
    pub fn to_jd(self) -> JdUtc {
        JdUtc(self.0 + MJD_EPOCH_JD)
    }

    /// The UTC calendar date as the number YYYYMMDD; 0 when the date is not finite or outside years 0 to 9999.
    pub fn yyyymmdd(self) -> i32 {
        match calendar(self.0) {
            Some((y, m, d)) if (0..=9999).contains(&y) => y * 10_000 + m * 100 + d,
            _ => 0,
        }
    }

    /// Midnight at the start of the day YYYYMMDD; `None` if there is no such day.
    pub fn from_yyyymmdd(date: i32) -> Option<MjdUtc> {
        let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
        let (epoch, mjd) = sofars::cal::cal2jd(year, month, day).ok()?;
        Some(MjdUtc(epoch - MJD_EPOCH_JD + mjd))
    }
}

impl MjdTai {
    /// The same instant in UTC. Within a positive leap second the result is that second's start.
    pub fn to_utc(self) -> MjdUtc {
        // TAI - UTC changes by a second at most, so the guess is in the right interval but for the leap second itself.
        let guess = self.0 - tai_minus_utc_s(MjdUtc(self.0)) / DAY_S;
        MjdUtc(self.0 - tai_minus_utc_s(MjdUtc(guess)) / DAY_S)
    }

    /// From microseconds of Unix time (UTC without leap seconds).
    pub fn from_unix_us(unix_us: i64) -> Self {
        let day = unix_us.div_euclid(DAY_US);
        let rest = unix_us.rem_euclid(DAY_US);
        MjdUtc(UNIX_EPOCH_MJD + day as f64 + rest as f64 / DAY_US as f64).to_tai()
    }

    /// Microseconds of Unix time (UTC); an MJD in `f64` resolves about 1 microsecond. Not finite gives 0.
    pub fn to_unix_us(self) -> i64 {
        let utc = self.to_utc().0;
        if !utc.is_finite() {
            return 0;
        }
        let day = utc.floor();
        let rest = ((utc - day) * DAY_US as f64).round() as i64;
        ((day - UNIX_EPOCH_MJD) as i64)
            .saturating_mul(DAY_US)
            .saturating_add(rest)
    }

    /// The instant in UTC to a second, `2026-02-24 03:04:05` (cut, not rounded); `-` when it has no such form.
    pub fn iso_utc_seconds(self) -> String {
        self.iso_utc().get(..19).unwrap_or("-").replace('T', " ")
    }

    /// The instant in UTC as ISO 8601 to a millisecond, `2026-02-24T03:04:05.678Z`; `-` when it has no such form.
    pub fn iso_utc(self) -> String {
        let utc = self.to_utc().0;
        if !utc.is_finite() {
            return "-".into();
        }
        let ms_of_day = ((utc - utc.floor()) * 86_400_000.0).round() as i64;
        let (day, ms) = (
            utc.floor() + (ms_of_day / 86_400_000) as f64,
            ms_of_day % 86_400_000,
        );
        let Some((y, mo, d)) = calendar(day) else {
            return "-".into();
        };
        let (h, mi, s, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{ms:03}Z")
    }
}

impl fmt::Display for MjdTai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6} (TAI)", self.0)
    }
}

/// TAI - UTC `[s]` on a UTC date.
///
/// Before 1960, when UTC did not exist, 0; after the last announced leap second, the last value. `NaN` counts as now.
pub fn tai_minus_utc_s(mjd_utc: MjdUtc) -> f64 {
    /// First day with 37 s: 2017-01-01.
    const SINCE_2017: f64 = 57_754.0;
    const LATEST: f64 = 37.0;
    // No leap second has been announced since; the common case must not search the table.
    if mjd_utc.0.is_nan() || mjd_utc.0 >= SINCE_2017 {
        return LATEST;
    }
    let Some((year, month, day)) = calendar(mjd_utc.0) else {
        return 0.0;
    };
    ts::dat(year, month, day, mjd_utc.0.rem_euclid(1.0)).unwrap_or(0.0)
}

fn calendar(mjd: f64) -> Option<(i32, i32, i32)> {
    if !mjd.is_finite() {
        return None;
    }
    let (y, m, d, _) = sofars::cal::jd2cal(MJD_EPOCH_JD, mjd).ok()?;
    Some((y, m, d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tai_is_37_s_ahead_since_2017() {
        // hifitime 4.3: JD UTC 2460000.75 -> MJD TAI 60000.25042824
        let tai = JdUtc(2_460_000.75).to_mjd().to_tai();
        assert!((tai.0 - 60_000.250_428_24).abs() < 1e-8);
        assert!((tai.to_utc().0 - 60_000.25).abs() < 1e-10);
    }

    #[test]
    fn leap_second_of_2016() {
        assert_eq!(tai_minus_utc_s(MjdUtc(57_753.9)), 36.0);
        assert_eq!(tai_minus_utc_s(MjdUtc(57_754.0)), 37.0);
        assert_eq!(tai_minus_utc_s(MjdUtc(41_317.0)), 10.0);
    }

    #[test]
    fn dates_print_in_utc() {
        // hifitime: MJD TAI 61000.1234568 is 2025-11-21T02:57:09.667 UTC
        assert_eq!(
            MjdTai(61_000.123_456_8).iso_utc(),
            "2025-11-21T02:57:09.668Z"
        );
        assert_eq!(
            MjdTai(61_000.123_456_8).iso_utc_seconds(),
            "2025-11-21 02:57:09"
        );
        assert_eq!(MjdTai(f64::NAN).iso_utc(), "-");
        assert_eq!(MjdTai(1e300).iso_utc_seconds(), "-");
        assert_eq!(MjdUtc(61_000.99).yyyymmdd(), 20_251_121);
        assert_eq!(MjdUtc(f64::INFINITY).yyyymmdd(), 0);
    }

    #[test]
    fn days_and_numbers_invert() {
        assert_eq!(MjdUtc::from_yyyymmdd(20_251_121), Some(MjdUtc(61_000.0)));
        assert_eq!(MjdUtc::from_yyyymmdd(20_251_321), None);
    }

    #[test]
    fn unix_time_inverts() {
        let us = 1_771_900_000_123_456;
        assert!((MjdTai::from_unix_us(us).to_unix_us() - us).abs() <= 1);
        assert_eq!(MjdTai(f64::NAN).to_unix_us(), 0);
    }
}
