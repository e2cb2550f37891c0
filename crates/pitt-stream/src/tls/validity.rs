//! From when until when a certificate is good: the two times of RFC 5280, 4.1.2.5, and nothing else of it.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Both ends, `[s since 1970, UTC]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

impl Validity {
    /// That of a certificate in DER; `None` when it is none.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (outer, _) = take(certificate, SEQUENCE)?;
        let (body, _) = take(outer, SEQUENCE)?;
        let body = take(body, VERSION).map_or(body, |(_, rest)| rest);
        let (_serial, body) = take(body, INTEGER)?;
        let (_algorithm, body) = take(body, SEQUENCE)?;
        let (_issuer, body) = take(body, SEQUENCE)?;
        let (times, _) = take(body, SEQUENCE)?;
        let (from, times) = time(times)?;
        let (until, _) = time(times)?;
        Some(Self { from, until })
    }
}

/// The content of the element that stands first, if it has this tag, and what follows it.
fn take(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<2>()?;
    if head[0] != tag {
        return None;
    }
    let (length, rest) = match head[1] {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            if digits.len() > 4 {
                return None;
            }
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
    };
    rest.split_at_checked(length)
}

/// `YYMMDDHHMMSSZ`, of 1950 to 2049, or `YYYYMMDDHHMMSSZ`.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest) = take(bytes, UTC_TIME).or_else(|| take(bytes, GENERALIZED_TIME))?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let century = match (text.len(), text.get(..2)?.parse::<i64>().ok()?) {
        (12, 50..) => "19",
        (12, _) => "20",
        _ => "",
    };
    let text = format!("{century}{text}");
    let number = |at: std::ops::Range<usize>| text.get(at)?.parse::<i64>().ok();
    let days = days(number(0..4)?, number(4..6)?, number(6..8)?);
    let seconds = number(8..10)? * 3600 + number(10..12)? * 60 + number(12..14)?;
    Some((days * 86_400 + seconds, rest))
}

/// Days since 1970-01-01 of a date: Howard Hinnant's `days_from_civil`, for years after 0.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, 0x81, length], content].concat()
    }

    fn certificate(from: &[u8], until: &[u8]) -> Vec<u8> {
        let body = [
            element(VERSION, &[INTEGER, 1, 2]),
            vec![INTEGER, 1, 7],
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[from, until].concat()),
        ];
        element(SEQUENCE, &element(SEQUENCE, &body.concat()))
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let from = element(UTC_TIME, b"261127164500Z");
        let until = element(GENERALIZED_TIME, b"20500301000000Z");
        let validity = Validity::of(&certificate(&from, &until));
        // date -u -d '2026-11-27 16:45' +%s; date -u -d 2050-03-01 +%s
        let expected = Validity {
            from: 1_795_797_900,
            until: 2_529_705_600,
        };
        assert_eq!(validity, Some(expected));
        let old = element(UTC_TIME, b"700101000000Z");
        let validity = Validity::of(&certificate(&old, &old)).unwrap();
        assert_eq!(validity.from, 0);
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        let good = element(UTC_TIME, b"261127164500Z");
        let whole = certificate(&good, &good);
        for length in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..length]), None, "{length}");
        }
        let bad = element(UTC_TIME, b"26112716450\xffZ");
        assert_eq!(Validity::of(&certificate(&bad, &good)), None);
        assert_eq!(Validity::of(&[SEQUENCE, 0xff, 0, 0]), None);
    }
}
