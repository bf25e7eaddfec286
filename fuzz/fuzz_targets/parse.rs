//! Any octets as one response: the parser never panics, and what it gives keeps its promises.

#![no_main]

use interimap::store::imap::frame::{Frame, Passed};
use interimap::store::imap::parse::{PRINTABLE_LIMIT, parse, parse_head, printable};
use interimap::store::imap::response::{Code, LiteralKind, Response};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let shown = printable(octets);
    assert!(shown.len() <= PRINTABLE_LIMIT && !shown.chars().any(char::is_control));
    match parse(&Frame { octets: octets.to_vec().into(), passed: None }) {
        Ok(Response::Vanished { uids, .. }) => assert!(!uids.is_empty()),
        Ok(Response::Tagged { code: Some(Code::CopyUid(_, source, target)), .. }) => {
            assert!(!source.is_empty() && source.len() == target.len());
        }
        Ok(_) => {}
        Err(error) => assert!(error.at <= octets.len() && !error.to_string().contains('\n')),
    }
    if let Ok(head) = parse_head(octets) {
        assert_eq!(head.body, None);
    }
    // A literal whose octets went past may stand at the end of any line.
    if let Some(end) = octets.iter().position(|octet| *octet == b'\n') {
        let passed = Some(Passed { at: end + 1, size: 300_000, literal: LiteralKind::Text });
        drop(parse(&Frame { octets: octets.to_vec().into(), passed }));
    }
});
