//! Who a message is when its UID is unknown: its date of arrival, its size and the lines that identify it.

use std::fmt;

use sha2::{Digest, Sha256};

/// When a message was received (INTERNALDATE, RFC 9051 §2.3.3): an instant, and the zone it was written in.
/// Two of them are equal when the instants are; servers answer in zones of their own.
#[derive(Clone, Copy)]
pub struct InternalDate {
    /// Seconds since 1970-01-01 00:00 UTC, years 0 … 9999, and in the low bits the minutes east of UTC, -1439 … 1439, above
    /// the lowest that fit: there may be a million of these in memory.
    packed: i64,
}

impl InternalDate {
    /// The first second of 1970, before which some servers know no date.
    pub const EPOCH: InternalDate = InternalDate::packed(0, 0);

    const ZONE_BITS: u32 = 12;
    const ZONE_0: i64 = 1 << (InternalDate::ZONE_BITS - 1);

    const fn packed(instant: i64, zone: i64) -> InternalDate {
        InternalDate { packed: instant << InternalDate::ZONE_BITS | (zone + InternalDate::ZONE_0) }
    }

    /// Minutes east of UTC.
    fn zone(self) -> i64 {
        (self.packed & ((1 << InternalDate::ZONE_BITS) - 1)) - InternalDate::ZONE_0
    }

    /// The date at `instant` seconds since 1970, written in UTC. `None` outside of the years 0 … 9999.
    pub fn from_unix(instant: i64) -> Option<InternalDate> {
        const YEAR_0: i64 = -62_167_219_200;
        const YEAR_10000: i64 = 253_402_300_800;
        (YEAR_0..YEAR_10000).contains(&instant).then(|| InternalDate::packed(instant, 0))
    }

    /// Seconds since 1970-01-01 00:00 UTC.
    pub fn unix(self) -> i64 {
        self.packed >> InternalDate::ZONE_BITS
    }

    /// Reads a `date-time` without its quotes: `17-Jul-1996 02:44:25 -0700` (RFC 9051 §9; a day below ten may be
    /// padded with a blank). `None` where a field is not what the grammar says, and where the zone moves the instant
    /// out of the years 0 … 9999.
    pub fn parse(text: &str) -> Option<InternalDate> {
        let (date, rest) = text.trim_start().split_once(' ')?;
        let (time, zone) = rest.split_once(' ')?;
        let mut parts = date.split('-');
        let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
        let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
        let mut clock = time.split(':');
        let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
        if parts.next().is_some() || clock.next().is_some() || year.len() != 4 || zone.len() != 5 {
            return None;
        }
        let sign = match zone.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let zone_hours = number(zone.get(1..3)?, 0..=23)?;
        let zone_minutes = number(zone.get(3..5)?, 0..=59)?;
        let zone = sign * (zone_hours * 60 + zone_minutes);
        let days = days_from_civil(number(year, 0..=9999)?, month as i64 + 1, number(day, 1..=31)?);
        // A leap second is written as 60; it is the instant after 59.
        let seconds = number(hour, 0..=23)? * 3600 + number(minute, 0..=59)? * 60 + number(second, 0..=60)?;
        let date = InternalDate::from_unix(days * 86400 + seconds - zone * 60)?;
        Some(InternalDate::packed(date.unix(), zone))
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| range.contains(number))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that a leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

impl PartialEq for InternalDate {
    fn eq(&self, other: &InternalDate) -> bool {
        self.unix() == other.unix()
    }
}

impl Eq for InternalDate {}

impl PartialOrd for InternalDate {
    fn partial_cmp(&self, other: &InternalDate) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InternalDate {
    fn cmp(&self, other: &InternalDate) -> std::cmp::Ordering {
        self.unix().cmp(&other.unix())
    }
}

/// The `date-time` of APPEND without its quotes, in the zone it was read in.
impl fmt::Display for InternalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone();
        let local = self.unix() + zone * 60;
        let (year, month, day) = civil_from_days(local.div_euclid(86400));
        let seconds = local.rem_euclid(86400);
        let month = MONTHS.get(month as usize - 1).copied().unwrap_or("Jan");
        let sign = if zone < 0 { '-' } else { '+' };
        write!(
            f,
            "{day:02}-{month}-{year:04} {:02}:{:02}:{:02} {sign}{:02}{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            zone.abs() / 60,
            zone.abs() % 60
        )
    }
}

impl fmt::Debug for InternalDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A digest of the header lines by which a message is known again, tolerant of what servers do to headers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderDigest([u8; 16]);

impl HeaderDigest {
    /// The fields that go into the digest; what a store must be able to give of any message.
    pub const FIELDS: [&'static str; 5] = ["Date", "From", "Message-ID", "Subject", "To"];

    /// Digests the identifying fields of a header, or of any part of it that holds them all. What follows an empty
    /// line is no header. Octets that servers replace (8-bit by `X` on Cyrus, NUL by 0x80 on Dovecot) count as one,
    /// white space and folding do not count at all.
    pub fn of(header: &[u8]) -> HeaderDigest {
        HeaderDigest::of_fields(header, &HeaderDigest::FIELDS)
    }

    /// The same of these fields only; of a header without any of them it is that of no header.
    pub fn of_fields(header: &[u8], fields: &[&str]) -> HeaderDigest {
        let mut found: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut open = false;
        for line in header.split(|b| *b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                if let (true, Some((_, value))) = (open, found.last_mut()) {
                    value.extend(line.iter().copied().filter_map(folded));
                }
                continue;
            }
            let field = line.iter().position(|b| *b == b':').and_then(|colon| {
                let name = line[..colon].trim_ascii_end();
                let at = fields.iter().position(|field| name.eq_ignore_ascii_case(field.as_bytes()))?;
                Some((at, line[colon + 1..].iter().copied().filter_map(folded).collect()))
            });
            open = field.is_some();
            found.extend(field);
        }
        // Servers may answer the fields in the order of the request instead of the message's.
        found.sort_by_key(|(field, _)| *field);
        let mut digest = Sha256::new();
        for (field, value) in &found {
            digest.update([*field as u8]);
            digest.update(value);
            digest.update([0]);
        }
        let mut short = [0; 16];
        short.copy_from_slice(&digest.finalize()[..16]);
        HeaderDigest(short)
    }

    /// The digest as it is stored.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The inverse of [`HeaderDigest::to_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> HeaderDigest {
        HeaderDigest(bytes)
    }
}

/// An octet of a header value as the digest sees it; `None` where it does not count.
fn folded(octet: u8) -> Option<u8> {
    match octet {
        b' ' | b'\t' | b'\r' => None,
        0 | 0x80.. => Some(b'X'),
        octet => Some(octet),
    }
}

impl fmt::Debug for HeaderDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// What is cheap to ask of a message: two that differ in it are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Measure {
    /// Octets of the message, line ends as CRLF (RFC822.SIZE).
    pub size: u64,
    /// When it was received.
    pub internal_date: InternalDate,
}

/// Who a message is when its UID is unknown. Equal fingerprints mean equal messages for every decision we take but one:
/// which of several is the copy that we have appended. Else messages with equal fingerprints are interchangeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    /// Octets of the message, line ends as CRLF (RFC822.SIZE).
    pub size: u64,
    /// When it was received.
    pub internal_date: InternalDate,
    /// The lines that identify it.
    pub header: HeaderDigest,
}

impl Fingerprint {
    /// What of it is cheap to ask for.
    pub fn measure(&self) -> Measure {
        Measure { size: self.size, internal_date: self.internal_date }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_instants() {
        let at = |text| InternalDate::parse(text).unwrap();
        assert_eq!(at("17-Jul-1996 02:44:25 -0700"), at("17-Jul-1996 09:44:25 +0000"));
        assert_eq!(at(" 1-Jan-1970 00:00:00 +0000").unix(), 0);
        assert_eq!(at("01-jan-1970 05:30:00 +0530").unix(), 0);
        assert_eq!(at("29-Feb-2024 12:00:00 +0000").unix(), 1_709_208_000);
        assert_eq!(at("31-Dec-2016 23:59:60 +0000"), at("01-Jan-2017 00:00:00 +0000"));
    }

    #[test]
    fn dates_are_written_as_they_were_read() {
        for text in [
            "17-Jul-1996 02:44:25 -0700",
            "01-Jan-1900 00:00:00 +0000",
            "31-Dec-2100 23:59:59 +1400",
            "29-Feb-2000 00:00:01 -0030",
            "01-Mar-1969 00:00:00 +0545",
        ] {
            assert_eq!(InternalDate::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "17-Jul-1996",
            "17-Jul-1996 02:44:25",
            "17-Jux-1996 02:44:25 -0700",
            "32-Jul-1996 02:44:25 -0700",
            "17-Jul-96 02:44:25 -0700",
            "17-Jul-1996 24:44:25 -0700",
            "17-Jul-1996 02:44:25 0700",
            "17-Jul-1996 02:44:25 -07é",
            "+1-Jul-1996 02:44:25 -0700",
            "17-Jul-1996 02:44:25 -0799",
            "01-Jan-0000 00:00:00 +0001",
            "31-Dec-9999 23:59:59 -0001",
        ] {
            assert!(InternalDate::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_digest_survives_what_servers_do_to_headers() {
        let of = |text: &[u8]| HeaderDigest::of(text);
        let original =
            of(b"Received: x\r\nFrom: M\xfcller <a@b>\r\nSubject: one\r\n two\r\nMessage-ID: <1@x>\r\n\r\nFrom: c\r\n");
        for same in [
            &b"subject:one two\r\nmessage-id:  <1@x>\r\nfrom: MXller <a@b>\r\n"[..],
            b"From: M\xfcller <a@b>\nSubject: one\n\ttwo\nMessage-ID: <1@x>\nX-Other: y\n z\n",
        ] {
            assert_eq!(of(same), original, "{}", String::from_utf8_lossy(same));
        }
        for other in [
            &b"From: M\xfcller <a@b>\r\nSubject: one\r\nMessage-ID: <1@x>\r\n"[..],
            b"From: M\xfcller <a@b>\r\nSubject: one two\r\nMessage-ID: <2@x>\r\n",
            b"",
        ] {
            assert_ne!(of(other), original, "{}", String::from_utf8_lossy(other));
        }
    }
}
