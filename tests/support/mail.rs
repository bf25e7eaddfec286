//! Mail for the tests: messages made up here, each with a token of its own, and three thousand real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::imap::Appended;
use super::random::Random;

/// The header field that makes each made-up message unlike any other.
pub(crate) const TOKEN: &str = "X-Token";

/// The token of a message, if it has one.
pub(crate) fn token(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next()?;
    let field = header.lines().find_map(|line| line.strip_prefix("X-Token: "))?;
    Some(field.trim().to_owned())
}

/// A message made up for a test.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// What no other message of the test says.
    pub(crate) token: String,
    /// Its INTERNALDATE.
    pub(crate) date: String,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

impl Made {
    /// A short message with that token.
    pub(crate) fn simple(token: &str) -> Made {
        Made::with(token, "Dear reader,\r\n\r\nthis is all.\r\n")
    }

    /// A message with that token and text.
    pub(crate) fn with(token: &str, text: &str) -> Made {
        let head = format!(
            "From: Alice <alice@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: About {token}\r\n\
             Date: Mon, 2 Nov 2026 10:00:00 +0100\r\nMessage-ID: <{token}@example.org>\r\n{TOKEN}: {token}\r\n"
        );
        let body = format!("{head}\r\n{text}").into_bytes();
        Made { token: token.to_owned(), date: " 2-Nov-2026 10:00:05 +0100".to_owned(), body }
    }

    /// How it is appended, with those flags.
    pub(crate) fn flagged<'a>(&'a self, flags: &'a str) -> Appended<'a> {
        Appended { flags, date: Some(&self.date), body: &self.body }
    }

    /// How it is appended, without flags.
    pub(crate) fn plain(&self) -> Appended<'_> {
        self.flagged("")
    }
}

/// Makes up messages of every kind, none like another.
pub(crate) struct Writer {
    random: Random,
    name: String,
    count: u64,
    /// What the last line of a message ends with where it has no end.
    end: &'static str,
}

impl Writer {
    /// A writer whose tokens begin with `name`.
    pub(crate) fn new(name: &str, seed: u64) -> Writer {
        Writer { random: Random::new(seed), name: name.to_owned(), count: 0, end: "" }
    }

    /// The same, ending every line, as some servers do where the writer does not.
    pub(crate) fn ending_lines(self) -> Writer {
        Writer { end: "\r\n", ..self }
    }

    /// The next message.
    pub(crate) fn write(&mut self) -> Made {
        self.count += 1;
        // A search for one token must not find another that begins like it.
        let token = format!("{}-{:05}", self.name, self.count);
        let random = &mut self.random;
        // Most mail is short; some is not.
        let size = if random.percent(80) { 300 + random.below(3_000) } else { 300 + random.below(60_000) } as usize;
        let mut body = Vec::with_capacity(size + 500);
        let mut say = |text: &str| body.extend_from_slice(text.as_bytes());
        let kind = random.below(10);
        say("Return-Path: <alice@example.org>\r\nFrom: =?utf-8?q?Al=C3=AFce?= <alice@example.org>\r\n");
        say(&format!("Subject: Message {token}\r\n {}\r\n", "folded ".repeat((kind % 4) as usize)));
        // Drafts and some machines leave both fields out.
        if kind != 3 {
            say(&format!("Message-ID: <{token}@example.org>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0100\r\n"));
        }
        say(&format!("{TOKEN}: {token}\r\n"));
        match kind {
            0 => say("\r\n"),
            1 => {
                say("Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
                while body.len() < size {
                    body.extend_from_slice(b"D\xe9j\xe0 vu \xa9\xff\x80, \xfcberall.\r\n");
                }
            }
            2 => {
                say("Content-Type: text/plain; charset=utf-8\r\n\r\n");
                while body.len() < size {
                    body.extend_from_slice("Grüße – 你好 – 🍵\r\n".as_bytes());
                }
            }
            4 => {
                say("\r\n");
                body.extend(std::iter::repeat_n(b'x', size));
                body.extend_from_slice(b"\r\n");
            }
            5 => {
                say("\r\nThe last line has no end");
                say(self.end);
            }
            6 => {
                say("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\npreamble\r\n");
                say("--=_b\r\nContent-Type: text/plain\r\n\r\ntext\r\n--=_b\r\nContent-Type: image/png\r\n");
                say("Content-Transfer-Encoding: base64\r\n\r\n");
                while body.len() < size {
                    body.extend_from_slice("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42m\r\n".as_bytes());
                }
                body.extend_from_slice(b"--=_b--\r\n");
            }
            7 => {
                say("\r\nFrom me to you\r\n.\r\n..\r\n>From quoted\r\n{5+}\r\nA1 OK done)\r\n\t \r\n\r\n\r\n");
            }
            _ => {
                say("Content-Type: text/plain\r\n\r\n");
                let mut line = 0;
                while body.len() < size {
                    line += 1;
                    body.extend_from_slice(format!("Line {line} of what {token} has to say.\r\n").as_bytes());
                }
            }
        }
        let zone = *random.pick(&["+0000", "-0800", "+0530", "+1400"]).expect("one of four");
        let date = format!(
            "{:2}-{}-{} {:02}:{:02}:{:02} {zone}",
            1 + random.below(28),
            random.pick(&["Jan", "Jun", "Dec"]).expect("one of three"),
            1975 + random.below(50),
            random.below(24),
            random.below(60),
            random.below(60),
        );
        Made { token, date, body }
    }
}

/// Three thousand messages: real ones where they lie beside the checkout (or `INTERIMAP_REAL_MAIL` says where), made-up
/// ones elsewhere.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let archive = std::env::var_os("INTERIMAP_REAL_MAIL")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/real-mail.tar.xz"), PathBuf::from);
    if archive.exists() {
        return unpack(&archive);
    }
    let mut writer = Writer::new("made", 3_000);
    (0..3_000).map(|_| writer.write().body).collect()
}

fn unpack(archive: &Path) -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(directory.path()).status().unwrap();
    assert!(status.success(), "tar could not unpack {}: are tar and xz-utils installed?", archive.display());
    let mut files = Vec::new();
    let mut directories = vec![directory.path().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { directories.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.iter().map(|file| with_network_lines(&fs::read(file).unwrap())).collect()
}

/// Ends every line by CRLF, as mail travels (RFC 5322 §2.3).
fn with_network_lines(text: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(text.len() + text.len() / 30);
    for (at, octet) in text.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || text[at - 1] != b'\r') {
            converted.push(b'\r');
        }
        converted.push(*octet);
    }
    converted
}
