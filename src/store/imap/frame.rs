//! Cuts the octets of a connection into responses. It does no input or output, and knows of IMAP no more than lines,
//! quotes and literals: what a response means is `parse`'s business.
//!
//! ```text
//!  space, filled            next
//!  ───────────────▶ buffer ───────▶ skeleton and kept literals ───────▶ Event::Frame
//!                          └──────▶ the octets of a large BODY[] ─────▶ BodyStart, BodyChunk …, BodyEnd
//! ```
//!
//! Every octet is looked at once, whatever the pieces in which it arrives. Memory grows with the octets received, never
//! with those announced, and is given back after a large response. All state is in the [`Framer`], so that a read may
//! be given up at any point without losing half a line.

use bytes::Bytes;
use memchr::{memchr, memrchr};

use super::response::LiteralKind;
use crate::store::Body;

/// Most octets of one response without its literals. The longest that we ask for is a FETCH with all its flags, or a
/// COPYUID of many holes.
pub const LINE_LIMIT: usize = 1024 * 1024;

/// The same for SEARCH, ESEARCH, SORT and VANISHED, which list UIDs: a server without ESEARCH answers with three
/// million UIDs of ten digits in so much, and a hostile one cannot make us hold more.
pub const NUMBERS_LIMIT: usize = 32 * 1024 * 1024;

/// Most octets of one literal outside of FETCH: names of mailboxes, values of ID.
pub const LITERAL_LIMIT: u64 = 64 * 1024;

/// Most octets of one literal of a FETCH that is not BODY[]: a header. Ten thousand recipients fit.
pub const HEADER_LIMIT: u64 = 4 * 1024 * 1024;

/// Most octets of all kept literals of one response together.
pub const KEPT_LIMIT: u64 = 8 * 1024 * 1024;

/// Most literals of one response.
pub const LITERALS_LIMIT: usize = 1024;

/// Most octets of a message that passes by. IMAP4rev1 cannot announce more than 4 GiB; IMAP4rev2 can.
pub const MESSAGE_LIMIT: u64 = 16 * 1024 * 1024 * 1024;

/// Most octets of one [`Event::BodyChunk`].
pub const CHUNK_LIMIT: usize = 64 * 1024;

/// The room for reading on a connection that says little.
const ROOM: usize = 16 * 1024;

/// The room for reading on a connection that fills [`ROOM`].
const WIDE_ROOM: usize = 64 * 1024;

/// How much of a response is looked at to tell its kind.
const KIND_WINDOW: usize = 64;

/// What the framer found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// One complete response.
    Frame(Frame),
    /// The octets of a BODY[] of more than [`Body::WHOLE_LIMIT`] are about to pass by.
    BodyStart {
        /// The response so far, up to and without the announcement (`{n}`, `~{n}`).
        head: Bytes,
        /// How many octets were announced.
        size: u64,
        /// How they were announced.
        literal: LiteralKind,
    },
    /// Some of them: 1 to [`CHUNK_LIMIT`].
    BodyChunk(Bytes),
    /// They were all of them. The rest of the response follows as [`Event::Frame`].
    BodyEnd,
}

/// One complete response, without the CRLF at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The lines, and the literals between them, as received.
    pub octets: Bytes,
    /// The literal whose octets went past and are missing in `octets`.
    pub passed: Option<Passed>,
}

/// Where a literal's octets are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The offset at which they would stand: directly behind `{n}` and its line end.
    pub at: usize,
    /// How many there were.
    pub size: u64,
    /// How they were announced.
    pub literal: LiteralKind,
}

/// Why the framer gave up. The connection is out of step then and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// See [`LINE_LIMIT`] and [`NUMBERS_LIMIT`].
    #[error("the server sent a response line of more than {limit} octets")]
    LineTooLong {
        /// The limit of that kind of response.
        limit: usize,
    },
    /// See [`LITERAL_LIMIT`] and [`HEADER_LIMIT`].
    #[error("the server announced a literal of {size} octets where at most {limit} are read")]
    LiteralTooLarge {
        /// What was announced.
        size: u64,
        /// The limit at that place.
        limit: u64,
    },
    /// See [`KEPT_LIMIT`].
    #[error("the server sent literals of more than {KEPT_LIMIT} octets in one response")]
    TooMuchKept,
    /// See [`LITERALS_LIMIT`].
    #[error("the server sent more than {LITERALS_LIMIT} literals in one response")]
    TooManyLiterals,
    /// See [`MESSAGE_LIMIT`].
    #[error("the server announced a message of {size} octets; at most {MESSAGE_LIMIT} are read")]
    MessageTooLarge {
        /// What was announced.
        size: u64,
    },
    /// Two bodies too large to be kept in one response.
    #[error("the server sent two large message bodies in one response")]
    SecondBody,
    /// What looks like the announcement of a literal is none that can be relied on: `{-1}`, `{ 5}`, `a{5}`.
    #[error("the server announced a literal in a form that cannot be relied on")]
    Announcement,
}

/// Cuts octets into responses.
#[derive(Debug, Default)]
pub struct Framer {
    /// Octets received and not yet looked at are `buffer[taken..received]`; what is behind is room for more.
    buffer: Vec<u8>,
    taken: usize,
    received: usize,
    /// Whether the last read filled all the room it was given.
    hungry: bool,
    /// The response so far.
    response: Vec<u8>,
    /// Where in `response` the line begins that is being read: 0, or behind a literal.
    line: usize,
    /// How many octets of `response` are those of literals.
    kept: usize,
    /// How many literals the response holds so far.
    literals: usize,
    passed: Option<Passed>,
    place: Place,
    failure: Option<FrameError>,
    /// How many octets were looked at or moved, for the tests that hold the work linear.
    #[cfg(test)]
    work: usize,
}

/// What the next octet belongs to.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// A line.
    #[default]
    Line,
    /// A literal that is kept, of which so many octets are missing.
    Kept { missing: usize },
    /// A literal that passes by, of which so many octets are missing.
    Passing { missing: u64 },
}

impl Framer {
    /// A framer that has seen nothing.
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Room to read into: initialised and never empty. Call [`Framer::next`] until it asks for input before asking for
    /// room again; otherwise the room grows with what is received.
    pub fn space(&mut self) -> &mut [u8] {
        if self.taken == self.received {
            (self.taken, self.received) = (0, 0);
            let room = match (self.hungry, self.is_idle()) {
                (true, _) => WIDE_ROOM,
                (false, true) => ROOM,
                (false, false) => self.buffer.len().clamp(ROOM, WIDE_ROOM),
            };
            if self.buffer.len() != room {
                self.buffer = vec![0; room];
            }
        } else if self.received == self.buffer.len() {
            self.buffer.copy_within(self.taken.., 0);
            (self.taken, self.received) = (0, self.received - self.taken);
            self.buffer.resize(2 * self.buffer.len(), 0);
        }
        &mut self.buffer[self.received..]
    }

    /// Says that so many octets were read into [`Framer::space`].
    pub fn filled(&mut self, octets: usize) {
        debug_assert!(octets <= self.buffer.len() - self.received, "more was read than there was room");
        self.received = self.received.saturating_add(octets).min(self.buffer.len());
        self.hungry = self.received == self.buffer.len();
    }

    /// The next event, or `None` where more input is needed. After an error, the same error for ever.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where this asks for input")]
    pub fn next(&mut self) -> Result<Option<Event>, FrameError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let event = self.advance();
        if let Err(failure) = event {
            *self = Framer { failure: Some(failure), ..Framer::default() };
        }
        event
    }

    /// Whether nothing is buffered and no response has begun: after STARTTLS' OK, anything else is an injection.
    pub fn is_idle(&self) -> bool {
        self.taken == self.received && self.response.is_empty() && matches!(self.place, Place::Line)
    }

    fn advance(&mut self) -> Result<Option<Event>, FrameError> {
        loop {
            if let Place::Passing { missing: 0 } = self.place {
                self.place = Place::Line;
                return Ok(Some(Event::BodyEnd));
            }
            let fresh = self.buffer.get(self.taken..self.received).unwrap_or_default();
            if fresh.is_empty() {
                return Ok(None);
            }
            match self.place {
                Place::Line => {
                    let end = memchr(b'\n', fresh).map(|at| at + 1);
                    let part = end.map_or(fresh, |end| &fresh[..end]);
                    self.response.extend_from_slice(part);
                    self.taken += part.len();
                    #[cfg(test)]
                    (self.work += part.len());
                    self.check_length()?;
                    if end.is_some()
                        && let Some(event) = self.end_line()?
                    {
                        return Ok(Some(event));
                    }
                }
                Place::Kept { missing } => {
                    let part = &fresh[..missing.min(fresh.len())];
                    self.response.extend_from_slice(part);
                    self.taken += part.len();
                    self.kept += part.len();
                    #[cfg(test)]
                    (self.work += part.len());
                    self.place = match missing - part.len() {
                        0 => Place::Line,
                        missing => Place::Kept { missing },
                    };
                    self.line = self.response.len();
                }
                Place::Passing { missing } => {
                    let most = usize::try_from(missing).unwrap_or(CHUNK_LIMIT).min(CHUNK_LIMIT);
                    let part = &fresh[..most.min(fresh.len())];
                    self.place = Place::Passing { missing: missing - part.len() as u64 };
                    self.taken += part.len();
                    return Ok(Some(Event::BodyChunk(Bytes::copy_from_slice(part))));
                }
            }
        }
    }

    fn check_length(&self) -> Result<(), FrameError> {
        let skeleton = self.response.len() - self.kept;
        if skeleton <= LINE_LIMIT {
            return Ok(());
        }
        match Kind::of(&self.response) {
            Kind::Numbers if skeleton <= NUMBERS_LIMIT => Ok(()),
            Kind::Numbers => Err(FrameError::LineTooLong { limit: NUMBERS_LIMIT }),
            _ => Err(FrameError::LineTooLong { limit: LINE_LIMIT }),
        }
    }

    /// A line is complete: it ends the response, or a literal follows.
    fn end_line(&mut self) -> Result<Option<Event>, FrameError> {
        let line = self.response.get(self.line..).unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        #[cfg(test)]
        (self.work += line.len() + KIND_WINDOW);
        let kind = Kind::of(&self.response);
        let Some(announced) = kind.announcement(line)? else {
            let end = self.line + line.len();
            return Ok(Some(self.end_response(end)));
        };
        let (before, size) = (line.get(..announced.at).unwrap_or_default(), announced.size);
        self.literals += 1;
        if self.literals > LITERALS_LIMIT {
            return Err(FrameError::TooManyLiterals);
        }
        if kind == Kind::Fetch && ends_in_body(before) && size > Body::WHOLE_LIMIT {
            if size > MESSAGE_LIMIT {
                return Err(FrameError::MessageTooLarge { size });
            }
            if self.passed.is_some() {
                return Err(FrameError::SecondBody);
            }
            let head = Bytes::copy_from_slice(&self.response[..self.line + announced.at]);
            self.line = self.response.len();
            self.passed = Some(Passed { at: self.line, size, literal: announced.literal });
            self.place = Place::Passing { missing: size };
            return Ok(Some(Event::BodyStart { head, size, literal: announced.literal }));
        }
        let limit = if kind == Kind::Fetch { HEADER_LIMIT } else { LITERAL_LIMIT };
        if size > limit {
            return Err(FrameError::LiteralTooLarge { size, limit });
        }
        if self.kept as u64 + size > KEPT_LIMIT {
            return Err(FrameError::TooMuchKept);
        }
        self.line = self.response.len();
        if size > 0 {
            self.place = Place::Kept { missing: usize::try_from(size).map_err(|_| FrameError::TooMuchKept)? };
        }
        Ok(None)
    }

    /// Hands the response over. A small one is copied, so that the next one finds the memory; a large one takes its
    /// memory along.
    fn end_response(&mut self, end: usize) -> Event {
        self.response.truncate(end);
        let octets = match self.response.capacity() <= ROOM {
            true => {
                let octets = Bytes::copy_from_slice(&self.response);
                self.response.clear();
                octets
            }
            false => {
                self.response.shrink_to_fit();
                Bytes::from(std::mem::take(&mut self.response))
            }
        };
        (self.line, self.kept, self.literals) = (0, 0, 0);
        Event::Frame(Frame { octets, passed: self.passed.take() })
    }
}

/// What the first words of a response say about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A continuation, a tagged or an untagged status line: text for people, in which `{5}` means nothing. A server
    /// that repeats a mailbox's name there must not make us swallow what follows.
    Text,
    /// `* n FETCH`
    Fetch,
    /// A response that lists numbers.
    Numbers,
    /// Any other.
    Data,
}

impl Kind {
    fn of(response: &[u8]) -> Kind {
        let window = response.get(..KIND_WINDOW).unwrap_or(response);
        let Some(data) = window.strip_prefix(b"* ") else { return Kind::Text };
        let mut words = data.split(|octet| octet.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let word = words.next().unwrap_or_default();
        let is_one_of = |names: &[&[u8]]| names.iter().any(|name| word.eq_ignore_ascii_case(name));
        if is_one_of(&[b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"]) {
            Kind::Text
        } else if is_one_of(&[b"SEARCH", b"ESEARCH", b"SORT", b"VANISHED"]) {
            Kind::Numbers
        } else if word.iter().all(u8::is_ascii_digit)
            && words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"))
        {
            Kind::Fetch
        } else {
            Kind::Data
        }
    }

    /// The announcement of a literal at the end of a line (RFC 9051 §4.3, RFC 3516 §4.1), outside of quotes:
    /// `literal = "{" number ["+"] "}" CRLF`, `literal8 = "~{" number ["+"] "}" CRLF`.
    fn announcement(self, line: &[u8]) -> Result<Option<Announcement>, FrameError> {
        if self == Kind::Text {
            return Ok(None);
        }
        let Some(inner) = line.strip_suffix(b"}") else { return Ok(None) };
        let Some(brace) = memrchr(b'{', inner) else { return Ok(None) };
        let (before, number) = (&inner[..brace], &inner[brace + 1..]);
        let looks_like_one = number.iter().all(|octet| octet.is_ascii_digit() || b"+- ".contains(octet));
        if !looks_like_one || ends_in_quotes(before) {
            return Ok(None);
        }
        let (before, literal) = match before.strip_suffix(b"~") {
            Some(before) => (before, LiteralKind::Binary),
            None => (before, LiteralKind::Text),
        };
        let size = octets(number.strip_suffix(b"+").unwrap_or(number)).ok_or(FrameError::Announcement)?;
        match before.last() {
            None | Some(b' ' | b'(') => Ok(Some(Announcement { at: before.len(), size, literal })),
            Some(_) => Err(FrameError::Announcement),
        }
    }
}

/// A literal to come.
struct Announcement {
    /// Where in its line it is announced.
    at: usize,
    size: u64,
    literal: LiteralKind,
}

/// A number of octets; those that no u64 holds are more than any limit.
fn octets(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    valid.then(|| {
        digits.iter().fold(0u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    })
}

/// Whether a quoted string is still open at the end. A quoted string never spans lines (RFC 9051 §9).
fn ends_in_quotes(line: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for octet in line {
        match (quoted, escaped, octet) {
            (true, true, _) => escaped = false,
            (true, false, b'\\') => escaped = true,
            (_, false, b'"') => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

/// Whether a literal announced here is a whole message.
fn ends_in_body(line: &[u8]) -> bool {
    const ITEM: &[u8] = b"BODY[]";
    let line = line.trim_ascii_end();
    let Some(at) = line.len().checked_sub(ITEM.len()) else { return false };
    let (before, item) = line.split_at(at);
    item.eq_ignore_ascii_case(ITEM) && matches!(before.last(), None | Some(b' ' | b'('))
}
