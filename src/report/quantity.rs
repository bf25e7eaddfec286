//! Numbers as people read them.

use std::time::Duration;

/// `1 message`, `3 messages`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

/// `812 B`, `1.8 kB`, `61 MB`.
pub fn octets(octets: u64) -> String {
    let mut amount = octets;
    for (at, unit) in ["B", "kB", "MB", "GB", "TB"].into_iter().enumerate() {
        let whole = 1000_u64.pow(u32::try_from(at).unwrap_or(0));
        amount = octets / whole;
        if amount < 10 && at > 0 {
            return format!("{amount}.{} {unit}", octets % whole / (whole / 10));
        }
        if amount < 1000 {
            return format!("{amount} {unit}");
        }
    }
    format!("{amount} TB")
}

/// `0.41 s`, `73 s`.
pub(super) fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0..=9 => format!("{:.2} s", duration.as_secs_f64()),
        whole => format!("{whole} s"),
    }
}

/// A moment, given in seconds since 1970: `2026-11-20 08:49 UTC`.
pub(super) fn utc(moment: i64) -> String {
    let (days, second) = (moment.div_euclid(86400), moment.rem_euclid(86400));
    // Days are counted from 1 March of the year 0, so that a leap day is the last one of its year: then a year of 365.2425
    // days and a month of 30.6 days on average give the date (the proleptic Gregorian calendar).
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (amount, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (1999, "1.9 kB"),
            (18_233, "18 kB"),
            (999_999, "999 kB"),
            (61_000_000, "61 MB"),
            (7_250_000_000, "7.2 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(octets(amount), text);
        }
    }

    #[test]
    fn moments_are_dates() {
        for (moment, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_795_164_545, "2026-11-20 08:49 UTC"),
            (4_107_542_399, "2100-02-28 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (-1, "1969-12-31 23:59 UTC"),
        ] {
            assert_eq!(utc(moment), text, "{moment}");
        }
    }

    #[test]
    fn short_times_are_exact() {
        for (milliseconds, text) in [(0, "0.00 s"), (412, "0.41 s"), (9999, "10.00 s"), (73_400, "73 s")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), text);
        }
    }
}
