//! Modified UTF-7, in which servers without UTF8=ACCEPT and many trees of Maildirs spell names (RFC 3501 §5.1.3).

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;

/// Base64 with `,` for `/` and without padding; bits left over must be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// Why a name is no modified UTF-7, or not the one spelling that its characters have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// An octet that is no printable ASCII.
    #[error("it holds an octet that is not printable ASCII")]
    Octet,
    /// `&` without a `-` that ends what it begins.
    #[error("an '&' in it has no '-'")]
    Unterminated,
    /// What stands between `&` and `-` is not base64.
    #[error("between '&' and '-' there is no base64")]
    Base64,
    /// What stands between `&` and `-` is not UTF-16.
    #[error("between '&' and '-' there is no UTF-16")]
    Utf16,
    /// There is a shorter or plainer way to spell it. Two spellings of one name would be two mailboxes.
    #[error("it is not spelled as RFC 3501 demands")]
    NotCanonical,
}

/// Reads a name. Whatever is accepted comes out of [`encode`] octet by octet as it was.
pub fn decode(name: &[u8]) -> Result<String, InvalidName> {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        rest = match first {
            b'&' => {
                let end = memchr::memchr(b'-', behind).ok_or(InvalidName::Unterminated)?;
                match &behind[..end] {
                    b"" => text.push('&'),
                    run => text.push_str(&decode_run(run)?),
                }
                &behind[end + 1..]
            }
            b' '..=b'~' => {
                text.push(char::from(*first));
                behind
            }
            _ => return Err(InvalidName::Octet),
        };
    }
    if encode(&text) == name { Ok(text) } else { Err(InvalidName::NotCanonical) }
}

fn decode_run(run: &[u8]) -> Result<String, InvalidName> {
    let octets = BASE64.decode(run).map_err(|_| InvalidName::Base64)?;
    let (pairs, odd) = octets.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(InvalidName::Utf16);
    }
    char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
        .collect::<Result<String, _>>()
        .map_err(|_| InvalidName::Utf16)
}

/// Spells a name: printable ASCII as itself, `&` as `&-`, everything else in runs as long as can be.
pub fn encode(name: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = |character| matches!(character, ' '..='~');
        let end = match plain(first) {
            true => first.len_utf8(),
            false => rest.find(plain).unwrap_or(rest.len()),
        };
        let (run, behind) = rest.split_at(end);
        match run {
            "&" => octets.extend_from_slice(b"&-"),
            run if plain(first) => octets.extend_from_slice(run.as_bytes()),
            run => {
                let units: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
                octets.push(b'&');
                octets.extend_from_slice(BASE64.encode(units).as_bytes());
                octets.push(b'-');
            }
        }
        rest = behind;
    }
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_spelled_as_the_rfc_says() {
        for (wire, name) in [
            ("", ""),
            ("INBOX", "INBOX"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("&-", "&"),
            ("a&-b&-&-", "a&b&&"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("&AOk-&-&AOk-", "é&é"),
            ("&2D3eAA-", "😀"),
            ("&2D3eANg93gE-", "😀😁"),
            ("&AAo-", "\n"),
            ("&AAA-", "\0"),
            ("&AH8-", "\u{7f}"),
            ("a{5} \"\\%*", "a{5} \"\\%*"),
            ("&Jjo-!", "☺!"),
        ] {
            assert_eq!(decode(wire.as_bytes()).as_deref(), Ok(name), "{wire}");
            assert_eq!(encode(name), wire.as_bytes(), "{name}");
        }
    }

    #[test]
    fn what_is_not_the_one_spelling_is_refused() {
        for (wire, why) in [
            (&b"&"[..], InvalidName::Unterminated),
            (b"a&AOk", InvalidName::Unterminated),
            (b"&&-", InvalidName::Base64),
            (b"&!!!-", InvalidName::Base64),
            (b"&AO/-", InvalidName::Base64),
            (b"&AOk=-", InvalidName::Base64),
            (b"&A-", InvalidName::Base64),
            (b"&AOl-", InvalidName::Base64),
            (b"&AO-", InvalidName::Base64),
            (b"&AA-", InvalidName::Utf16),
            (b"&AOkA-", InvalidName::Utf16),
            (b"&2D0-", InvalidName::Utf16),
            (b"&3gA-", InvalidName::Utf16),
            (b"&3gDYPQ-", InvalidName::Utf16),
            (b"&2D0AYQ-", InvalidName::Utf16),
            (b"&2D3YPQ-", InvalidName::Utf16),
            (b"&AGE-", InvalidName::NotCanonical),
            (b"&ACY-", InvalidName::NotCanonical),
            (b"&AOkAYQ-", InvalidName::NotCanonical),
            (b"&AOk-&AOk-", InvalidName::NotCanonical),
            (b"caf\xe9", InvalidName::Octet),
            (b"caf\xc3\xa9", InvalidName::Octet),
            (b"a\0", InvalidName::Octet),
            (b"a\nb", InvalidName::Octet),
            (b"\x7f", InvalidName::Octet),
        ] {
            assert_eq!(decode(wire), Err(why), "{}", wire.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in any::<String>()) {
            let wire = encode(&name);
            prop_assert!(wire.iter().all(|octet| matches!(octet, b' '..=b'~')));
            prop_assert_eq!(decode(&wire), Ok(name));
        }

        #[test]
        fn what_is_accepted_has_one_spelling(wire in "[&A-D,+/a=-]{0,12}") {
            if let Ok(name) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&name), wire.as_bytes());
            }
        }

        #[test]
        fn any_octets_never_panic(wire in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&wire);
        }
    }
}
