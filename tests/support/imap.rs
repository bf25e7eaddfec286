//! The witness: a small blocking IMAP client that shares no line with the library it bears witness about.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A connection to a server.
pub(crate) struct Client {
    reader: BufReader<Box<dyn Read + Send>>,
    writer: Option<Box<dyn Write + Send>>,
    child: Option<Child>,
    tags: u32,
    /// What the server puts before every name but INBOX.
    prefix: &'static str,
    separator: Option<char>,
    is_logged_in: bool,
    /// All that the server understands. Without it, it understands all that is asked here, whatever it announces.
    understood: Option<BTreeSet<String>>,
}

/// One value of a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A bare word.
    Atom(String),
    /// A quoted string or a literal.
    Text(Vec<u8>),
    /// What stands between parentheses.
    List(Vec<Value>),
}

/// A mailbox as LIST tells of it, named with `/` between levels and without the prefix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: String,
    /// Whether it can be selected.
    pub(crate) exists: bool,
    /// Whether the user is subscribed to it.
    pub(crate) subscribed: bool,
}

/// A message as FETCH tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    /// Its UID.
    pub(crate) uid: u32,
    /// Its flags without `\Recent`.
    pub(crate) flags: BTreeSet<String>,
    /// Its INTERNALDATE, as the server writes it.
    pub(crate) date: String,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// Connects to a port of this host and reads the greeting.
    pub(crate) fn connect(port: u16, prefix: &'static str) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let reader: Box<dyn Read + Send> = Box::new(stream.try_clone().unwrap());
        Client::greeted(reader, Box::new(stream), None, prefix)
    }

    /// Starts a shell command that speaks IMAP on its standard input and output, and reads the greeting.
    pub(crate) fn through(command: &str, prefix: &'static str) -> Client {
        let mut child =
            Command::new("sh").args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        Client::greeted(Box::new(output), Box::new(input), Some(child), prefix)
    }

    fn greeted(
        reader: Box<dyn Read + Send>,
        writer: Box<dyn Write + Send>,
        child: Option<Child>,
        prefix: &'static str,
    ) -> Client {
        let mut client = Client {
            reader: BufReader::with_capacity(1 << 16, reader),
            writer: Some(writer),
            child,
            tags: 0,
            prefix,
            separator: None,
            is_logged_in: false,
            understood: None,
        };
        let greeting = String::from_utf8(client.read_line()).unwrap();
        client.is_logged_in = greeting.starts_with("* PREAUTH");
        assert!(greeting.starts_with("* OK") || client.is_logged_in, "{greeting}");
        client
    }

    /// Logs in, unless the server has done so already.
    pub(crate) fn login(&mut self, user: &str, password: &str) {
        if !self.is_logged_in {
            self.run(&format!("LOGIN {user} {password}"));
        }
    }

    /// Asks no more of the server than what it announces.
    pub(crate) fn heed_capabilities(&mut self) {
        self.understood = Some(self.capabilities());
    }

    /// What the server announces now.
    pub(crate) fn capabilities(&mut self) -> BTreeSet<String> {
        let responses = self.run("CAPABILITY");
        let announced = responses.iter().find(|response| response[0].word() == "CAPABILITY").expect("an answer");
        announced[1..].iter().map(|capability| capability.word().to_ascii_uppercase()).collect()
    }

    fn understands(&self, capability: &str) -> bool {
        self.understood.as_ref().is_none_or(|understood| understood.contains(capability))
    }

    /// Runs a command that must succeed, and gives its untagged responses, each as its words after the `*`.
    pub(crate) fn run(&mut self, command: &str) -> Vec<Vec<Value>> {
        self.run_octets(command.as_bytes())
    }

    /// The same for a command with literals in it: `{n+}`, CRLF and n octets.
    pub(crate) fn run_octets(&mut self, command: &[u8]) -> Vec<Vec<Value>> {
        match self.ask(command) {
            Ok((responses, _)) => responses,
            Err(answer) => panic!("{}: {answer}", String::from_utf8_lossy(&command[..command.len().min(200)])),
        }
    }

    /// Runs a command; the error is the tagged NO or BAD. The second value is the text after the tagged OK.
    pub(crate) fn ask(&mut self, command: &[u8]) -> Result<(Vec<Vec<Value>>, String), String> {
        self.tags += 1;
        let tag = format!("w{}", self.tags);
        let mut refusal = self.send(&tag, command);
        let mut responses = Vec::new();
        loop {
            let line = refusal.take().unwrap_or_else(|| self.read_line());
            let text = String::from_utf8_lossy(&line).into_owned();
            if let Some(answer) = text.strip_prefix(&format!("{tag} ")) {
                return match answer.strip_prefix("OK ") {
                    Some(text) => Ok((responses, text.to_owned())),
                    None => Err(answer.to_owned()),
                };
            }
            let rest = text.strip_prefix("* ").unwrap_or_else(|| panic!("unexpected line: {text}"));
            if ["OK ", "NO ", "BAD ", "BYE "].iter().any(|word| rest.starts_with(word)) {
                responses.push(vec![Value::Atom(rest.to_owned())]);
            } else {
                responses.push(self.read_values(line[2..].to_vec()));
            }
        }
    }

    /// Sends a command. Where a literal has to wait for the server's consent and does not get it, what the server says
    /// instead is given back.
    fn send(&mut self, tag: &str, command: &[u8]) -> Option<Vec<u8>> {
        let mut octets = format!("{tag} ").into_bytes();
        let mut rest = command;
        while let Some((line, size)) = literal_ahead(rest).filter(|_| !self.understands("LITERAL+")) {
            octets.extend_from_slice(&rest[..line]);
            octets.extend_from_slice(format!("{{{size}}}\r\n").as_bytes());
            self.write(&octets);
            let consent = self.read_line();
            if !consent.starts_with(b"+") {
                return Some(consent);
            }
            let start = line + format!("{{{size}+}}\r\n").len();
            octets = rest[start..start + size].to_vec();
            rest = &rest[start + size..];
        }
        octets.extend_from_slice(rest);
        octets.extend_from_slice(b"\r\n");
        self.write(&octets);
        None
    }

    fn write(&mut self, octets: &[u8]) {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(octets).unwrap();
        writer.flush().unwrap();
    }

    /// Every mailbox, INBOX among them.
    pub(crate) fn list(&mut self) -> Vec<Listed> {
        if self.understands("LIST-EXTENDED") {
            return self.listed("LIST", "LIST \"\" * RETURN (SUBSCRIBED)");
        }
        let mut mailboxes = self.listed("LIST", "LIST \"\" *");
        // What is not to be selected is there for what is below it only (RFC 3501 §6.3.9).
        let subscribed: Vec<_> =
            self.listed("LSUB", "LSUB \"\" *").into_iter().filter(|listed| listed.exists).collect();
        for mailbox in &mut mailboxes {
            mailbox.subscribed = subscribed.iter().any(|listed| listed.name == mailbox.name);
        }
        mailboxes
    }

    fn listed(&mut self, response: &str, command: &str) -> Vec<Listed> {
        let mut mailboxes = Vec::new();
        for values in self.run(command) {
            let [Value::Atom(word), Value::List(attributes), separator, name] = &values[..] else { continue };
            assert_eq!(word, response);
            if let Value::Text(text) = separator {
                self.separator = Some(char::from(text[0]));
            }
            let has = |attribute: &str| attributes.iter().any(|value| value.word().eq_ignore_ascii_case(attribute));
            mailboxes.push(Listed {
                name: self.common_name(&name.text()),
                exists: !has("\\Noselect") && !has("\\NonExistent"),
                subscribed: has("\\Subscribed"),
            });
        }
        mailboxes
    }

    /// Selects a mailbox without changing anything in it, and gives its UIDVALIDITY.
    pub(crate) fn examine(&mut self, mailbox: &str) -> u32 {
        self.open("EXAMINE", mailbox)
    }

    /// Selects a mailbox, and gives its UIDVALIDITY.
    pub(crate) fn select(&mut self, mailbox: &str) -> u32 {
        self.open("SELECT", mailbox)
    }

    fn open(&mut self, word: &str, mailbox: &str) -> u32 {
        let name = self.wire_name(mailbox);
        let responses = self.run(&format!("{word} {name}"));
        let codes = responses.iter().filter_map(|response| match &response[..] {
            [Value::Atom(text)] => text.strip_prefix("OK [UIDVALIDITY "),
            _ => None,
        });
        codes.map(|code| code.split(']').next().unwrap().parse().unwrap()).next().expect("a server says UIDVALIDITY")
    }

    /// Leaves the selected mailbox without expunging anything from it.
    pub(crate) fn unselect(&mut self) {
        if self.understands("UNSELECT") {
            self.run("UNSELECT");
        } else {
            // Selecting what does not exist leaves nothing selected (RFC 3501 §6.3.1).
            self.ask(b"SELECT \"\"").expect_err("no mailbox has an empty name");
        }
    }

    /// Moves a message of the selected mailbox to another one.
    pub(crate) fn relocate(&mut self, uid: u32, to: &str) {
        if self.understands("MOVE") {
            self.about(&format!("UID MOVE {uid} {{}}"), &[to]);
        } else {
            self.about(&format!("UID COPY {uid} {{}}"), &[to]);
            self.expunge(uid);
        }
    }

    /// Expunges a message of the selected mailbox.
    pub(crate) fn expunge(&mut self, uid: u32) {
        self.run(&format!("UID STORE {uid} +FLAGS (\\Deleted)"));
        self.run(&format!("UID EXPUNGE {uid}"));
    }

    /// Everything of every message of the selected mailbox.
    pub(crate) fn fetch_all(&mut self) -> Vec<Fetched> {
        let responses = self.run("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])");
        responses.into_iter().filter_map(|response| Fetched::of(&response)).collect()
    }

    /// The UIDs of the selected mailbox that match.
    pub(crate) fn search(&mut self, criteria: &str) -> Vec<u32> {
        let responses = self.run(&format!("UID SEARCH {criteria}"));
        let found = responses.iter().find(|response| response[0].word() == "SEARCH").expect("an answer to SEARCH");
        found[1..].iter().map(|value| value.word().parse().unwrap()).collect()
    }

    /// The UID of the only message of the selected mailbox that bears the token.
    pub(crate) fn find(&mut self, token: &str) -> u32 {
        let found = self.search(&format!("HEADER {} \"{token}\"", super::mail::TOKEN));
        assert_eq!(found.len(), 1, "messages with token {token}");
        found[0]
    }

    /// Appends one message and gives its UID.
    pub(crate) fn append(&mut self, mailbox: &str, message: &Appended<'_>) -> u32 {
        self.append_many(mailbox, &[message])[0]
    }

    /// Appends messages, by one command (RFC 3502) where that can be, and gives their UIDs.
    pub(crate) fn append_many(&mut self, mailbox: &str, messages: &[&Appended<'_>]) -> Vec<u32> {
        if messages.len() > 1 && !self.understands("MULTIAPPEND") {
            return messages.iter().map(|message| self.append(mailbox, message)).collect();
        }
        let mut command = format!("APPEND {}", self.wire_name(mailbox)).into_bytes();
        for message in messages {
            let date = message.date.map(|date| format!(" \"{date}\"")).unwrap_or_default();
            let size = message.body.len();
            command.extend_from_slice(format!(" ({}){date} {{{size}+}}\r\n", message.flags).as_bytes());
            command.extend_from_slice(message.body);
        }
        let (_, text) = self.ask(&command).unwrap_or_else(|answer| panic!("APPEND to {mailbox}: {answer}"));
        let code = text.strip_prefix("[APPENDUID ").expect("an APPENDUID").split(']').next().unwrap();
        let (_, uids) = code.split_once(' ').unwrap();
        expand(uids)
    }

    /// Runs a command about mailboxes, each `{}` of it standing for the next name.
    pub(crate) fn about(&mut self, command: &str, mailboxes: &[&str]) {
        let mut parts = command.split("{}");
        let mut line = parts.next().unwrap().to_owned();
        for (part, mailbox) in parts.zip(mailboxes) {
            line.push_str(&self.wire_name(mailbox));
            line.push_str(part);
        }
        self.run(&line);
    }

    /// Creates a mailbox. A run that goes on meanwhile may have done it already.
    pub(crate) fn create(&mut self, mailbox: &str) {
        let line = format!("CREATE {}", self.wire_name(mailbox));
        match self.ask(line.as_bytes()) {
            Err(answer) if !answer.contains("ALREADYEXISTS") => panic!("{line}: {answer}"),
            _ => {}
        }
    }

    /// A mailbox's name as this server wants to hear it, quoted.
    pub(crate) fn wire_name(&mut self, name: &str) -> String {
        if name.eq_ignore_ascii_case("INBOX") {
            return "INBOX".to_owned();
        }
        let separator = self.separator();
        let name: String = name.chars().map(|c| if c == '/' { separator } else { c }).collect();
        let name = utf7_encode(&format!("{}{name}", self.prefix));
        format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
    }

    fn common_name(&self, wire: &[u8]) -> String {
        let name = utf7_decode(std::str::from_utf8(wire).unwrap());
        if name.eq_ignore_ascii_case("INBOX") {
            return "INBOX".to_owned();
        }
        let name = name.strip_prefix(self.prefix).unwrap_or(&name);
        let separator = self.separator.unwrap_or('/');
        name.chars().map(|c| if c == separator { '/' } else { c }).collect()
    }

    fn separator(&mut self) -> char {
        if self.separator.is_none() {
            self.list();
        }
        self.separator.expect("a server says its separator")
    }

    fn read_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).expect("the server answers");
        assert!(line.ends_with(b"\r\n"), "the server ended in {:?}", String::from_utf8_lossy(&line));
        line.truncate(line.len() - 2);
        line
    }

    /// Reads the values of a response whose first line is known, and the literals and lines that follow it.
    fn read_values(&mut self, mut line: Vec<u8>) -> Vec<Value> {
        // Each open list, outermost first; what is complete goes to the last of them.
        let mut open: Vec<Vec<Value>> = vec![Vec::new()];
        let mut at = 0;
        while let Some(&octet) = line.get(at) {
            at += 1;
            let value = match octet {
                b' ' => continue,
                b'(' => {
                    open.push(Vec::new());
                    continue;
                }
                b')' => Value::List(open.pop().unwrap()),
                b'"' => {
                    let mut text = Vec::new();
                    while line[at] != b'"' {
                        if line[at] == b'\\' {
                            at += 1;
                        }
                        text.push(line[at]);
                        at += 1;
                    }
                    at += 1;
                    Value::Text(text)
                }
                b'{' => {
                    let digits: String =
                        line[at..].iter().take_while(|c| c.is_ascii_digit()).map(|c| *c as char).collect();
                    let mut text = vec![0; digits.parse().unwrap()];
                    self.reader.read_exact(&mut text).unwrap();
                    line = self.read_line();
                    at = 0;
                    Value::Text(text)
                }
                _ => {
                    let start = at - 1;
                    let mut brackets = 0;
                    at = start;
                    while let Some(&octet) = line.get(at) {
                        match octet {
                            b'[' => brackets += 1,
                            b']' => brackets -= 1,
                            b' ' | b'(' | b')' if brackets == 0 => break,
                            _ => {}
                        }
                        at += 1;
                    }
                    Value::Atom(String::from_utf8(line[start..at].to_vec()).unwrap())
                }
            };
            open.last_mut().unwrap().push(value);
        }
        assert_eq!(open.len(), 1, "unbalanced parentheses");
        open.pop().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A session at the end of a pipe ends when its input does.
        self.writer = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// A message to append.
#[derive(Clone, Debug)]
pub(crate) struct Appended<'a> {
    /// The flags it gets, with spaces between.
    pub(crate) flags: &'a str,
    /// Its INTERNALDATE, as RFC 3501 writes a date-time; now when there is none.
    pub(crate) date: Option<&'a str>,
    /// All of it.
    pub(crate) body: &'a [u8],
}

impl Value {
    /// The word, or nothing where it is something else.
    pub(crate) fn word(&self) -> &str {
        match self {
            Value::Atom(word) => word,
            _ => "",
        }
    }

    /// The octets of a word or a text.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Value::Atom(word) => word.clone().into_bytes(),
            Value::Text(text) => text.clone(),
            Value::List(_) => panic!("a list where a string was expected"),
        }
    }
}

impl Fetched {
    fn of(response: &[Value]) -> Option<Fetched> {
        let [_, Value::Atom(word), Value::List(items)] = response else { return None };
        assert_eq!(word, "FETCH");
        let item = |name: &str| items.chunks(2).find(|pair| pair[0].word() == name).map(|pair| &pair[1]);
        // A FETCH that only tells of new flags has no body.
        let body = item("BODY[]")?.text();
        let Some(Value::List(flags)) = item("FLAGS") else { panic!("no FLAGS in {items:?}") };
        Some(Fetched {
            uid: item("UID").expect("a UID").word().parse().unwrap(),
            flags: flags.iter().map(|flag| flag.word().to_owned()).filter(|flag| flag != "\\Recent").collect(),
            date: String::from_utf8(item("INTERNALDATE").expect("an INTERNALDATE").text()).unwrap(),
            body,
        })
    }
}

/// Where the next literal of a command is announced, as `{n+}` at the end of a line, and its size.
fn literal_ahead(command: &[u8]) -> Option<(usize, usize)> {
    let end = command.windows(4).position(|octets| octets == b"+}\r\n")?;
    let start = command[..end].iter().rposition(|octet| *octet == b'{')?;
    let size = std::str::from_utf8(&command[start + 1..end]).ok()?.parse().ok()?;
    Some((start, size))
}

/// The numbers of a set such as `3:5,9`.
fn expand(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    set.split(',')
        .flat_map(|range| match range.split_once(':') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        })
        .collect()
}

/// RFC 3501 §5.1.3.
pub(crate) fn utf7_encode(name: &str) -> String {
    let mut encoded = String::new();
    let mut shifted: Vec<u16> = Vec::new();
    let flush = |shifted: &mut Vec<u16>, encoded: &mut String| {
        if !shifted.is_empty() {
            let octets: Vec<u8> = shifted.drain(..).flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            encoded.push_str(&base64(&octets));
            encoded.push('-');
        }
    };
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut shifted, &mut encoded);
            encoded.push(c);
            if c == '&' {
                encoded.push('-');
            }
        } else {
            shifted.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    flush(&mut shifted, &mut encoded);
    encoded
}

pub(crate) fn utf7_decode(name: &str) -> String {
    let mut decoded = String::new();
    let mut rest = name;
    while let Some((plain, shifted)) = rest.split_once('&') {
        let (code, after) = shifted.split_once('-').expect("a shift that ends");
        decoded.push_str(plain);
        if code.is_empty() {
            decoded.push('&');
        } else {
            let units: Vec<u16> =
                unbase64(code).chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            decoded.push_str(&String::from_utf16(&units).unwrap());
        }
        rest = after;
    }
    decoded + rest
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn base64(octets: &[u8]) -> String {
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, octet| word << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * place)) as usize & 63]));
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let (mut octets, mut word, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|c| *c == letter).expect("modified BASE64");
        word = word << 6 | u32::try_from(value).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            octets.push((word >> bits) as u8);
            word &= (1 << bits) - 1;
        }
    }
    octets
}

#[test]
fn names_survive_modified_utf_7() {
    for (name, wire) in [
        ("plain", "plain"),
        ("R&D", "R&-D"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("台北/日本語", "&U,BTFw-/&ZeVnLIqe-"),
        ("tea ☕ 🍵", "tea &JhU- &2DzfdQ-"),
    ] {
        assert_eq!(utf7_encode(name), wire, "{name}");
        assert_eq!(utf7_decode(wire), name, "{wire}");
    }
}
