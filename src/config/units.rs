//! Numbers with a unit: `"60s"`, `"50%"`, `"100 messages"`.

use std::time::Duration;

use crate::plan::MaxDelete;

/// Reads a span of time, `"90s"`, `"5m"`, `"1h"`, `"30d"`. Fails with what to write instead.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const HELP: &str = "write a whole number and its unit, one of s, m, h, d: \"60s\"";
    let (number, unit) = split(text).ok_or(HELP)?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(HELP),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or(HELP)
}

/// Reads how much may be expunged at once, `"50%"` or `"100 messages"`. Fails with what to write instead.
pub(super) fn max_delete(text: &str) -> Result<MaxDelete, &'static str> {
    const HELP: &str = "write a share of the mailbox, \"50%\", or a number of messages, \"100 messages\"";
    let (number, unit) = split(text).ok_or(HELP)?;
    match (unit, u8::try_from(number)) {
        ("%", Ok(percent @ 0..=100)) => Ok(MaxDelete::Percent(percent)),
        ("messages" | "message", _) => Ok(MaxDelete::Messages(number)),
        _ => Err(HELP),
    }
}

/// Cuts `"60 s"` into 60 and `s`.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.len() - text.trim_start_matches(|sign: char| sign.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, seconds) in [
            ("60s", Some(60)),
            ("0s", Some(0)),
            ("5m", Some(300)),
            ("5 min", Some(300)),
            ("2h", Some(7200)),
            ("30d", Some(2_592_000)),
            ("60", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5h", None),
            ("60x", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(duration(text).ok().map(|duration| duration.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn a_share_and_a_number_of_messages_are_told_apart() {
        for (text, limit) in [
            ("50%", Some(MaxDelete::Percent(50))),
            ("0 %", Some(MaxDelete::Percent(0))),
            ("100%", Some(MaxDelete::Percent(100))),
            ("101%", None),
            ("256%", None),
            ("100 messages", Some(MaxDelete::Messages(100))),
            ("1 message", Some(MaxDelete::Messages(1))),
            ("100", None),
            ("%", None),
        ] {
            assert_eq!(max_delete(text).ok(), limit, "{text}");
        }
    }
}
