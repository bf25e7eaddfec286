//! Line ends: LF on the disk, CRLF on the wire, converted in pieces of any size.
//!
//! What came from the wire without a bare LF goes back as it came: CRLF becomes LF and LF becomes CRLF, except where another
//! CR stands before it. CR CR LF stays as it is both ways, and so does a CR that ends no line.

use memchr::{memchr, memchr_iter};

use crate::store::Form;

/// Converts a message that came from the wire.
#[derive(Debug, Default)]
pub(super) struct ToDisk {
    last: Last,
}

/// What the octets so far end with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    /// No CR.
    #[default]
    Other,
    /// One CR, which is held back: it is left out if LF follows.
    HeldCr,
    /// Several CRs, all of them written: an LF behind them changes nothing.
    WrittenCrs,
}

impl ToDisk {
    /// Takes the next octets and appends what they become to `out`.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some((first, behind)) = rest.split_first() {
            match (self.last, first) {
                (Last::Other, _) => {
                    let plain = memchr(b'\r', rest).unwrap_or(rest.len());
                    out.extend_from_slice(&rest[..plain]);
                    rest = match rest.get(plain + 1..) {
                        Some(behind) => {
                            self.last = Last::HeldCr;
                            behind
                        }
                        None => &[],
                    };
                    continue;
                }
                (Last::HeldCr, b'\r') => {
                    out.extend_from_slice(b"\r\r");
                    self.last = Last::WrittenCrs;
                }
                (Last::HeldCr, b'\n') => {
                    out.push(b'\n');
                    self.last = Last::Other;
                }
                (Last::HeldCr, other) => {
                    out.extend_from_slice(&[b'\r', *other]);
                    self.last = Last::Other;
                }
                (Last::WrittenCrs, octet) => {
                    out.push(*octet);
                    self.last = if *octet == b'\r' { Last::WrittenCrs } else { Last::Other };
                }
            }
            rest = behind;
        }
    }

    /// Ends the message: a CR that was held back is its last octet.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        if self.last == Last::HeldCr {
            out.push(b'\r');
        }
    }
}

/// Converts a message that came from the disk. Nothing is held back: it may end after any octet.
#[derive(Debug, Default)]
pub(super) struct ToWire {
    /// The last octet so far; 0 before the first.
    last: u8,
}

impl ToWire {
    /// Takes the next octets and appends what they become to `out`.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut written = 0;
        for at in memchr_iter(b'\n', octets) {
            out.extend_from_slice(&octets[written..at]);
            let line_end: &[u8] = if before(octets, at, self.last) == b'\r' { b"\n" } else { b"\r\n" };
            out.extend_from_slice(line_end);
            written = at + 1;
        }
        out.extend_from_slice(&octets[written..]);
        self.last = octets.last().copied().unwrap_or(self.last);
    }
}

/// Measures what a message from the disk is on the wire, without making it.
#[derive(Debug, Default)]
pub(super) struct Measure {
    octets: u64,
    last: u8,
    holds_nul: bool,
}

impl Measure {
    /// Takes the next octets.
    pub(super) fn push(&mut self, octets: &[u8]) {
        let bare = memchr_iter(b'\n', octets).filter(|at| before(octets, *at, self.last) != b'\r').count();
        self.octets += as_u64(octets.len()) + as_u64(bare);
        self.holds_nul = self.holds_nul || memchr(0, octets).is_some();
        self.last = octets.last().copied().unwrap_or(self.last);
    }

    /// The size on the wire so far, in octets.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// What can carry the octets so far.
    pub(super) fn form(&self) -> Form {
        if self.holds_nul { Form::Binary } else { Form::Text }
    }
}

/// The octet before the one at `at`, which may be the last one of the piece before.
fn before(octets: &[u8], at: usize, last: u8) -> u8 {
    at.checked_sub(1).map_or(last, |before| octets[before])
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).expect("a length in memory fits into 64 bits")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// Cuts octets into pieces of these lengths, again and again; a length of 0 gives an empty piece.
    fn cut<'a>(octets: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        let mut rest = octets;
        for length in lengths.iter().cycle() {
            let (piece, behind) = rest.split_at(rest.len().min(*length));
            pieces.push(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        pieces
    }

    fn to_disk(wire: &[u8], lengths: &[usize]) -> Vec<u8> {
        let (mut conversion, mut out) = (ToDisk::default(), Vec::new());
        cut(wire, lengths).into_iter().for_each(|piece| conversion.push(piece, &mut out));
        conversion.finish(&mut out);
        out
    }

    fn to_wire(disk: &[u8], lengths: &[usize]) -> Vec<u8> {
        let (mut conversion, mut out) = (ToWire::default(), Vec::new());
        cut(disk, lengths).into_iter().for_each(|piece| conversion.push(piece, &mut out));
        out
    }

    fn measured(disk: &[u8], lengths: &[usize]) -> (u64, Form) {
        let mut measure = Measure::default();
        cut(disk, lengths).into_iter().for_each(|piece| measure.push(piece));
        (measure.octets(), measure.form())
    }

    const WHOLE: &[usize] = &[usize::MAX];

    /// Every LF has a CR before it.
    fn has_no_bare_lf(octets: &[u8]) -> bool {
        memchr_iter(b'\n', octets).all(|at| before(octets, at, 0) == b'\r')
    }

    /// No LF has exactly one CR before it.
    fn has_no_crlf(octets: &[u8]) -> bool {
        memchr_iter(b'\n', octets).all(|at| octets[..at].iter().rev().take_while(|octet| **octet == b'\r').count() != 1)
    }

    #[test]
    fn line_ends_change_and_nothing_else_does() {
        for (wire, disk) in [
            ("", ""),
            ("\r\n", "\n"),
            ("a\r\nb\r\n\r\nc", "a\nb\n\nc"),
            ("\r", "\r"),
            ("a\r", "a\r"),
            ("\ra", "\ra"),
            ("a\rb\r\n", "a\rb\n"),
            ("\r\r\n", "\r\r\n"),
            ("a\r\r\nb", "a\r\r\nb"),
            ("\r\r\r\n", "\r\r\r\n"),
            ("\r\r\n\r\n", "\r\r\n\n"),
            ("\r\n\r", "\n\r"),
            ("\r\r", "\r\r"),
            ("\r\n\r\r\n\r\n", "\n\r\r\n\n"),
            ("\0\r\n\0", "\0\n\0"),
        ] {
            assert_eq!(to_disk(wire.as_bytes(), WHOLE), disk.as_bytes(), "{wire:?}");
            assert_eq!(to_wire(disk.as_bytes(), WHOLE), wire.as_bytes(), "{disk:?}");
            assert_eq!(measured(disk.as_bytes(), WHOLE).0, as_u64(wire.len()), "{disk:?}");
        }
    }

    #[test]
    fn bare_line_ends_become_those_of_the_place() {
        assert_eq!(to_disk(b"a\nb\r\nc", WHOLE), b"a\nb\nc");
        assert_eq!(to_wire(b"a\nb\r\nc", WHOLE), b"a\r\nb\r\nc");
    }

    #[test]
    fn a_line_end_may_lie_between_two_pieces() {
        for (first, second, disk) in [
            ("a\r", "\nb", "a\nb"),
            ("a\r", "\r\nb", "a\r\r\nb"),
            ("a\r\r", "\nb", "a\r\r\nb"),
            ("a\r", "b", "a\rb"),
            ("a\r", "", "a\r"),
        ] {
            let (mut conversion, mut out) = (ToDisk::default(), Vec::new());
            conversion.push(first.as_bytes(), &mut out);
            conversion.push(b"", &mut out);
            conversion.push(second.as_bytes(), &mut out);
            conversion.finish(&mut out);
            assert_eq!(out, disk.as_bytes(), "{first:?} {second:?}");
        }
        assert_eq!(to_wire(b"a\r\nb", &[2]), b"a\r\nb");
        assert_eq!(measured(b"a\r\nb", &[2]).0, 4);
    }

    #[test]
    fn nul_makes_a_message_binary() {
        assert_eq!(measured(b"a\nb", WHOLE), (4, Form::Text));
        assert_eq!(measured(b"a\0\nb", &[1]), (5, Form::Binary), "wherever it is");
        assert_eq!(measured(b"", WHOLE), (0, Form::Text));
    }

    #[test]
    fn a_large_message_takes_no_time() {
        let disk = "a line of text as it is in mail, of seventy-six characters or so, at most.\n".repeat(200_000);
        let start = Instant::now();
        let wire = to_wire(disk.as_bytes(), &[65_536]);
        assert_eq!(measured(disk.as_bytes(), &[65_536]).0, as_u64(wire.len()));
        assert!(to_disk(&wire, &[65_536]) == disk.as_bytes());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    fn mail() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"\r\r\r\n\n\n\0ab".to_vec()), 0..60)
    }

    fn lengths() -> impl Strategy<Value = Vec<usize>> {
        (prop::collection::vec(0usize..5, 0..8), 1usize..5).prop_map(|(mut lengths, last)| {
            lengths.push(last);
            lengths
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn pieces_make_no_difference(mail in mail(), lengths in lengths()) {
            prop_assert_eq!(to_disk(&mail, &lengths), to_disk(&mail, WHOLE));
            prop_assert_eq!(to_wire(&mail, &lengths), to_wire(&mail, WHOLE));
            prop_assert_eq!(measured(&mail, &lengths), measured(&mail, WHOLE));
        }

        #[test]
        fn what_came_from_the_wire_goes_back_as_it_came(mail in mail(), lengths in lengths()) {
            let wire = to_wire(&mail, WHOLE);
            prop_assert!(has_no_bare_lf(&wire));
            prop_assert_eq!(to_wire(&to_disk(&wire, &lengths), &lengths), wire);
        }

        #[test]
        fn what_came_from_the_disk_goes_back_as_it_came(mail in mail(), lengths in lengths()) {
            let disk = to_disk(&mail, WHOLE);
            prop_assert!(has_no_crlf(&disk));
            prop_assert_eq!(to_disk(&to_wire(&disk, &lengths), &lengths), disk);
        }

        #[test]
        fn a_message_is_as_large_as_was_measured(mail in mail(), lengths in lengths()) {
            let form = if mail.contains(&0) { Form::Binary } else { Form::Text };
            prop_assert_eq!(measured(&mail, &lengths), (as_u64(to_wire(&mail, WHOLE).len()), form));
        }

        // The two above begin with what a conversion made; these begin with anything.
        #[test]
        fn mail_without_the_other_line_end_goes_round(mail in mail()) {
            if has_no_bare_lf(&mail) {
                prop_assert_eq!(&to_wire(&to_disk(&mail, WHOLE), WHOLE), &mail);
            }
            if has_no_crlf(&mail) {
                prop_assert_eq!(&to_disk(&to_wire(&mail, WHOLE), WHOLE), &mail);
            }
        }
    }
}
