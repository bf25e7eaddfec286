//! Brings the index up to date with the directories: reads those that have changed, and believes of no message that it is
//! gone before a reading shows it that nothing can have disturbed.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mail::MailboxName;
use crate::store::{Cause, Error};

use super::compare::{Findings, Parted, Stop, compare};
use super::fault;
use super::index::{Arrival, Key, Look, Mailbox, Trust};
use super::keywords::Keywords;
use super::measure::print_of;
use super::pass::{Course, Pass};
use super::stamp::FileStamp;
use super::tree::Tree;

/// How often directories are read until a message that is missing is believed to be gone.
const PASSES: usize = 16;
/// So many rows are written in one transaction, or as many as one mailbox takes.
const ROWS_AT_ONCE: usize = 8192;
/// So many expunges are remembered at least.
const EXPUNGES_KEPT: u32 = 10_000;

/// When directories are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// When they may have changed since this session read them.
    IfChanged,
    /// In any case.
    Afresh,
}

/// What is to be written down of one mailbox.
struct Outcome {
    key: Key,
    name: MailboxName,
    letters: Option<Keywords>,
    look: Look,
    findings: Findings,
    /// What the findings speak of.
    pass: Pass,
}

impl Outcome {
    /// How many rows it stands for, in what has to be written or in what is held in memory until it is.
    fn len(&self) -> usize {
        self.findings.len().max(self.pass.len())
    }
}

/// What came of one reading.
enum Reading {
    /// Nothing looks as if it had changed.
    Unchanged,
    /// This.
    Certain(Outcome),
    /// This, but a message that is missing may still be there. To be read again after a tick of the file system's clock.
    Doubtful(Outcome, Duration),
}

impl Tree {
    /// Brings the index up to date with these mailboxes. What fails of one is no matter to the others.
    pub(super) fn refresh(
        &mut self,
        names: &[MailboxName],
        depth: Depth,
    ) -> Result<BTreeMap<MailboxName, Error>, Error> {
        let mut failed = BTreeMap::new();
        let mut open: Vec<MailboxName> = names.to_vec();
        for pass in 0..PASSES {
            let mut doubtful = Vec::new();
            let mut pause = Duration::ZERO;
            let mut outcomes: Vec<Outcome> = Vec::new();
            for name in open {
                let depth = if pass == 0 { depth } else { Depth::Afresh };
                match self.reading(&name, depth) {
                    Ok(Reading::Unchanged) => {}
                    Ok(Reading::Certain(outcome)) => outcomes.push(outcome),
                    Ok(Reading::Doubtful(outcome, tick)) => {
                        outcomes.push(outcome);
                        pause = pause.max(tick);
                        doubtful.push(name);
                    }
                    Err(error) if error.reach > crate::store::Reach::Mailbox => return Err(error),
                    Err(error) => drop(failed.insert(name, error)),
                }
                if outcomes.iter().map(Outcome::len).sum::<usize>() > ROWS_AT_ONCE {
                    self.write_down(std::mem::take(&mut outcomes))?;
                }
            }
            self.write_down(outcomes)?;
            open = doubtful;
            if open.is_empty() {
                return Ok(failed);
            }
            sleep(pause);
        }
        for name in open {
            let text = format!("the directories of \"{name}\" kept changing while they were read");
            failed.insert(name, Error::mailbox(Cause::Storage, text));
        }
        Ok(failed)
    }

    /// The same of one mailbox, whose row it answers.
    pub(super) fn refreshed(&mut self, name: &MailboxName, depth: Depth) -> Result<Mailbox, Error> {
        if let Some(error) = self.refresh(std::slice::from_ref(name), depth)?.remove(name) {
            return Err(error);
        }
        self.index.mailbox(name)?.ok_or_else(|| fault::gone(name))
    }

    fn reading(&mut self, name: &MailboxName, depth: Depth) -> Result<Reading, Error> {
        let told = |errno| fault::of_mailbox(errno, name, "read");
        let mailbox = self.index.mailbox(name)?.ok_or_else(|| fault::gone(name))?;
        let folders = self.folders(name, "read")?;
        let stamps = folders.stamps().map_err(told)?;
        if depth == Depth::IfChanged && self.is_known(&mailbox, |look| look.stamps == stamps) {
            return Ok(Reading::Unchanged);
        }
        let begun = now();
        let pass = Pass::read(&folders, mailbox.status.messages).map_err(told)?;
        // They look so since then at the latest, however long the reading was kept waiting.
        let seen = now();
        let letters = match mailbox.look {
            Some(look) if look.stamps.keywords == pass.stamps.keywords => mailbox.letters.clone(),
            _ => super::keyword_file::read(&folders).map_err(told)?,
        };
        let mut findings = match compare(&self.index, &mailbox, &letters, &folders, &pass) {
            Ok(findings) => findings,
            Err(Stop::System(errno)) => return Err(told(errno)),
            Err(Stop::Index(error)) => return Err(error.into()),
        };
        let since = match mailbox.look {
            // A clock that was set back begins anew.
            Some(look) if look.stamps == pass.stamps && look.since <= begun => look.since,
            _ => seen,
        };
        let tick = pass.stamps.tick();
        let aged = begun.checked_sub(since).and_then(|age| u128::try_from(age).ok());
        let mut settled = pass.course == Course::Steady && aged.is_some_and(|age| age >= tick.as_nanos());
        if settled && !findings.missing.is_empty() {
            // What was listed and had another name when it was looked at is not gone.
            settled = folders.stamps().map_err(told)? == pass.stamps;
        }
        let trust = if settled { Trust::Settled } else { Trust::Fresh };
        let look = Look { stamps: pass.stamps, since, trust };
        let doubtful = !settled && !findings.missing.is_empty();
        if doubtful {
            findings.missing.clear();
        }
        self.read.insert(mailbox.key);
        let is_known = findings.is_empty() && mailbox.look == Some(look) && mailbox.letters == letters;
        let letters = (mailbox.letters != letters).then_some(letters);
        let outcome = Outcome { key: mailbox.key, name: mailbox.name, letters, look, findings, pass };
        Ok(match doubtful {
            true => Reading::Doubtful(outcome, tick),
            false if is_known => Reading::Unchanged,
            false => Reading::Certain(outcome),
        })
    }

    /// Whether a mailbox's directories need not be read.
    fn is_known(&self, mailbox: &Mailbox, looks_so: impl FnOnce(&Look) -> bool) -> bool {
        let worth = |look: &Look| look.trust == Trust::Settled || self.read.contains(&mailbox.key);
        mailbox.look.is_some_and(|look| worth(&look) && looks_so(&look))
    }

    fn write_down(&mut self, mut outcomes: Vec<Outcome>) -> Result<(), Error> {
        if outcomes.is_empty() {
            return Ok(());
        }
        self.give_keywords_back(&mut outcomes)?;
        self.index.change(|change| {
            for Outcome { key, letters, look, findings, pass, .. } in &outcomes {
                if let Some(letters) = letters {
                    change.set_letters(*key, letters)?;
                }
                change.set_look(*key, look)?;
                findings.replaced.iter().try_for_each(|(uid, stamp)| change.set_stamp(*key, *uid, stamp))?;
                let Findings { fresh, arrived, renamed, renamed_apart, rewritten, missing, .. } = findings;
                if fresh.is_empty()
                    && arrived.is_empty()
                    && renamed.is_empty()
                    && rewritten.is_empty()
                    && missing.is_empty()
                {
                    continue;
                }
                let modseq = change.next_modseq(*key)?;
                let gone = missing.iter().chain(rewritten);
                gone.clone().try_for_each(|uid| change.expunge(*key, modseq, *uid))?;
                // One may have the name that another one had.
                renamed_apart.iter().try_for_each(|uid| change.free_name(*key, *uid))?;
                renamed.iter().try_for_each(|filed| change.refile(*key, modseq, filed))?;
                findings.arrivals(pass).try_for_each(|arrival| change.file(*key, modseq, &arrival).map(drop))?;
                if gone.count() > 0 {
                    change.forget_expunges(*key, EXPUNGES_KEPT)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Gives files that were moved from one mailbox to another the keywords that only the index knows: who moved them
    /// could not see them, and so cannot have meant to take them off.
    fn give_keywords_back(&mut self, outcomes: &mut [Outcome]) -> Result<(), Error> {
        for outcome in &mut *outcomes {
            self.parted.extend(outcome.findings.parted.drain(..));
        }
        if self.parted.is_empty() && !self.index.holds_keywords()? {
            return Ok(());
        }
        for Outcome { name, findings, pass, .. } in outcomes {
            let mut given = Vec::new();
            for (at, fresh) in findings.fresh.iter().enumerate() {
                if let Some((print, keywords)) = self.keywords_of(name, &fresh.stamp, || fresh.arrival(pass))? {
                    given.push((at, Arrival { print: Some(print), keywords, ..fresh.arrival(pass) }));
                }
            }
            for arrival in findings.arrived.iter_mut().filter(|arrival| arrival.keywords.is_empty()) {
                if let Some((print, keywords)) = self.keywords_of(name, &arrival.stamp, || arrival.clone())? {
                    (arrival.print, arrival.keywords) = (Some(print), keywords);
                }
            }
            if !given.is_empty() {
                let mut at = 0..;
                findings
                    .fresh
                    .retain(|_| at.next().is_none_or(|at| given.binary_search_by_key(&at, |it| it.0).is_err()));
                findings.arrived.extend(given.into_iter().map(|(_, arrival)| arrival));
                findings.put_in_order(pass);
            }
        }
        Ok(())
    }

    /// The keywords, in the index alone, of the message that a new file is, and who that is.
    fn keywords_of(
        &self,
        name: &MailboxName,
        stamp: &FileStamp,
        arrival: impl FnOnce() -> Arrival,
    ) -> Result<Option<Parted>, Error> {
        let parted = match self.parted.get(stamp) {
            Some(parted) => Some(parted.clone()),
            None => self.index.bearing_keywords(stamp)?.and_then(|it| Some((it.print?, it.keywords))),
        };
        let Some((print, keywords)) = parted else { return Ok(None) };
        // The stamp alone proves nothing: what has gone leaves its inode to what comes.
        let (folders, arrival) = (self.folders(name, "read")?, arrival());
        let read = print_of(&folders, arrival.folder, &arrival.file_name());
        let is_it = read.map_err(|errno| fault::of_mailbox(errno, name, "read"))? == Some(print);
        Ok(is_it.then_some((print, keywords)))
    }
}

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
