//! Any octets, in any pieces: the framer never panics, says the same whatever the pieces, and what it frames can be
//! given to the parser. The first octet of the input chooses the pieces; 0xFE stands for 64 KiB of it, so that inputs
//! which stay small can let a body pass by.

#![no_main]

use interimap::store::imap::frame::{Event, FrameError, Framer};
use interimap::store::imap::parse::{parse, parse_head};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((piece, octets)) = input.split_first() else { return };
    let long = expanded(octets);
    let piece = (usize::from(*piece % 16) + 1) * if long.len() > octets.len() { 4099 } else { 1 };
    let (events, error) = cut(&long, usize::MAX);
    assert!(cut(&long, piece) == (events.clone(), error), "the pieces matter");
    for event in events {
        match event {
            Event::Frame(frame) => drop(parse(&frame)),
            Event::BodyStart { head, .. } => drop(parse_head(&head)),
            Event::BodyChunk(_) | Event::BodyEnd => {}
        }
    }
});

fn expanded(octets: &[u8]) -> Vec<u8> {
    const MOST: usize = 5;
    let mut long = Vec::new();
    for (at, part) in octets.split(|octet| *octet == 0xfe).enumerate() {
        if (1..=MOST).contains(&at) {
            long.resize(long.len() + 64 * 1024, 0xfe);
        }
        long.extend_from_slice(part);
    }
    long
}

/// The events of the octets in pieces of that size; chunks of one body are joined.
fn cut(octets: &[u8], piece: usize) -> (Vec<Event>, Option<FrameError>) {
    let mut framer = Framer::new();
    let mut events: Vec<Event> = Vec::new();
    let mut rest = octets;
    loop {
        match framer.next() {
            Ok(Some(Event::BodyChunk(octets))) => match events.last_mut() {
                Some(Event::BodyChunk(before)) => *before = [&before[..], &octets[..]].concat().into(),
                _ => events.push(Event::BodyChunk(octets)),
            },
            Ok(Some(event)) => events.push(event),
            Ok(None) if rest.is_empty() => return (events, None),
            Ok(None) => {
                let space = framer.space();
                let size = piece.min(space.len()).min(rest.len());
                let (now, later) = rest.split_at(size);
                space[..size].copy_from_slice(now);
                framer.filled(size);
                rest = later;
            }
            Err(error) => return (events, Some(error)),
        }
    }
}
