//! Any octets as a mailbox's name: what is accepted has one spelling, and every name comes back.

#![no_main]

use interimap::store::mutf7::{decode, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    if let Ok(name) = decode(octets) {
        assert_eq!(encode(&name), octets);
    }
    if let Ok(name) = std::str::from_utf8(octets) {
        assert_eq!(decode(&encode(name)).as_deref(), Ok(name));
    }
});
