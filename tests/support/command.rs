//! How a server in memory hears commands: the words, strings and lists that one consists of.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// A word, a string or a list of a command.
#[derive(Debug)]
pub(crate) enum Arg {
    Word(String),
    Text(Vec<u8>),
    List(Vec<Arg>),
}

impl Arg {
    pub(crate) fn is(&self, word: &str) -> bool {
        matches!(self, Arg::Word(own) if own.eq_ignore_ascii_case(word))
    }

    pub(crate) fn text(&self) -> Result<String, String> {
        match self {
            Arg::Word(word) => Ok(word.clone()),
            Arg::Text(octets) => String::from_utf8(octets.clone()).map_err(|_| "BAD this is no text".to_owned()),
            Arg::List(_) => Err("BAD no list belongs here".to_owned()),
        }
    }

    pub(crate) fn number(&self) -> Result<u64, String> {
        self.text()?.parse().ok().filter(|number| *number > 0).ok_or_else(|| "BAD no number".to_owned())
    }

    pub(crate) fn mailbox(&self) -> Result<String, String> {
        let name = self.text()?;
        match name.as_str() {
            _ if !name.is_ascii() => Err("BAD names are in modified UTF-7".to_owned()),
            name if name.eq_ignore_ascii_case("INBOX") => Ok("INBOX".to_owned()),
            _ => Ok(name),
        }
    }

    pub(crate) fn several(&self) -> &[Arg] {
        match self {
            Arg::List(args) => args,
            arg => std::slice::from_ref(arg),
        }
    }
}

/// A command with its literals, which run on without being asked for where they may. What must not be said ends the conversation: nobody can tell where it ends.
pub(crate) async fn hear<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    may_run_on: impl Fn(usize) -> bool,
) -> io::Result<Result<Vec<Arg>, String>> {
    let mut lists = vec![Vec::new()];
    loop {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line).await?;
        let Some(line) = line.strip_suffix(b"\r\n") else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let Ok(line) = std::str::from_utf8(line) else { return Ok(Err("octets outside of a literal".to_owned())) };
        let announced = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        let (text, literal) = announced.map_or((line, None), |(text, size)| (text, Some(size)));
        if let Err(offence) = read(text, &mut lists) {
            return Ok(Err(format!("{offence}: {line}")));
        }
        let Some(literal) = literal else { break };
        let runs_on = literal.strip_suffix('+');
        let Ok(size) = runs_on.unwrap_or(literal).parse::<usize>() else {
            return Ok(Err(format!("literal {literal}")));
        };
        match runs_on {
            Some(_) if !may_run_on(size) => return Ok(Err(format!("a literal that nobody asked for: {line}"))),
            Some(_) => {}
            None => stream.write_all(b"+ go on\r\n").await?,
        }
        let mut octets = vec![0; size];
        stream.read_exact(&mut octets).await?;
        if let Some(list) = lists.last_mut() {
            list.push(Arg::Text(octets));
        }
    }
    match (lists.pop(), lists.is_empty()) {
        (Some(args), true) => Ok(Ok(args)),
        _ => Ok(Err("a list without an end".to_owned())),
    }
}

/// Reads a part of a command into the lists that are open.
fn read(text: &str, lists: &mut Vec<Vec<Arg>>) -> Result<(), &'static str> {
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        let arg = match first {
            ' ' => continue,
            '(' => {
                lists.push(Vec::new());
                continue;
            }
            ')' if lists.len() > 1 => Arg::List(lists.pop().unwrap_or_default()),
            '"' => {
                let mut string = Vec::new();
                loop {
                    match rest.next().ok_or("a string without an end")? {
                        '"' => break,
                        '\\' => string.extend(rest.next().map(String::from).unwrap_or_default().bytes()),
                        other => string.extend(String::from(other).bytes()),
                    }
                }
                Arg::Text(string)
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) =
                    rest.next_if(|next| word.contains('[') && !word.contains(']') || !" ()\"".contains(*next))
                {
                    word.push(next);
                }
                Arg::Word(word)
            }
        };
        lists.last_mut().ok_or("a list without a beginning")?.push(arg);
    }
    Ok(())
}
