//! An IMAP server in memory: it announces what it is told to, does that by the RFCs, and answers BAD to all else.
//!
//! What it holds is an [`Account`] that it shares with other sessions and with the test. A session shows a mailbox as its
//! client was told it is: what others do is not there until EXISTS, EXPUNGE, VANISHED or FETCH has said so, which happens
//! in NOOP, where messages are expunged or appended, and as often as [`Manner::pushes`] says.

#[path = "account.rs"]
pub(crate) mod account;
#[path = "command.rs"]
mod command;
#[path = "deflated.rs"]
mod deflated;
#[path = "messages.rs"]
mod messages;

use std::io;
use std::sync::{Arc, Mutex};

use account::{Account, Held, Mailbox};
use command::{Arg, hear};
use deflated::deflated;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

/// What a server is like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// What it can do, between blanks, IMAP4rev1 included.
    pub(crate) capabilities: String,
    /// Who must log in, with which password; nobody where it greets with PREAUTH.
    pub(crate) login: Option<(String, String)>,
    /// What it does as not all do.
    pub(crate) habits: Vec<Habit>,
    /// Bit by bit, over and over: whether what others did is told at the next occasion: before a command, behind it, in
    /// the middle of SELECT or of FETCH.
    pub(crate) pushes: u64,
    /// After how many commands it hangs up: the last one is carried out, and not answered.
    pub(crate) endurance: Option<u32>,
    /// On how many messages at most a command is carried out, from the highest UID down (MESSAGELIMIT, RFC 9738).
    pub(crate) message_limit: Option<usize>,
}

/// What servers may do, and few do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Without QRESYNC, an expunge does not raise HIGHESTMODSEQ: no message has changed.
    ExpungeKeepsModSeq,
    /// SELECT does not tell UIDNEXT (Courier; RFC 3501 §6.3.1 lets it).
    NoUidNext,
    /// NO comes without the codes of RFC 5530.
    BareRefusals,
    /// A FETCH or STORE of messages of which it has not told yet that they are gone ends with NO (RFC 2180 §4.1.2, §4.2.2).
    MissesTheGone,
}

impl Manner {
    fn offers(&self, capability: &str) -> bool {
        self.capabilities.split(' ').any(|offered| offered.eq_ignore_ascii_case(capability))
    }

    /// Whether a literal of that size may follow unasked (RFC 7888).
    fn may_run_on(&self, size: usize) -> bool {
        self.offers("LITERAL+") || (self.offers("LITERAL-") && size <= 4096)
    }

    fn has(&self, habit: Habit) -> bool {
        self.habits.contains(&habit)
    }
}

/// Serves one client until it leaves.
pub(crate) fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    account: &Arc<Mutex<Account>>,
    manner: Manner,
) {
    let authenticated = manner.login.is_none();
    let session = Session {
        account: account.clone(),
        manner,
        authenticated,
        compression: Compression::Off,
        condstore: false,
        qresync: false,
        selected: None,
        out: Vec::new(),
    };
    // That the client hangs up is no error of the server's.
    let stream: Box<dyn Octets> = Box::new(stream);
    tokio::spawn(async move { session.run(BufReader::new(stream)).await.ok() });
}

trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

struct Session {
    account: Arc<Mutex<Account>>,
    manner: Manner,
    authenticated: bool,
    compression: Compression,
    /// Whether a command has made this session aware of mod-sequences (RFC 7162 §3.1).
    condstore: bool,
    qresync: bool,
    selected: Option<Selected>,
    out: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Off,
    /// It begins behind the answer.
    Agreed,
    On,
}

/// The mailbox that is selected, as the client knows it.
struct Selected {
    name: String,
    uid_validity: u32,
    read_only: bool,
    /// In the order of the sequence numbers.
    shown: Vec<Shown>,
}

/// A message that the client was told of, and the mod-sequence that it had then.
struct Shown {
    uid: u32,
    modseq: u64,
}

/// The commands that need a mailbox to be selected.
const SELECTED_STATE: [&str; 9] =
    ["UNSELECT", "CLOSE", "EXPUNGE", "UID FETCH", "UID SEARCH", "UID STORE", "UID EXPUNGE", "UID COPY", "UID MOVE"];

const NOTHING_SELECTED: &str = "no mailbox is selected";

const NO_MODSEQ: &str = "the mailbox keeps no mod-sequences";

/// Behind OK, or all that stands behind the tag.
type Answer = Result<String, String>;

impl Session {
    async fn run(mut self, mut stream: BufReader<Box<dyn Octets>>) -> io::Result<()> {
        let greeting = if self.authenticated { "* PREAUTH ready\r\n" } else { "* OK ready\r\n" };
        stream.write_all(greeting.as_bytes()).await?;
        loop {
            let args = match hear(&mut stream, |size| self.manner.may_run_on(size)).await? {
                Ok(args) => args,
                Err(offence) => {
                    stream.write_all(format!("* BYE {offence}\r\n").as_bytes()).await?;
                    return self.note(offence);
                }
            };
            let leaves = args.get(1).is_some_and(|name| name.is("LOGOUT"));
            self.carry_out(&args);
            self.manner.endurance = self.manner.endurance.map(|left| left.saturating_sub(1));
            if self.manner.endurance == Some(0) {
                return Ok(());
            }
            stream.write_all(&std::mem::take(&mut self.out)).await?;
            stream.flush().await?;
            if leaves {
                return Ok(());
            }
            if self.compression == Compression::Agreed {
                // What follows is deflated, so that it cannot have been sent before the answer was known.
                if !stream.buffer().is_empty() {
                    self.note("more behind COMPRESS".to_owned())?;
                }
                stream = BufReader::new(Box::new(deflated(stream)));
                self.compression = Compression::On;
            }
        }
    }

    fn note(&self, offence: String) -> io::Result<()> {
        self.account.lock().unwrap().offences.push(offence);
        Ok(())
    }

    fn carry_out(&mut self, args: &[Arg]) {
        let shared = self.account.clone();
        let mut account = shared.lock().unwrap();
        self.pass_time(&mut account);
        let (tag, name, rest) = match args {
            [Arg::Word(tag), Arg::Word(uid), Arg::Word(name), rest @ ..] if uid.eq_ignore_ascii_case("UID") => {
                (tag.as_str(), format!("UID {}", name.to_ascii_uppercase()), rest)
            }
            [Arg::Word(tag), Arg::Word(name), rest @ ..] => (tag.as_str(), name.to_ascii_uppercase(), rest),
            _ => ("*", String::new(), args),
        };
        account.heard.push(name.clone());
        let answer = self.perform(&mut account, tag, &name, rest);
        // Of what was appended, a server SHOULD tell at once (RFC 9051 §6.3.12). Old ones do not.
        let tells = matches!(name.as_str(), "NOOP" | "EXPUNGE" | "UID EXPUNGE" | "UID MOVE")
            || name == "APPEND" && self.qresync;
        if self.pushes() || tells {
            self.tell_news(&account);
        }
        let line = match answer {
            Ok(text) => format!("OK {text}"),
            Err(text) if text.starts_with("NO [") && self.manner.has(Habit::BareRefusals) => "NO not so".to_owned(),
            Err(text) => text,
        };
        // Who sends several commands at once cannot know what the first one will tell.
        let pardoned =
            line.ends_with(NO_MODSEQ) || line.ends_with(NOTHING_SELECTED) && SELECTED_STATE.contains(&name.as_str());
        if line.starts_with("BAD") && !pardoned {
            account.offences.push(format!("{name} {rest:?}: {line}"));
        }
        self.say(&format!("{tag} {line}"));
    }

    /// Others do something, and perhaps the client is told.
    fn pass_time(&mut self, account: &mut Account) {
        account.pass_time();
        if self.pushes() {
            self.tell_news(account);
        }
    }

    /// Whether it is time to tell what others did.
    fn pushes(&mut self) -> bool {
        let now = self.manner.pushes & 1 == 1;
        self.manner.pushes = self.manner.pushes.rotate_right(1);
        now
    }

    fn perform(&mut self, account: &mut Account, tag: &str, command: &str, args: &[Arg]) -> Answer {
        match (command, args) {
            ("CAPABILITY", []) => self.say(&format!("* CAPABILITY {}", self.manner.capabilities)),
            ("NOOP", []) => {}
            ("LOGOUT", []) => self.say("* BYE until next time"),
            ("LOGIN", [user, password]) if !self.authenticated => {
                self.authenticated = self.manner.login == Some((user.text()?, password.text()?));
                return if self.authenticated { done() } else { no("AUTHENTICATIONFAILED", "who is that") };
            }
            _ if !self.authenticated => return bad("nobody has logged in"),
            ("ENABLE", names) => {
                self.needs("ENABLE")?;
                self.qresync |= names.iter().any(|name| name.is("QRESYNC")) && self.manner.offers("QRESYNC");
                self.condstore |= names.iter().any(|name| name.is("CONDSTORE")) && self.manner.offers("CONDSTORE");
                self.condstore |= self.qresync;
                let enabled = [("CONDSTORE", self.condstore), ("QRESYNC", self.qresync)];
                let enabled = enabled.iter().filter(|(name, on)| *on && names.iter().any(|asked| asked.is(name)));
                self.say(&format!("* ENABLED{}", enabled.map(|(name, _)| format!(" {name}")).collect::<String>()));
            }
            ("COMPRESS", [algorithm]) if algorithm.is("DEFLATE") => {
                self.needs("COMPRESS=DEFLATE")?;
                if self.compression == Compression::On {
                    return no("COMPRESSIONACTIVE", "it is on");
                }
                self.compression = Compression::Agreed;
            }
            ("NAMESPACE", []) => {
                self.needs("NAMESPACE")?;
                self.say("* NAMESPACE ((\"\" \"/\")) NIL NIL");
            }
            ("ID", [_]) => {
                self.needs("ID")?;
                self.say("* ID (\"name\" \"memory\")");
            }
            ("LIST", [Arg::List(select), _, patterns, rest @ ..]) => {
                self.needs("LIST-EXTENDED")?;
                return self.list(account, select, patterns, rest);
            }
            ("LIST", [_, patterns, rest @ ..]) => return self.list(account, &[], patterns, rest),
            ("LSUB", [_, pattern]) => {
                let pattern = pattern.text()?;
                for name in account.subscribed.iter().filter(|name| glob(pattern.as_bytes(), name.as_bytes())) {
                    self.say(&format!("* LSUB () \"/\" {}", quoted(name)));
                }
            }
            ("STATUS", [name, Arg::List(items)]) => {
                let line = self.status(account, &name.mailbox()?, items)?;
                self.say(&line);
            }
            ("CREATE", [name]) => {
                let name = name.mailbox()?;
                if account.mailboxes.contains_key(&name) {
                    return no("ALREADYEXISTS", "there is one");
                }
                account.create(&name);
            }
            ("DELETE", [name]) if account.mailboxes.remove(&name.mailbox()?).is_none() => return nonexistent(),
            ("RENAME", [from, to]) => return rename(account, &from.mailbox()?, &to.mailbox()?),
            ("DELETE", [_]) => {}
            ("SUBSCRIBE", [name]) => _ = account.subscribed.insert(name.mailbox()?),
            ("UNSUBSCRIBE", [name]) => _ = account.subscribed.remove(&name.mailbox()?),
            ("APPEND", [name, messages @ ..]) => return self.append(account, &name.mailbox()?, messages),
            ("SELECT" | "EXAMINE", [name, parameters @ ..]) => {
                let name = name.mailbox()?;
                return self.select(account, &name, parameters, command == "EXAMINE");
            }
            _ => return self.perform_selected(account, tag, command, args),
        }
        done()
    }

    fn perform_selected(&mut self, account: &mut Account, tag: &str, command: &str, args: &[Arg]) -> Answer {
        let Some(selected) = &self.selected else { return bad(NOTHING_SELECTED) };
        let (name, read_only) = (selected.name.clone(), selected.read_only);
        if command == "UNSELECT" || command == "CLOSE" {
            self.needs(if command == "UNSELECT" { "UNSELECT" } else { "IMAP4rev1" })?;
            if let Some(mailbox) = account.mailboxes.get_mut(&name).filter(|_| command == "CLOSE" && !read_only) {
                expunge(mailbox, &selected.uids());
            }
            self.selected = None;
            return done();
        }
        let current = account.mailboxes.get_mut(&name).filter(|mailbox| mailbox.uid_validity == selected.uid_validity);
        let Some(mailbox) = current else { return no("NONEXISTENT", "the mailbox is gone") };
        match (command, args) {
            ("UID FETCH", [set, items, modifiers @ ..]) => {
                let (uids, code) = self.limited(selected.choose(&set.text()?)?);
                let since = match modifiers {
                    [] => 0,
                    [Arg::List(modifiers)] => self.condition(mailbox, modifiers, "CHANGEDSINCE")?,
                    _ => return bad("what follows the items"),
                };
                self.fetch(account, &name, &uids, items.several(), since).map(|done| code + &done)
            }
            ("UID SEARCH", keys) => self.search(mailbox, tag, keys),
            ("UID STORE" | "UID EXPUNGE" | "EXPUNGE" | "UID MOVE", _) if read_only => no("NOPERM", "it is read-only"),
            ("UID STORE", [set, rest @ ..]) => {
                let (uids, code) = self.limited(selected.choose(&set.text()?)?);
                self.store(mailbox, &uids, rest).map(|done| code + &done)
            }
            ("EXPUNGE", []) => {
                // Whether the client has heard of them or not.
                let all: Vec<(usize, u32)> = mailbox.messages.keys().map(|uid| (0, *uid)).collect();
                expunge(mailbox, &all);
                done()
            }
            ("UID EXPUNGE", [set]) => {
                self.needs("UIDPLUS")?;
                let (uids, code) = self.limited(selected.choose(&set.text()?)?);
                expunge(mailbox, &uids);
                match self.qresync && mailbox.shows_modseqs {
                    true if code.is_empty() => Ok(format!("[HIGHESTMODSEQ {}] done", mailbox.modseq)),
                    _ => done().map(|done| code + &done),
                }
            }
            ("UID COPY" | "UID MOVE", [set, target]) => {
                if command == "UID MOVE" {
                    self.needs("MOVE")?;
                }
                let uids = selected.choose(&set.text()?)?;
                self.copy(account, &name, &uids, &target.mailbox()?, command == "UID MOVE")
            }
            _ => bad("no such command"),
        }
    }

    /// Those of these messages on which a command is carried out, and what OK then says of it.
    fn limited(&self, mut uids: Vec<(usize, u32)>) -> (Vec<(usize, u32)>, String) {
        let limit = self.manner.message_limit.unwrap_or(usize::MAX);
        if uids.len() <= limit {
            return (uids, String::new());
        }
        uids.drain(..uids.len() - limit);
        let code = format!("[MESSAGELIMIT {limit} {}] ", uids[0].1);
        (uids, code)
    }

    fn select(&mut self, account: &mut Account, name: &str, parameters: &[Arg], read_only: bool) -> Answer {
        let parameters = match parameters {
            [] => &[],
            [Arg::List(parameters)] => parameters.as_slice(),
            _ => return bad("what follows the name"),
        };
        if let [parameter, ..] = parameters {
            let is_resync = parameter.is("QRESYNC");
            self.needs(if is_resync { "QRESYNC" } else { "CONDSTORE" })?;
            if is_resync != (parameters.len() == 2) || !(is_resync || parameter.is("CONDSTORE")) {
                return bad("what are these parameters");
            }
            if is_resync && !self.qresync {
                return bad("QRESYNC is not enabled");
            }
            self.condstore = true;
        }
        if self.selected.take().is_some() && self.qresync {
            self.say("* OK [CLOSED] the one before");
        }
        let Some(mailbox) = account.mailboxes.get(name) else { return nonexistent() };
        let shown: Vec<Shown> =
            mailbox.messages.iter().map(|(uid, held)| Shown { uid: *uid, modseq: held.modseq }).collect();
        self.say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)");
        self.say(&format!("* {} EXISTS", shown.len()));
        self.say("* 0 RECENT");
        self.say(&format!("* OK [UIDVALIDITY {}] stays", mailbox.uid_validity));
        if !self.manner.has(Habit::NoUidNext) {
            self.say(&format!("* OK [UIDNEXT {}] comes next", mailbox.uid_next));
        }
        if self.manner.offers("CONDSTORE") {
            match mailbox.shows_modseqs {
                true => self.say(&format!("* OK [HIGHESTMODSEQ {}] so far", self.highest_modseq(mailbox))),
                false => self.say("* OK [NOMODSEQ] not here"),
            }
        }
        let kept = if read_only { "" } else { "\\Answered \\Flagged \\Deleted \\Seen \\Draft \\*" };
        self.say(&format!("* OK [PERMANENTFLAGS ({kept})] are kept"));
        if let [_, Arg::List(known)] = parameters {
            self.resync(mailbox, known)?;
        }
        let (name, uid_validity) = (name.to_owned(), mailbox.uid_validity);
        self.selected = Some(Selected { name, uid_validity, read_only, shown });
        self.pass_time(account);
        Ok(format!("[READ-{}] done", if read_only { "ONLY" } else { "WRITE" }))
    }

    /// What has changed since the client looked last (RFC 7162 §3.2.5).
    fn resync(&mut self, mailbox: &Mailbox, known: &[Arg]) -> Result<(), String> {
        let [uid_validity, modseq, ..] = known else { return Err("BAD two numbers at least".to_owned()) };
        let since = modseq.number()?;
        if uid_validity.number()? != u64::from(mailbox.uid_validity) || !mailbox.shows_modseqs {
            return Ok(());
        }
        let gone = mailbox.expunged.iter().filter(|(_, modseq)| *modseq > since);
        let gone: Vec<u32> = gone.map(|(uid, _)| *uid).collect();
        if !gone.is_empty() {
            self.say(&format!("* VANISHED (EARLIER) {}", sequence_set(&gone)));
        }
        for (at, (uid, held)) in mailbox.messages.iter().enumerate().filter(|(_, (_, held))| held.modseq > since) {
            self.say(&format!("* {} FETCH (UID {uid} {} MODSEQ ({}))", at + 1, flags(held), held.modseq));
        }
        Ok(())
    }

    fn highest_modseq(&self, mailbox: &Mailbox) -> u64 {
        match self.manner.has(Habit::ExpungeKeepsModSeq) && !self.manner.offers("QRESYNC") {
            true => mailbox.modseq_of_messages,
            false => mailbox.modseq,
        }
    }

    /// Tells what others did to the mailbox that is selected.
    fn tell_news(&mut self, account: &Account) {
        let Some(mut selected) = self.selected.take() else { return };
        let current = account.mailboxes.get(&selected.name);
        if let Some(mailbox) = current.filter(|mailbox| mailbox.uid_validity == selected.uid_validity) {
            let is_gone = |shown: &Shown| !mailbox.messages.contains_key(&shown.uid);
            let gone: Vec<usize> = (0..selected.shown.len()).rev().filter(|at| is_gone(&selected.shown[*at])).collect();
            if self.qresync && !gone.is_empty() {
                let uids: Vec<u32> = gone.iter().rev().map(|at| selected.shown[*at].uid).collect();
                self.say(&format!("* VANISHED {}", sequence_set(&uids)));
            }
            for at in gone {
                selected.shown.remove(at);
                if !self.qresync {
                    self.say(&format!("* {} EXPUNGE", at + 1));
                }
            }
            for (at, shown) in selected.shown.iter_mut().enumerate() {
                let Some(held) = mailbox.messages.get(&shown.uid).filter(|held| held.modseq > shown.modseq) else {
                    continue;
                };
                shown.modseq = held.modseq;
                // Without QRESYNC, what nobody asked for is told by its number alone (RFC 7162 §3.2.4).
                let uid = if self.qresync { format!("UID {} ", shown.uid) } else { String::new() };
                let line = format!("* {} FETCH ({uid}{}{})", at + 1, flags(held), self.modseq_of(mailbox, held));
                self.say(&line);
            }
            let last = selected.shown.last().map_or(0, |shown| shown.uid);
            let new = mailbox.messages.range(last + 1..);
            let before = selected.shown.len();
            selected.shown.extend(new.map(|(uid, held)| Shown { uid: *uid, modseq: held.modseq }));
            if selected.shown.len() > before {
                self.say(&format!("* {} EXISTS", selected.shown.len()));
            }
        }
        self.selected = Some(selected);
    }

    fn modseq_of(&self, mailbox: &Mailbox, held: &Held) -> String {
        let shows = self.condstore && mailbox.shows_modseqs;
        if shows { format!(" MODSEQ ({})", held.modseq) } else { String::new() }
    }

    fn list(&mut self, account: &Account, select: &[Arg], patterns: &Arg, rest: &[Arg]) -> Answer {
        let options = match rest {
            [] => &[],
            [word, Arg::List(options)] if word.is("RETURN") => {
                self.needs("LIST-EXTENDED")?;
                options.as_slice()
            }
            _ => return bad("what follows the patterns"),
        };
        if matches!(patterns, Arg::List(_)) {
            self.needs("LIST-EXTENDED")?;
        }
        let patterns = patterns.several().iter().map(Arg::text).collect::<Result<Vec<_>, _>>()?;
        if patterns == [""] {
            self.say("* LIST (\\Noselect) \"/\" \"\"");
            return done();
        }
        let only_subscribed = select.iter().any(|option| option.is("SUBSCRIBED"));
        let status = match options.iter().position(|option| option.is("STATUS")).map(|at| options.get(at + 1)) {
            Some(Some(Arg::List(items))) => {
                self.needs("LIST-STATUS")?;
                Some(items)
            }
            Some(_) => return bad("STATUS without items"),
            None => None,
        };
        let tells_uses = options.iter().any(|option| option.is("SPECIAL-USE"));
        if tells_uses {
            self.needs("SPECIAL-USE")?;
        }
        let tells_subscribed = only_subscribed || options.iter().any(|option| option.is("SUBSCRIBED"));
        let names = account.mailboxes.keys().chain(account.subscribed.iter().filter(|_| tells_subscribed));
        let names: std::collections::BTreeSet<&String> = names.collect();
        for name in names {
            let (there, subscribed) = (account.mailboxes.contains_key(name), account.subscribed.contains(name));
            let wanted = if only_subscribed { subscribed } else { there };
            if !wanted || !patterns.iter().any(|pattern| glob(pattern.as_bytes(), name.as_bytes())) {
                continue;
            }
            let uses = account.special_uses.get(name).filter(|_| tells_uses);
            let attributes: Vec<&str> = [(tells_subscribed && subscribed, "\\Subscribed"), (!there, "\\NonExistent")]
                .into_iter()
                .filter_map(|(bears, attribute)| bears.then_some(attribute))
                .chain(uses.map(String::as_str))
                .collect();
            self.say(&format!("* LIST ({}) \"/\" {}", attributes.join(" "), quoted(name)));
            if let Some(items) = status.filter(|_| there) {
                let line = self.status(account, name, items)?;
                self.say(&line);
            }
        }
        done()
    }

    fn status(&mut self, account: &Account, name: &str, items: &[Arg]) -> Answer {
        let Some(mailbox) = account.mailboxes.get(name) else { return nonexistent() };
        let mut told = Vec::new();
        for item in items {
            let item = item.text()?.to_ascii_uppercase();
            let value = match item.as_str() {
                "MESSAGES" => mailbox.messages.len() as u64,
                "UIDNEXT" => u64::from(mailbox.uid_next),
                "UIDVALIDITY" => u64::from(mailbox.uid_validity),
                "HIGHESTMODSEQ" => {
                    self.needs("CONDSTORE")?;
                    self.condstore = true;
                    if mailbox.shows_modseqs { self.highest_modseq(mailbox) } else { 0 }
                }
                _ => return bad("no such item"),
            };
            told.push(format!("{item} {value}"));
        }
        Ok(format!("* STATUS {} ({})", quoted(name), told.join(" ")))
    }

    fn needs(&self, capability: &str) -> Result<(), String> {
        match self.manner.offers(capability) {
            true => Ok(()),
            false => Err(format!("BAD {capability} is not offered")),
        }
    }

    fn say(&mut self, line: &str) {
        self.out.extend(line.bytes().chain(*b"\r\n"));
    }
}

impl Selected {
    /// The number of a message of which the client learns now how it is.
    fn tell(&mut self, uid: u32, held: &Held) -> Option<usize> {
        let at = self.shown.iter().position(|shown| shown.uid == uid)?;
        self.shown[at].modseq = held.modseq;
        Some(at + 1)
    }

    /// Every message with its number.
    fn uids(&self) -> Vec<(usize, u32)> {
        self.shown.iter().enumerate().map(|(at, shown)| (at + 1, shown.uid)).collect()
    }

    /// Those of a sequence-set of UIDs (RFC 9051 §9).
    fn choose(&self, set: &str) -> Result<Vec<(usize, u32)>, String> {
        let last = self.shown.last().map_or(0, |shown| shown.uid);
        let number = |text: &str| match text {
            "*" => Ok(last),
            text => text.parse().ok().filter(|number| *number > 0).ok_or_else(|| format!("BAD what is UID {text}")),
        };
        let mut ranges = Vec::new();
        for range in set.split(',') {
            let (from, to) = range.split_once(':').unwrap_or((range, range));
            let (from, to): (u32, u32) = (number(from)?, number(to)?);
            ranges.push(from.min(to)..=from.max(to));
        }
        let chosen = |(_, uid): &(usize, u32)| ranges.iter().any(|range| range.contains(uid));
        Ok(self.uids().into_iter().filter(chosen).collect())
    }
}

fn done() -> Answer {
    Ok("done".to_owned())
}

fn bad(text: &str) -> Answer {
    Err(format!("BAD {text}"))
}

fn no(code: &str, text: &str) -> Answer {
    Err(format!("NO [{code}] {text}"))
}

fn nonexistent() -> Answer {
    no("NONEXISTENT", "there is no such mailbox")
}

fn rename(account: &mut Account, from: &str, to: &str) -> Answer {
    let below = format!("{from}/");
    let moved = |name: &str| name == from || name.starts_with(&below);
    if !account.mailboxes.contains_key(from) {
        return nonexistent();
    }
    if account.mailboxes.contains_key(to) {
        return no("ALREADYEXISTS", "there is one");
    }
    let names: Vec<String> = account.mailboxes.keys().filter(|name| moved(name)).cloned().collect();
    for name in names {
        if let Some(mailbox) = account.mailboxes.remove(&name) {
            account.mailboxes.insert(format!("{to}{}", &name[from.len()..]), mailbox);
        }
    }
    done()
}

fn expunge(mailbox: &mut Mailbox, uids: &[(usize, u32)]) {
    for (_, uid) in uids {
        if mailbox.messages.get(uid).is_some_and(|held| held.bears("\\Deleted")) {
            mailbox.expunge(*uid);
        }
    }
}

fn flags(held: &Held) -> String {
    format!("FLAGS ({})", held.flags.join(" "))
}

/// What follows one another stands as a range.
fn sequence_set(uids: &[u32]) -> String {
    let range = |run: &[u32]| match run {
        [one] => one.to_string(),
        run => format!("{}:{}", run[0], run[run.len() - 1]),
    };
    uids.chunk_by(|one, next| one + 1 == *next).map(range).collect::<Vec<_>>().join(",")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `*` is anything, `%` anything within a level.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) if glob(rest, name) => true,
        ([b'%', rest @ ..], _) if glob(rest, name) => true,
        ([b'*', ..], [_, behind @ ..]) => glob(pattern, behind),
        ([b'%', ..], [octet, behind @ ..]) => *octet != b'/' && glob(pattern, behind),
        ([one, rest @ ..], [octet, behind @ ..]) => one == octet && glob(rest, behind),
        _ => false,
    }
}
