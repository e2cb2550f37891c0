//! Dates on a time axis.

use pitt_sky::time::{MjdTai, MjdUtc};

use super::axis::Axis;

/// Places and words of the upper axis: firsts of months or years, days, or hours, as the range asks for.
pub(super) fn utc_ticks(time: &Axis) -> Vec<(f32, String)> {
    let days = time.last - time.first;
    let utc = |mjd_tai: f64| MjdTai(mjd_tai).to_utc().0;
    let (first, last) = (utc(time.first), utc(time.last));
    let place = |mjd_utc: f64| time.at(MjdUtc(mjd_utc).to_tai().0);
    if days < 4.0 {
        let hours = [0.25, 0.5, 1.0, 2.0, 3.0, 6.0, 12.0, 24.0];
        let step = hours
            .into_iter()
            .find(|step| days * 24.0 / step <= 7.0)
            .unwrap_or(24.0)
            / 24.0;
        let axis = Axis {
            first,
            last,
            from: 0.0,
            to: 1.0,
        };
        return axis
            .ticks(step)
            .into_iter()
            .map(|mjd| (place(mjd), clock(mjd)))
            .collect();
    }
    let starts: Vec<i64> = (first.ceil() as i64..=last.floor() as i64).collect();
    let dates = starts
        .into_iter()
        .map(|day| (day, MjdUtc(day as f64 + 1e-6).yyyymmdd()));
    let chosen: Vec<(i64, i32)> = if days < 60.0 {
        let step = [1, 2, 5, 10, 20]
            .into_iter()
            .find(|step| days / f64::from(*step) <= 7.0);
        dates
            .filter(|(day, _)| day % i64::from(step.unwrap_or(20)) == 0)
            .collect()
    } else {
        let every = [1, 2, 3, 6, 12, 24, 60, 120];
        let months = every
            .into_iter()
            .find(|months| days / 30.4 / f64::from(*months) <= 7.0);
        let months = months.unwrap_or(120);
        let month = |date: i32| date / 10_000 * 12 + date / 100 % 100 - 1;
        dates
            .filter(|(_, date)| date % 100 == 1 && month(*date) % months == 0)
            .collect()
    };
    chosen
        .into_iter()
        .map(|(day, date)| (place(day as f64), day_name(date)))
        .collect()
}

fn day_name(date: i32) -> String {
    format!(
        "{}-{:02}-{:02}",
        date / 10_000,
        date / 100 % 100,
        date % 100
    )
}

fn clock(mjd_utc: f64) -> String {
    let minutes = (mjd_utc.fract() * 1440.0).round() as u32 % 1440;
    let date = MjdUtc(mjd_utc + 1e-6).yyyymmdd();
    let day = format!("{:02}-{:02}", date / 100 % 100, date % 100);
    format!("{day} {:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_chosen_for_the_range() {
        let axis = |first: f64, last: f64| Axis {
            first,
            last,
            from: 0.0,
            to: 1.0,
        };
        let words = |axis: Axis| {
            utc_ticks(&axis)
                .into_iter()
                .map(|(_, word)| word)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            words(axis(61_000.3, 61_000.8))[1..3],
            ["11-21 10:00", "11-21 12:00"]
        );
        assert_eq!(words(axis(61_000.0, 61_200.0))[0], "2025-12-01");
    }
}
