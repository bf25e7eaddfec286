//! What a server in memory does with messages: FETCH, SEARCH, STORE, COPY, MOVE and APPEND.

use super::account::{Account, Held, Mailbox};
use super::command::Arg;
use super::{Answer, Habit, NO_MODSEQ, NOTHING_SELECTED, Session, bad, done, flags, no, sequence_set};

impl Session {
    pub(super) fn fetch(
        &mut self,
        account: &mut Account,
        name: &str,
        uids: &[(usize, u32)],
        items: &[Arg],
        since: u64,
    ) -> Answer {
        let mut gone = false;
        for (at, (_, uid)) in uids.iter().enumerate() {
            if at == uids.len() / 2 {
                self.pass_time(account);
            }
            let Some(mailbox) = account.mailboxes.get(name) else { continue };
            gone |= !mailbox.messages.contains_key(uid);
            let Some(held) = mailbox.messages.get(uid).filter(|held| held.modseq > since) else { continue };
            let mut line = Vec::new();
            for item in items {
                let item = item.text()?.to_ascii_uppercase();
                let fields = item.strip_prefix("BODY.PEEK[HEADER.FIELDS (").and_then(|rest| rest.strip_suffix(")]"));
                match (item.as_str(), fields) {
                    ("UID", _) => {}
                    ("FLAGS", _) => line.extend(format!(" {}", flags(held)).bytes()),
                    ("INTERNALDATE", _) => line.extend(format!(" INTERNALDATE \"{}\"", held.internal_date).bytes()),
                    ("RFC822.SIZE", _) => line.extend(format!(" RFC822.SIZE {}", held.octets.len()).bytes()),
                    ("MODSEQ", _) if mailbox.shows_modseqs => {
                        self.needs("CONDSTORE")?;
                        self.condstore = true;
                    }
                    ("BODY.PEEK[]", _) => append_literal(&mut line, "BODY[]", &held.octets),
                    (_, Some(fields)) => {
                        append_literal(&mut line, &item.replace(".PEEK", ""), &header(&held.octets, fields));
                    }
                    _ => return bad("no such item"),
                }
            }
            let modseq = self.modseq_of(mailbox, held);
            let Some(number) = self.selected.as_mut().and_then(|selected| selected.tell(*uid, held)) else { continue };
            self.out.extend(format!("* {number} FETCH (UID {uid}").bytes().chain(line));
            self.say(&format!("{modseq})"));
        }
        match gone && self.manner.has(Habit::MissesTheGone) {
            true => no("EXPUNGEISSUED", "some of them are gone"),
            false => done(),
        }
    }

    /// The number of a CHANGEDSINCE or UNCHANGEDSINCE.
    pub(super) fn condition(&mut self, mailbox: &Mailbox, modifiers: &[Arg], name: &str) -> Result<u64, String> {
        self.needs("CONDSTORE")?;
        match modifiers {
            _ if !mailbox.shows_modseqs => Err(format!("BAD {NO_MODSEQ}")),
            [Arg::Word(word), number] if word.eq_ignore_ascii_case(name) => {
                self.condstore = true;
                number.number()
            }
            _ => Err("BAD not under this condition".to_owned()),
        }
    }

    pub(super) fn search(&mut self, mailbox: &Mailbox, tag: &str, args: &[Arg]) -> Answer {
        let Some(selected) = &self.selected else { return bad(NOTHING_SELECTED) };
        let (extended, keys) = match args {
            [word, Arg::List(options), keys @ ..] if word.is("RETURN") => {
                self.needs("ESEARCH")?;
                if !matches!(options.as_slice(), [all] if all.is("ALL")) {
                    return bad("no such option");
                }
                (true, keys)
            }
            keys => (false, keys),
        };
        let mut found: Vec<u32> = selected.uids().into_iter().map(|(_, uid)| uid).collect();
        found.retain(|uid| mailbox.messages.contains_key(uid));
        match keys {
            [all] if all.is("ALL") => {}
            [deleted] if deleted.is("DELETED") => found.retain(|uid| mailbox.messages[uid].bears("\\Deleted")),
            [uid, set] if uid.is("UID") => {
                let chosen = selected.choose(&set.text()?)?;
                found.retain(|uid| chosen.iter().any(|(_, other)| other == uid));
            }
            _ => return bad("no such key"),
        }
        let (found, code) = self.limited(found.into_iter().map(|uid| (0, uid)).collect());
        let found: Vec<u32> = found.into_iter().map(|(_, uid)| uid).collect();
        let line = match (extended, found.is_empty()) {
            (true, true) => format!("* ESEARCH (TAG \"{tag}\") UID"),
            (true, false) => format!("* ESEARCH (TAG \"{tag}\") UID ALL {}", sequence_set(&found)),
            (false, _) => found.iter().fold("* SEARCH".to_owned(), |line, uid| format!("{line} {uid}")),
        };
        self.say(&line);
        done().map(|done| code + &done)
    }

    pub(super) fn store(&mut self, mailbox: &mut Mailbox, uids: &[(usize, u32)], args: &[Arg]) -> Answer {
        let (limit, [verb, names]) = match args {
            [Arg::List(modifiers), verb, names] => {
                (Some(self.condition(mailbox, modifiers, "UNCHANGEDSINCE")?), [verb, names])
            }
            [verb, names] => (None, [verb, names]),
            _ => return bad("what is to be stored"),
        };
        let verb = verb.text()?.to_ascii_uppercase();
        let names = names.several().iter().map(Arg::text).collect::<Result<Vec<_>, _>>()?.join(" ");
        let (add, remove) = match verb.strip_suffix(".SILENT").unwrap_or(&verb) {
            "+FLAGS" => (names.as_str(), ""),
            "-FLAGS" => ("", names.as_str()),
            _ => return bad("no such change"),
        };
        let (mut modified, mut gone) = (Vec::new(), false);
        for (number, uid) in uids {
            let Some(held) = mailbox.messages.get(uid) else {
                gone = true;
                continue;
            };
            if limit.is_some_and(|limit| held.modseq > limit) {
                modified.push(uid.to_string());
                continue;
            }
            mailbox.reflag(*uid, add, remove);
            let held = &mailbox.messages[uid];
            let told = if verb.ends_with(".SILENT") { String::new() } else { format!(" {}", flags(held)) };
            let line = format!("* {number} FETCH (UID {uid}{told}{})", self.modseq_of(mailbox, held));
            if !told.is_empty() || limit.is_some() {
                self.say(&line);
            }
            self.selected.as_mut().and_then(|selected| selected.tell(*uid, held));
        }
        match modified.is_empty() {
            true if gone && self.manner.has(Habit::MissesTheGone) => no("EXPUNGEISSUED", "some of them are gone"),
            true => done(),
            false => Ok(format!("[MODIFIED {}] not these", modified.join(","))),
        }
    }

    pub(super) fn copy(
        &mut self,
        account: &mut Account,
        from: &str,
        uids: &[(usize, u32)],
        to: &str,
        moves: bool,
    ) -> Answer {
        let sources = &account.mailboxes[from].messages;
        let copies: Vec<(u32, Held)> =
            uids.iter().filter_map(|(_, uid)| Some((*uid, sources.get(uid)?.clone()))).collect();
        let Some(target) = account.mailboxes.get_mut(to) else { return no("TRYCREATE", "there is no such mailbox") };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for (uid, held) in copies {
            old.push(uid.to_string());
            new.push(target.deliver(&held.flags.join(" "), &held.internal_date, held.octets).to_string());
        }
        let uid_validity = target.uid_validity;
        if let Some(source) = account.mailboxes.get_mut(from).filter(|_| moves) {
            uids.iter().for_each(|(_, uid)| source.expunge(*uid));
        }
        match self.manner.offers("UIDPLUS") && !old.is_empty() {
            true if moves => {
                self.say(&format!("* OK [COPYUID {uid_validity} {} {}] there", old.join(","), new.join(",")))
            }
            true => return Ok(format!("[COPYUID {uid_validity} {} {}] done", old.join(","), new.join(","))),
            false => {}
        }
        done()
    }

    pub(super) fn append(&mut self, account: &mut Account, name: &str, args: &[Arg]) -> Answer {
        let Some(mailbox) = account.mailboxes.get_mut(name) else {
            return Err("NO [TRYCREATE] there is no such mailbox".to_owned());
        };
        let mut messages = Vec::new();
        let mut rest = args;
        while !rest.is_empty() {
            let (names, behind) = match rest {
                [Arg::List(names), behind @ ..] => (names.as_slice(), behind),
                behind => (&[][..], behind),
            };
            let (date, behind) = match behind {
                [date @ Arg::Text(_), body @ Arg::Text(_), behind @ ..] => ((date.text()?, body), behind),
                [body @ Arg::Text(_), behind @ ..] => (("01-Jan-2020 00:00:00 +0000".to_owned(), body), behind),
                _ => return bad("what is to be appended"),
            };
            let names = names.iter().map(Arg::text).collect::<Result<Vec<_>, _>>()?.join(" ");
            match date {
                (date, Arg::Text(octets)) if !octets.is_empty() => messages.push((names, date, octets.clone())),
                _ => return no("CANNOT", "a message without an octet"),
            }
            rest = behind;
        }
        match messages.len() {
            0 => return bad("no message"),
            1 => {}
            _ => self.needs("MULTIAPPEND")?,
        }
        let uids: Vec<String> = messages
            .into_iter()
            .map(|(names, date, octets)| mailbox.deliver(&names, &date, octets).to_string())
            .collect();
        match self.manner.offers("UIDPLUS") {
            true => Ok(format!("[APPENDUID {} {}] done", mailbox.uid_validity, uids.join(","))),
            false => done(),
        }
    }
}

fn append_literal(line: &mut Vec<u8>, item: &str, octets: &[u8]) {
    line.extend(format!(" {item} {{{}}}\r\n", octets.len()).bytes());
    line.extend_from_slice(octets);
}

/// These lines of a header, with those that continue them, and the empty line.
fn header(octets: &[u8], fields: &str) -> Vec<u8> {
    let mut chosen = Vec::new();
    let mut belongs = false;
    for line in octets.split_inclusive(|octet| *octet == b'\n').take_while(|line| *line != b"\r\n") {
        if !matches!(line, [b' ' | b'\t', ..]) {
            let name = line.split(|octet| *octet == b':').next().unwrap_or_default();
            belongs = fields.split(' ').any(|field| field.as_bytes().eq_ignore_ascii_case(name));
        }
        if belongs {
            chosen.extend_from_slice(line);
        }
    }
    chosen.extend_from_slice(b"\r\n");
    chosen
}
