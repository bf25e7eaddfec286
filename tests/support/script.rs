//! A server that plays its part in a written dialogue and insists that the client plays the other.
//!
//! ```text
//! S: * OK ready             a line of the server
//! C: a1 NOOP                a line that the client must send; its tag, whatever it is, is called a1 from here on
//! S: a1 OK done             the tag that the client chose stands where the script says a1
//! S> * 1 EX                 octets without a line end; \r \n \0 \\ \xff are understood
//! C> hello\r\n              octets that the client must send: those of a literal
//! C+ "b" {5+}               the rest of a line of the client, behind a literal
//! compress                  from here on, both ways, all is deflated (RFC 4978)
//! hang up                   the server closes the connection
//! wait                      the server neither listens nor speaks for an hour
//! ```
//!
//! At the end the server waits until the client hangs up; whatever the client says before is one line too many.

#[path = "deflated.rs"]
mod deflated;

use std::collections::BTreeMap;
use std::time::Duration;

use deflated::deflated;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;

/// The part of the server, being played.
pub(crate) struct Player(JoinHandle<Result<(), String>>);

impl Player {
    /// Waits until the dialogue has been played to its end; panics where the client left its part.
    pub(crate) async fn finish(self) {
        if let Err(error) = self.0.await.unwrap() {
            panic!("{error}");
        }
    }
}

/// Begins to play over a stream: one end of a [`duplex`](tokio::io::duplex), with or without TLS.
pub(crate) fn play_on(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, script: &str) -> Player {
    let script = script.to_owned();
    let stream: Box<dyn Octets> = Box::new(stream);
    Player(tokio::spawn(async move { perform(BufReader::new(stream), &script).await }))
}

trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

async fn perform(mut stream: BufReader<Box<dyn Octets>>, script: &str) -> Result<(), String> {
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for line in script.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (verb, text) = line.split_at_checked(3).unwrap_or((line, ""));
        match verb {
            "S: " => send(&mut stream, &[&with_tags(text, &tags), b"\r\n".as_slice()].concat()).await,
            "S> " => send(&mut stream, &with_tags(text, &tags)).await,
            "C: " => {
                let said = hear_line(&mut stream, line).await?;
                let (tag, rest) = said.split_once(' ').unwrap_or((&said, ""));
                let (name, expected) = text.split_once(' ').unwrap_or((text, ""));
                compare(expected, rest, line)?;
                tags.insert(name.to_owned(), tag.to_owned());
            }
            "C+ " => compare(text, &hear_line(&mut stream, line).await?, line)?,
            "C> " => {
                let expected = unescaped(text);
                let mut said = vec![0; expected.len()];
                stream.read_exact(&mut said).await.map_err(|_| format!("expected: {line}\nthe client hung up"))?;
                compare(&String::from_utf8_lossy(&expected), &String::from_utf8_lossy(&said), line)?;
            }
            _ if line == "compress" => stream = BufReader::new(Box::new(deflated(stream))),
            _ if line == "hang up" => return Ok(()),
            _ if line == "wait" => tokio::time::sleep(Duration::from_secs(3600)).await,
            _ => return Err(format!("the script has a line that is none: {line}")),
        }
    }
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    match said.is_empty() {
        true => Ok(()),
        false => Err(format!("the script was at its end\nthe client said: {}", String::from_utf8_lossy(&said))),
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, octets: &[u8]) {
    // A client that has hung up is noticed by what it does not say.
    let _ = stream.write_all(octets).await;
    let _ = stream.flush().await;
}

async fn hear_line<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, line: &str) -> Result<String, String> {
    let mut said = Vec::new();
    let _ = stream.read_until(b'\n', &mut said).await;
    match said.strip_suffix(b"\r\n") {
        Some(said) => Ok(String::from_utf8_lossy(said).into_owned()),
        None => Err(format!("expected: {line}\nthe client hung up after: {:?}", String::from_utf8_lossy(&said))),
    }
}

fn compare(expected: &str, said: &str, line: &str) -> Result<(), String> {
    match expected == said {
        true => Ok(()),
        false => Err(format!("expected: {line}\nthe client said: {said}")),
    }
}

/// The client's tags for the names that the script gave them: as first word, and in `(TAG "a1")`.
fn with_tags(text: &str, tags: &BTreeMap<String, String>) -> Vec<u8> {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut line = match tags.get(first) {
        Some(tag) => format!("{tag} {rest}"),
        None => text.to_owned(),
    };
    for (name, tag) in tags {
        line = line.replace(&format!("TAG \"{name}\""), &format!("TAG \"{tag}\""));
    }
    unescaped(&line)
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let (octet, used) = match (first, behind) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', high, low, ..]) => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16).map(|digit| digit as u8);
                match digit(high).zip(digit(low)) {
                    Some((high, low)) => (high * 16 + low, 4),
                    None => (b'\\', 1),
                }
            }
            (octet, _) => (*octet, 1),
        };
        octets.push(octet);
        rest = &rest[used..];
    }
    octets
}
