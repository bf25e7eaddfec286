//! Recognizes messages that both sides hold although no pair says so, without copying one.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use crate::mail::{
    Both, Checkpoint, Flag, FlagSet, HeaderDigest, MailboxName, Observation, Side, Uid, UidSet, UidValidity,
};
use crate::plan::{Changes, MailboxKey, Pair, PairId, Prints, Skipped, Text, pair_up, rediscover};
use crate::state;
use crate::store::{self, Body, Fetched, Message, Store, UidScope};

use super::event::{Event, MailboxEvent};
use super::look::{Compared, Look, Trip, Uids};
use super::settle::both;
use super::{Halt, Run, Scrutiny, Step};

/// A mailbox as it was found on both sides; `None` for a side that has yet to create it.
pub(super) struct Found<'a> {
    pub(super) key: MailboxKey,
    pub(super) name: &'a MailboxName,
    pub(super) scopes: &'a Both<Option<UidScope>>,
    pub(super) seen: &'a Both<Option<Observation>>,
}

impl Found<'_> {
    /// Whether UIDs of that generation still mean something on `side`.
    pub(super) fn still_means(&self, side: Side, uid_validity: UidValidity) -> bool {
        self.scopes[side].as_ref().is_some_and(|scope| scope.uid_validity == uid_validity)
    }

    fn all(&self, side: Side) -> UidSet {
        self.seen[side].as_ref().map(|seen| seen.messages.uids()).unwrap_or_default()
    }
}

/// Pairs a mailbox anew where the UIDs of a side have lost their meaning. Both sides have been listed in full. First the
/// remembered pairs are found again by their fingerprints, so that the flags last agreed on are not lost; then what is
/// left over on both sides is compared. Nothing is deleted: a pair that is not found again is dissolved, and what a side
/// still holds of it is an arrival. Where UIDs are only doubted, a pair stands if its messages have the header that is
/// remembered, and one of which a message is listed no more stands as well: that message has been expunged. Answers the
/// checkpoints that are remembered from now on.
pub(super) async fn pair_anew(
    run: &mut Run<'_>,
    found: &Found<'_>,
    uids: &Both<Uids>,
) -> Result<Both<Option<Checkpoint>>, Trip> {
    let mut prints: Both<Prints<Uid>> = Both::default();
    for side in Side::BOTH {
        if uids[side] != Uids::Valid {
            prints[side] = fingerprints(run, found, side, &found.all(side)).await?;
        }
    }
    let Stock { standing, lost, mut reflagged } = take_stock(run, found, uids, &prints)?;
    let skipped = run.state.skipped(found.key)?;
    let mut left_out: Both<Prints<Uid>> = Both::default();
    for side in Side::BOTH {
        let known: UidSet = match uids[side] {
            Uids::Doubted => Skipped::on(&skipped, side),
            Uids::Valid | Uids::Void => UidSet::new(),
        };
        prints[side].retain(|uid| !standing[side].contains(uid));
        left_out[side] = prints[side].take_out(|uid| known.contains(uid));
    }
    let void = Both::from_fn(|side| (uids[side] != Uids::Valid).then_some(&prints[side]));
    let again = rediscover(&lost, void);
    for side in Side::BOTH {
        let paired: UidSet = again.kept.iter().map(|(_, uids)| uids[side]).collect();
        let rest = found.all(side).difference(&paired).difference(&standing[side]);
        match uids[side] {
            Uids::Void | Uids::Doubted => {
                prints[side].extend(left_out[side].iter().map(|(uid, print)| (uid, *print)));
                prints[side].retain(|uid| rest.contains(uid));
            }
            Uids::Valid => prints[side] = fingerprints(run, found, side, &rest).await?,
        }
    }
    let fresh = recognized(run, found, &prints).await?;
    let starts: Both<Option<Checkpoint>> =
        Both::from_fn(|side| found.scopes[side].as_ref().map(|scope| Checkpoint::start_of(scope.uid_validity)));
    if !again.kept.is_empty() {
        // Read once more, for there is no room to remember the flags of them all.
        run.state.each_pair(found.key, |id, pair| {
            let flags = again.place_of(id).and_then(|at| without_lost_keywords(found, uids, &pair.flags, at));
            reflagged.extend(flags.map(|flags| (id, flags)));
        })?;
    }
    let moved = |side: Side| -> Vec<(PairId, Uid)> {
        let rows = lost.iter().map(|(pair, _)| pair);
        let moved = rows.filter_map(|(id, was)| Some((id, again.place_of(id)?[side], was[side])));
        moved.filter(|(_, is, was)| is != was).map(|(id, is, _)| (id, is)).collect()
    };
    run.state.commit(|change| {
        change.drop_intents(found.key)?;
        reflagged.iter().try_for_each(|(id, flags)| change.set_flags(*id, flags))?;
        again.dissolved.iter().try_for_each(|(id, _)| change.forget_pair(*id))?;
        for side in Side::BOTH {
            if uids[side] != Uids::Valid {
                change.set_uids(found.key, side, &moved(side))?;
            }
            if uids[side] == Uids::Void {
                change.unskip_all(found.key, side)?;
            }
            // Whatever has been dissolved is new again, which an old checkpoint would hide.
            change.set_checkpoint(found.key, side, starts[side])?;
        }
        for pair in fresh.iter().filter_map(|uids| pair_of(found, &prints, *uids)) {
            change.add_pair(found.key, &pair)?;
            Side::BOTH.into_iter().try_for_each(|side| change.unskip(found.key, side, pair.uids[side]))?;
        }
        Ok(())
    })?;
    let moved = lost.iter().filter(|((id, was), _)| again.place_of(*id).is_some_and(|is| is != *was)).count();
    // A pair whose two messages bear different dates is found again by its contents only: nothing has changed for it.
    let dissolved: BTreeSet<Both<Uid>> = again.dissolved.iter().map(|(_, uids)| *uids).collect();
    let same = fresh.iter().filter(|uids| dissolved.contains(uids)).count();
    let paired = moved + fresh.len() - same;
    if run.order.scrutiny == Scrutiny::Everything {
        let unpaired = Step::of_state("unpair", found.name, again.dissolved.len() - same);
        run.report.differences.extend(Step::of_state("pair", found.name, paired).into_iter().chain(unpaired));
    }
    run.tell_paired(found.name, paired);
    Ok(starts)
}

/// What has become of the pairs of a mailbox where UIDs are doubted or void.
struct Stock {
    /// What is in pairs that stand.
    standing: Both<UidSet>,
    /// The pairs that do not.
    lost: Prints<(PairId, Both<Uid>)>,
    /// What pairs that stand agree on from now on, where that changes.
    reflagged: Vec<(PairId, FlagSet)>,
}

/// Goes through the pairs of a mailbox: where UIDs are only doubted, those stand whose messages are who they were.
fn take_stock(
    run: &Run<'_>,
    found: &Found<'_>,
    uids: &Both<Uids>,
    prints: &Both<Prints<Uid>>,
) -> Result<Stock, state::Error> {
    let doubted: Vec<Side> = Side::BOTH.into_iter().filter(|side| uids[*side] == Uids::Doubted).collect();
    let stands = |pair: &Pair| {
        let is = |side: &Side| {
            let print = prints[*side].get(pair.uids[*side]);
            print.is_some_and(|print| print.header == pair.fingerprint.header)
        };
        let listed = |side: &Side| {
            let seen = found.seen[*side].as_ref();
            seen.is_none_or(|seen| seen.messages.contains(pair.uids[*side]))
        };
        !doubted.is_empty() && (doubted.iter().any(|side| !listed(side)) || doubted.iter().all(is))
    };
    let pairs = run.state.remembered_as(found.key)?.map_or(0, |row| row.pairs);
    let room = if doubted.is_empty() { usize::try_from(pairs).unwrap_or(0) } else { 0 };
    let mut lost = Vec::with_capacity(room);
    let (mut standing, mut reflagged): (Both<UidSet>, _) = (Both::default(), Vec::new());
    run.state.each_pair(found.key, |id, pair| match stands(&pair) {
        true => {
            Side::BOTH.into_iter().for_each(|side| standing[side].extend([pair.uids[side]]));
            let flags = without_lost_keywords(found, uids, &pair.flags, pair.uids);
            reflagged.extend(flags.map(|flags| (id, flags)));
        }
        false => lost.push(((id, pair.uids), pair.fingerprint)),
    })?;
    Ok(Stock { standing, lost: lost.into(), reflagged })
}

/// The flags that a pair agrees on, if a side whose UIDs have lost their meaning shows a keyword of them no more. What has
/// happened to that side may have cost it what it does not keep in the messages: an index of keywords, say. Nobody took
/// the keyword off, so the other side keeps it and gives it back.
fn without_lost_keywords(found: &Found<'_>, uids: &Both<Uids>, agreed: &FlagSet, at: Both<Uid>) -> Option<FlagSet> {
    let is_shown = |side: Side, flag: &Flag| {
        let borne = found.seen[side].as_ref().and_then(|seen| seen.messages.get(at[side]));
        uids[side] == Uids::Valid || borne.is_none_or(|borne| borne.contains(flag))
    };
    let shown = |flag: &Flag| !matches!(flag, Flag::Keyword(_)) || Side::BOTH.into_iter().all(|it| is_shown(it, flag));
    Some(agreed.filtered(shown)).filter(|flags| flags != agreed)
}

/// Whether messages that arrived on both sides are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// None is.
    Nobody,
    /// Some are, and are paired now.
    Some,
    /// That could not be found out, and the mailbox is left alone.
    Trouble,
}

/// Pairs messages that arrived on both sides: at a first run, or because the user did the same thing twice. `meeting` are
/// the mailboxes where that may be; both sides of all of them are asked in one flight.
pub(super) async fn pair_arrivals(
    run: &mut Run<'_>,
    all: &[(Look, Compared)],
    meeting: &[usize],
) -> Result<Vec<Met>, Halt> {
    let meeting: Vec<&(Look, Compared)> = meeting.iter().filter_map(|at| all.get(*at)).collect();
    let scopes: Vec<Both<Option<UidScope>>> = meeting.iter().map(|(look, _)| look.scopes(run)).collect();
    let wanted = Both::from_fn(|side| {
        let of = |((_, compared), scopes): (&&(Look, Compared), &Both<Option<UidScope>>)| {
            Some((scopes[side].clone()?, compared.changes[side].arrived.clone()))
        };
        meeting.iter().zip(&scopes).filter_map(of).collect::<Vec<_>>()
    });
    let Both { local, remote } = prints_of_each(run, &wanted).await?;
    let mut met = Vec::with_capacity(meeting.len());
    let mut paired = Vec::new();
    for (((look, _), scopes), (local, remote)) in meeting.into_iter().zip(&scopes).zip(local.into_iter().zip(remote)) {
        let found = look.found(scopes);
        let prints = match (local, remote) {
            (Ok(local), Ok(remote)) => Ok(Both { local, remote }),
            (Err(error), _) => Err(run.trip(Side::Local, found.name, error)),
            (_, Err(error)) => Err(run.trip(Side::Remote, found.name, error)),
        };
        let fresh = match prints {
            Ok(prints) => recognized(run, &found, &prints).await.map(|fresh| (prints, fresh)),
            Err(trip) => Err(trip),
        };
        met.push(match fresh {
            Ok((_, fresh)) if fresh.is_empty() => Met::Nobody,
            Ok((prints, fresh)) => {
                paired.push((look, scopes, prints, fresh));
                Met::Some
            }
            Err(Trip::Mailbox) => Met::Trouble,
            Err(Trip::Halt(halt)) => return Err(halt),
        });
    }
    if paired.is_empty() {
        return Ok(met);
    }
    run.state.commit(|change| {
        paired.iter().try_for_each(|(look, scopes, prints, fresh)| {
            let mut pairs = fresh.iter().filter_map(|uids| pair_of(&look.found(scopes), prints, *uids));
            pairs.try_for_each(|pair| change.add_pair(look.key, &pair).map(drop))
        })
    })?;
    paired.iter().for_each(|(look, _, _, fresh)| run.tell_paired(&look.place.name, fresh.len()));
    Ok(met)
}

/// Pairs messages that a side took and did not show, and that have arrived there after all; one that equals another
/// there looks merged until then. Says how many.
pub(super) async fn pair_late_ones(
    run: &mut Run<'_>,
    found: &Found<'_>,
    changes: &Both<Changes>,
) -> Result<usize, Trip> {
    let mut late: Vec<Pair> = Vec::new();
    for from in Side::BOTH {
        let target = from.other();
        let arrived = &changes[target].arrived;
        if arrived.is_empty() {
            continue;
        }
        let skipped = run.state.skipped(found.key)?;
        let taken = skipped.iter().filter(|row| row.side == from && row.why.was_taken());
        let ours = fingerprints(run, found, from, &taken.map(|row| row.uid).collect()).await?;
        if ours.is_empty() {
            continue;
        }
        let theirs = fingerprints(run, found, target, arrived).await?;
        let likeness = pair_up(&ours, &theirs);
        let row = |(source, copy): &(Uid, Uid)| both(from, *source, *copy);
        let doubtful: Vec<Both<Uid>> = likeness.doubtful.iter().map(row).collect();
        let same = same_contents(run, found, &doubtful).await?;
        let equal = likeness.certain.iter().map(row).chain(same);
        let pair = |uids: Both<Uid>| {
            // What the source bears now may not have been reported. What the copy bears came from there.
            Some(Pair { uids, flags: FlagSet::new(), fingerprint: *ours.get(uids[from])? })
        };
        late.extend(equal.filter_map(pair));
    }
    if !late.is_empty() {
        run.state.commit(|change| {
            late.iter().try_for_each(|pair| {
                Side::BOTH.into_iter().try_for_each(|side| change.unskip(found.key, side, pair.uids[side]))?;
                change.add_pair(found.key, pair).map(drop)
            })
        })?;
        run.tell_paired(found.name, late.len());
    }
    Ok(late.len())
}

/// The messages that are equal.
async fn recognized(run: &mut Run<'_>, found: &Found<'_>, prints: &Both<Prints<Uid>>) -> Result<Vec<Both<Uid>>, Trip> {
    let likeness = pair_up(&prints.local, &prints.remote);
    let row = |(local, remote): (Uid, Uid)| Both { local, remote };
    let doubtful: Vec<Both<Uid>> = likeness.doubtful.into_iter().map(row).collect();
    let same = same_contents(run, found, &doubtful).await?;
    let mut equal: Vec<Both<Uid>> = likeness.certain.into_iter().map(row).collect();
    equal.extend(same);
    Ok(equal)
}

/// The pair of two equal messages. The flags both hold are what they agree on; every other flag is then somebody's
/// addition.
fn pair_of(found: &Found<'_>, prints: &Both<Prints<Uid>>, uids: Both<Uid>) -> Option<Pair> {
    let flags = |side: Side| found.seen[side].as_ref()?.messages.get(uids[side]);
    let flags = flags(Side::Local)?.intersection(flags(Side::Remote)?);
    Some(Pair { uids, flags, fingerprint: *prints.local.get(uids.local)? })
}

/// So many messages of a side are asked who they are at once: what it says of one costs more memory than what is made of it.
const ASKED_AT_ONCE: u32 = 8192;

/// Who messages of several mailboxes are, on both sides at once, in as few flights as that allows.
async fn prints_of_each(
    run: &mut Run<'_>,
    wanted: &Both<Vec<(UidScope, UidSet)>>,
) -> Result<Both<Vec<Result<Prints<Uid>, store::Error>>>, Halt> {
    let mut prints = wanted.as_ref().map(|of| of.iter().map(|_| Ok(Prints::default())).collect::<Vec<_>>());
    let mut parts = wanted.as_ref().map(|of| {
        let parts = of
            .iter()
            .enumerate()
            .flat_map(|(at, (scope, uids))| uids.parts(ASKED_AT_ONCE).map(move |part| (at, (scope.clone(), part))));
        parts.peekable()
    });
    loop {
        let mut places: Both<Vec<usize>> = Both::default();
        let mut questions: Both<Vec<(UidScope, UidSet)>> = Both::default();
        for side in Side::BOTH {
            let mut left = u64::from(ASKED_AT_ONCE);
            while let Some((at, question)) = parts[side].next_if(|(_, (_, part))| part.len() <= left) {
                left -= question.1.len();
                places[side].push(at);
                questions[side].push(question);
            }
        }
        if questions.local.is_empty() && questions.remote.is_empty() {
            return Ok(prints);
        }
        let answers = run.fingerprints_each(&questions).await?;
        for (side, answers) in [(Side::Local, answers.local), (Side::Remote, answers.remote)] {
            for (at, answer) in places[side].iter().zip(answers) {
                match (&mut prints[side][*at], answer) {
                    (Ok(prints), Ok(more)) => prints.extend(more),
                    (known, Err(error)) => *known = Err(error),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
    }
}

/// Who these messages are.
async fn fingerprints(run: &mut Run<'_>, found: &Found<'_>, side: Side, uids: &UidSet) -> Result<Prints<Uid>, Trip> {
    let Some(scope) = &found.scopes[side] else { return Ok(Prints::default()) };
    let mut prints = Prints::with_capacity(usize::try_from(uids.len()).unwrap_or(0));
    for part in uids.parts(ASKED_AT_ONCE) {
        match run.stores[side].fingerprints(scope, &part).await {
            Ok(found) => prints.extend(found.into_iter().filter(|(uid, _)| part.contains(*uid))),
            Err(error) => return Err(run.trip(side, found.name, error)),
        }
    }
    Ok(prints)
}

/// Which of these are equal but for what servers are known to rewrite.
pub(super) async fn same_contents(
    run: &mut Run<'_>,
    found: &Found<'_>,
    doubtful: &[Both<Uid>],
) -> Result<BTreeSet<Both<Uid>>, Trip> {
    /// So many are compared at once.
    const AT_ONCE: usize = 1024;
    let mut equal = BTreeSet::new();
    for doubtful in doubtful.chunks(AT_ONCE) {
        let mut digests: Both<BTreeMap<Uid, Digests>> = Both::default();
        for side in Side::BOTH {
            let uids: UidSet = doubtful.iter().map(|uids| uids[side]).collect();
            digests[side] = digests_of(run, found, side, &uids).await?;
        }
        let same = |uids: &&Both<Uid>| {
            let of = |side: Side| digests[side].get(&uids[side]).map(|digests| digests.whole);
            of(Side::Local).is_some() && of(Side::Local) == of(Side::Remote)
        };
        equal.extend(doubtful.iter().filter(same));
    }
    Ok(equal)
}

/// What is in these messages; nothing of those that are gone.
pub(super) async fn digests_of(
    run: &mut Run<'_>,
    found: &Found<'_>,
    side: Side,
    uids: &UidSet,
) -> Result<BTreeMap<Uid, Digests>, Trip> {
    match &found.scopes[side] {
        Some(scope) if !uids.is_empty() => match contents(run.stores[side].as_mut(), scope, uids).await {
            Ok(digests) => Ok(digests),
            Err(error) => Err(run.trip(side, found.name, error)),
        },
        _ => Ok(BTreeMap::new()),
    }
}

async fn contents(
    store: &mut dyn Store,
    scope: &UidScope,
    uids: &UidSet,
) -> Result<BTreeMap<Uid, Digests>, store::Error> {
    let (deliver, mut delivered) = mpsc::channel(4);
    let digesting = async {
        let mut digests = BTreeMap::new();
        while let Some(fetched) = delivered.recv().await {
            if let Fetched::Message(message) = fetched {
                let uid = message.uid;
                digests.extend(digest_of(message).await.map(|digest| (uid, digest)));
            }
        }
        digests
    };
    let (fetched, digests) = tokio::join!(store.fetch(scope, uids, deliver), digesting);
    fetched.map(|()| digests)
}

/// The digest of a message; `None` where it broke off.
async fn digest_of(message: Message) -> Option<Digests> {
    let mut digest = ContentDigest::default();
    let mut octets = message.body.head().len() as u64;
    digest.update(message.body.head());
    let origin = ["Message-ID", "Date"].map(|field| HeaderDigest::of_fields(message.body.head(), &[field]));
    if let Body::Streamed { mut rest, .. } = message.body {
        while let Some(chunk) = rest.recv().await {
            octets += chunk.len() as u64;
            digest.update(&chunk);
        }
    }
    (octets == message.size).then(|| digest.finish(origin))
}

/// Fields that other synchronizers add to messages that they copy: the two copies are the same message.
const MARKS: [&[u8]; 2] = [b"X-TUID", b"X-OfflineIMAP"];

/// Digests a message but for what servers are known to rewrite: line ends; in the header, octets above 0x7f (Cyrus makes
/// them `X`) and fields that are [`MARKS`]; in the body, NUL (Dovecot 2.3 and 2.4 make it 0x80).
struct ContentDigest {
    header: Sha256,
    /// The beginning of a header line of which the field is not known yet.
    field: Vec<u8>,
    body: Sha256,
    /// Whether anything was counted of the body.
    has_body: bool,
    place: Place,
}

/// What is in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    /// Header and body.
    pub(super) whole: [u8; 32],
    /// The body and where it comes from; `None` where it is empty.
    pub(super) text: Option<Text>,
}

/// Where in a message the next octet stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a header line; an empty one ends the header.
    LineStart,
    /// In the name of a field.
    Field,
    /// In a field that is a mark.
    Mark,
    /// In a header line.
    Line,
    /// Behind the header.
    Body,
}

impl Default for ContentDigest {
    fn default() -> ContentDigest {
        let (header, body) = (Sha256::new(), Sha256::new());
        ContentDigest { header, field: Vec::new(), body, has_body: false, place: Place::LineStart }
    }
}

impl ContentDigest {
    fn update(&mut self, octets: &[u8]) {
        let mut header = Vec::new();
        let mut body = Vec::with_capacity(octets.len());
        for octet in octets {
            match (octet, self.place) {
                (b'\r', _) | (b'\n', Place::Body) => {}
                (b'\n', Place::LineStart) => self.place = Place::Body,
                (b'\n', Place::Field | Place::Mark | Place::Line) => {
                    header.append(&mut self.field);
                    self.place = Place::LineStart;
                }
                (octet, Place::Body) => body.push(if *octet == 0 { 0x80 } else { *octet }),
                (_, Place::Mark) => {}
                (b':', Place::Field) if MARKS.iter().any(|mark| mark.eq_ignore_ascii_case(&self.field)) => {
                    self.field.clear();
                    self.place = Place::Mark;
                }
                (octet, Place::LineStart | Place::Field) => {
                    self.field.push(folded(*octet));
                    self.place = Place::Field;
                    if self.field.len() > MARKS[1].len() {
                        header.append(&mut self.field);
                        self.place = Place::Line;
                    }
                }
                (octet, Place::Line) => header.push(folded(*octet)),
            }
        }
        self.header.update(&header);
        self.body.update(&body);
        self.has_body |= !body.is_empty();
    }

    fn finish(mut self, origin: [HeaderDigest; 2]) -> Digests {
        self.header.update(&self.field);
        let [header, body]: [[u8; 32]; 2] = [self.header.finalize().into(), self.body.finalize().into()];
        let whole = Sha256::new().chain_update(header).chain_update(body).finalize().into();
        Digests { whole, text: self.has_body.then_some(Text { body, origin }) }
    }
}

/// An octet of a header as the digest sees it.
fn folded(octet: u8) -> u8 {
    if matches!(octet, 0 | 0x80..) { b'X' } else { octet }
}

impl Run<'_> {
    fn tell_paired(&mut self, name: &MailboxName, pairs: usize) {
        if pairs == 0 {
            return;
        }
        for side in Side::BOTH {
            self.report.sides[side].paired += pairs as u64;
        }
        self.listener.hear(Event::Mailbox(Side::Local, name, MailboxEvent::Paired(pairs as u64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The origin of what names none.
    fn nowhere() -> [HeaderDigest; 2] {
        [HeaderDigest::of(b""); 2]
    }

    #[test]
    fn contents_are_equal_but_for_what_servers_rewrite() {
        let of = |chunks: &[&[u8]]| {
            let mut digest = ContentDigest::default();
            chunks.iter().for_each(|chunk| digest.update(chunk));
            digest.finish(nowhere())
        };
        let original = of(&[b"A: \xfc\r\n\r\none\r\ntwo\0\r\n"]);
        for same in [
            &[&b"A: X\n\none\ntwo\0"[..]][..],
            &[b"A: \xfc\r", b"\n\r", b"\none\r\r\ntwo", b"\x80\r\n"],
            &[b"X-TUID: +abc/9\r\nA: X\r\n\r\none\r\ntwo\0\r\n"],
            &[b"A: X\r\nx-t", b"uid", b":", b" 1\r\nX-OfflineIMAP: 2\r\n\r\none\r\ntwo\0\r\n"],
        ] {
            assert_eq!(of(same), original);
        }
        for other in [
            &b"A: \xfc\r\n\r\none\r\ntwo\r\n"[..],
            b"A: b\r\n\r\none\r\ntwo\0\r\n",
            b"A: X\r\none\r\ntwo\0\r\n\r\n",
            b"A: X\r\nX-TUIDs: 1\r\n\r\none\r\ntwo\0\r\n",
            b"A: X\r\nX-TUI\r\n\r\none\r\ntwo\0\r\n",
            b"A: X\r\n\r\nX-TUID: 1\r\none\r\ntwo\0\r\n",
            b"",
        ] {
            assert_ne!(of(&[other]), original);
        }
    }

    #[test]
    fn a_text_is_the_same_below_another_header() {
        let of = |octets: &[u8]| {
            let mut digest = ContentDigest::default();
            digest.update(octets);
            digest.finish(nowhere()).text
        };
        assert_eq!(of(b"A: 1\r\n\r\ntext\r\n"), of(b"B: 2\nC: 3\n\ntext\n"));
        assert_ne!(of(b"A: 1\r\n\r\ntext\r\n"), of(b"A: 1\r\n\r\ntexts\r\n"));
        for empty in [&b"A: 1\r\n\r\n"[..], b"A: 1\r\n", b"A: 1\r\n\r\n\r\n\n", b""] {
            assert_eq!(of(empty), None, "nothing is not the same as nothing");
        }
    }

    #[test]
    fn messages_without_header_or_without_body_differ_by_what_they_hold() {
        let of = |octets: &[u8]| {
            let mut digest = ContentDigest::default();
            digest.update(octets);
            digest.finish(nowhere())
        };
        assert_ne!(of(b"\r\nbody"), of(b"\r\nydob"));
        assert_ne!(of(b"only text"), of(b"other text"));
    }
}
