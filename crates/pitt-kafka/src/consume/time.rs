//! Times as people write them, and nights.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: i64 = 86_400;

/// An RFC 3339 time as milliseconds UTC since 1970: `2026-11-22T03:00:00Z`, with fractions and offsets.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let separators = bytes.get(4) == Some(&b'-')
        && bytes.get(7) == Some(&b'-')
        && matches!(bytes.get(10), Some(b'T' | b't' | b' '))
        && bytes.get(13) == Some(&b':')
        && bytes.get(16) == Some(&b':');
    if !separators || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse::<i64>().ok())?
    };
    let day = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ms, zone) = fraction(&text[19..])?;
    let seconds = day * DAY_S + hour * 3600 + minute * 60 + second - zone_s(zone)?;
    Some(seconds * 1000 + fraction_ms)
}

/// `.25Z` as 250 and `Z`.
fn fraction(rest: &str) -> Option<(i64, &str)> {
    let Some(after) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    let digits = format!("{:0<3}", &after[..end]);
    if end == 0 {
        return None;
    }
    Some((digits[..3].parse().ok()?, &after[end..]))
}

fn zone_s(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u32>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; `None` if there is no such date.
///
/// Source: E. G. Richards, Explanatory Supplement to the Astronomical Almanac (2013), section 15.11.3.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let before_march = (month - 14) / 12;
    let julian = (1461 * (year + 4800 + before_march)) / 4
        + (367 * (month - 2 - 12 * before_march)) / 12
        - (3 * ((year + 4900 + before_march) / 100)) / 4
        + day
        - 32_075;
    let days = julian - 2_440_588;
    (date(days) == (year, month, day)).then_some(days)
}

/// The date so many days after 1970-01-01. Source: as for [`days`].
fn date(days: i64) -> (i64, i64, i64) {
    let f = days + 2_440_588 + 1401 + (((4 * (days + 2_440_588) + 274_277) / 146_097) * 3) / 4 - 38;
    let e = 4 * f + 3;
    let h = 5 * ((e % 1461) / 4) + 2;
    let day = (h % 153) / 5 + 1;
    let month = (h / 153 + 2) % 12 + 1;
    (e / 1461 - 4716 + (14 - month) / 12, month, day)
}

/// Today's date UTC, in days since 1970.
pub(super) fn today() -> i64 {
    now_us().div_euclid(DAY_S * 1_000_000)
}

/// Now, microseconds UTC since 1970.
pub(super) fn now_us() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_with_fractions_and_zones() {
        // date -u -d '2026-11-22T03:00:00Z' +%s
        assert_eq!(parse_ms("2026-11-22T03:00:00Z"), Some(1_795_316_400_000));
        assert_eq!(
            parse_ms("2026-11-22T05:30:00.25+02:30"),
            Some(1_795_316_400_250)
        );
        assert_eq!(parse_ms("1970-01-01T00:00:00Z"), Some(0));
        for wrong in [
            "2026-11-22",
            "2026-02-30T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T03:00:00",
            "2026-11-22T03:00:00.Z",
            "2026-11-22T03:00:00+1:00",
        ] {
            assert_eq!(parse_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in days(1900, 1, 1).unwrap()..days(2300, 1, 1).unwrap() {
            let (year, month, number) = date(day);
            assert_eq!(days(year, month, number), Some(day));
        }
        assert_eq!((days(1970, 1, 1), days(2023, 2, 29)), (Some(0), None));
    }
}
