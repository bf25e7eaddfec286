//! Two users of one account, one on each side, who edit at random; and what must have become of it once all is in line.
//!
//! The editor never makes an edit whose outcome would be a matter of taste. Everything else goes: the same mailbox is
//! renamed on one side while mail is appended to it on the other, a message is flagged here and expunged there, moved
//! to two places at once, or copied while its flags change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use interimap::mail::{Both, Side};

use super::kind::Kind;
use super::mail::{Made, Writer};
use super::random::Random;
use super::snapshot::{Snapshot, Teller, digest, instant};
use super::user::{Change, User};

/// Names that mailboxes get when they are created. Children may come before their parents.
const NAMES: &[&str] =
    &["Work", "Work/2025", "Work/2026", "Lists", "Lists/rust", "Größe", "Größe/日本 語", "R&D", "a b", "Ärger/x/y"];

/// Flags and keywords that users set and clear.
const FLAGS: &[&str] = &["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted", "$Forwarded", "$Junk", "todo"];

/// Those of them that have a letter in the names of files.
const FILE_FLAGS: &[&str] = &["\\Seen", "\\Answered", "\\Flagged", "\\Draft", "\\Deleted", "$Forwarded"];

/// The two users.
pub(crate) struct Editor {
    /// What they edit on.
    kinds: Both<Kind>,
    random: Random,
    writer: Writer,
    letters: BTreeMap<String, Made>,
    places: Vec<Place>,
    /// Counts the phases: within one, no synchronization takes place.
    phase: u32,
    renames: u32,
    log: String,
}

/// A mailbox, whatever it is called.
#[derive(Debug, Default)]
struct Place {
    /// What it is called on each side, where it exists.
    names: Both<Option<String>>,
    /// What it was called on both sides when they were last in line.
    base_name: Option<String>,
    /// The side that deleted it.
    deleted_by: Option<Side>,
    /// The side that renamed it.
    renamed_by: Option<Side>,
    /// The sides that created it.
    created_by: BTreeSet<Side>,
    /// Whether the user was subscribed when the sides were last in line.
    subscribed: bool,
    /// The sides on which the subscription was turned round.
    resubscribed_by: BTreeSet<Side>,
    /// The phase of the last edit of the mailbox as a whole.
    touched: Option<u32>,
    messages: BTreeMap<String, Item>,
}

/// A message in a mailbox. No mailbox ever holds two with one token, so that the outcome is defined.
#[derive(Clone, Debug, Default)]
struct Item {
    /// Its flags when it came to be, or when the sides were last in line.
    flags: BTreeSet<&'static str>,
    /// The flags that each side has turned round since.
    turned: Both<BTreeSet<&'static str>>,
    /// The side on which it came to be since the sides were last in line.
    fresh_on: Option<Side>,
    /// The sides on which a user expunged it or moved it away.
    gone_on: BTreeSet<Side>,
    /// Whether a side moved it, so that flags changed elsewhere would have no place to go.
    moved: bool,
    /// Whether it has to stay: a renamed mailbox is known by its messages, so one of them must be left.
    pinned: bool,
    /// The sides on which it was copied elsewhere. Were it expunged there too, it would look moved.
    copied_on: BTreeSet<Side>,
    /// How often it was appended.
    copies: usize,
    /// Whether it was carried there by a program that knows of no keywords, so that it may have left them behind.
    may_lose_keywords: bool,
    /// The phase of the last edit.
    touched: Option<u32>,
}

impl Item {
    fn is_seen_by(&self, side: Side) -> bool {
        self.fresh_on.is_none_or(|origin| origin == side) && !self.gone_on.contains(&side)
    }

    /// Whether it was last edited in an earlier phase, so that nobody knows what each side holds.
    fn is_in_flight(&self, phase: u32) -> bool {
        self.touched.is_some_and(|touched| touched != phase)
    }

    fn flags_on(&self, side: Side) -> BTreeSet<&'static str> {
        self.flags.symmetric_difference(&self.turned[side]).copied().collect()
    }

    /// Three-way, flag by flag: whatever a side turned round is turned round.
    fn merged_flags(&self) -> BTreeSet<String> {
        let turned: BTreeSet<_> = self.turned.local.union(&self.turned.remote).copied().collect();
        self.flags.symmetric_difference(&turned).map(|flag| flag.to_ascii_lowercase()).collect()
    }
}

impl Place {
    fn name_on(&self, side: Side) -> Option<&str> {
        self.names[side].as_deref()
    }

    fn is_in_flight(&self, phase: u32) -> bool {
        self.touched.is_some_and(|touched| touched != phase)
    }

    /// What it must be called in the end.
    fn settled_name(&self) -> Option<&str> {
        let named_by = self.renamed_by.or(self.created_by.first().copied());
        let survivor = self.deleted_by.map(Side::other);
        match named_by.or(survivor) {
            Some(side) => self.name_on(side),
            None => self.name_on(Side::Local),
        }
    }

    /// Whether the side that did not delete it has put something into it meanwhile, so that it must stay.
    fn has_news_for(&self, side: Side) -> bool {
        self.messages.values().any(|item| item.fresh_on == Some(side.other()) && item.is_seen_by(side.other()))
    }
}

impl Editor {
    /// Two users of Dovecots who meet an account that is empty on both sides.
    pub(crate) fn new(seed: u64) -> Editor {
        Editor::on(Both::from_fn(|_| Kind::Dovecot), seed)
    }

    /// The same on servers of those kinds. They leave alone what one of the servers could not follow.
    pub(crate) fn on(kinds: Both<Kind>, seed: u64) -> Editor {
        let any = |does: fn(Kind) -> bool| does(kinds.local) || does(kinds.remote);
        let writer = Writer::new(&format!("s{seed}"), seed);
        let inbox = Place {
            names: Both::from_fn(|_| Some("INBOX".to_owned())),
            base_name: Some("INBOX".to_owned()),
            ..Place::default()
        };
        Editor {
            writer: if any(Kind::ends_lines) { writer.ending_lines() } else { writer },
            kinds,
            random: Random::new(seed),
            letters: BTreeMap::new(),
            places: vec![inbox],
            phase: 0,
            renames: 0,
            log: format!("seed {seed}\n"),
        }
    }

    /// So many edits, each on a side drawn by lot. No synchronization may run meanwhile.
    pub(crate) fn edit(&mut self, editors: &mut Both<User>, edits: u64) {
        self.edit_as(&Side::BOTH, editors, edits);
    }

    /// The same, where only the users of those sides edit.
    pub(crate) fn edit_as(&mut self, users: &[Side], editors: &mut Both<User>, edits: u64) {
        self.phase += 1;
        let _ = writeln!(self.log, "phase {}", self.phase);
        for _ in 0..edits {
            let side = *self.random.pick(users).expect("somebody edits");
            let user = &mut editors[side];
            match self.random.below(100) {
                0..=29 => self.append(side, user),
                30..=49 => self.flag(side, user),
                50..=59 => self.expunge(side, user),
                60..=67 => self.copy(side, user),
                68..=77 => self.relocate(side, user),
                78..=87 => self.create(side, users, editors),
                88..=91 => self.rename(side, user),
                92..=94 => self.delete(side, user),
                _ => self.subscribe(side, user),
            }
        }
    }

    /// One edit of a message, or a mailbox more, on a side drawn by lot; a synchronization may run meanwhile. What was
    /// edited is left alone until the sides are in line.
    pub(crate) fn edit_meanwhile(&mut self, editors: &mut Both<User>) {
        self.phase += 1;
        let side = Side::BOTH[self.random.below(2) as usize];
        let user = &mut editors[side];
        match self.random.below(10) {
            0..=3 => self.append(side, user),
            4..=5 => self.flag(side, user),
            6 => self.expunge(side, user),
            7 => self.copy(side, user),
            8 => self.relocate(side, user),
            _ => self.create(side, &Side::BOTH, editors),
        }
    }

    /// The edits so far, for the message of a failed test.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// How many edits were made so far. What was drawn but could not be done does not count.
    pub(crate) fn operations(&self) -> usize {
        self.log.lines().filter(|line| line.starts_with("local: ") || line.starts_with("remote: ")).count()
    }

    /// Whether a mailbox that one side deleted has to stay, so that a run tells of a deletion left undone.
    pub(crate) fn keeps_a_deleted_mailbox(&self) -> bool {
        self.places.iter().any(|place| place.deleted_by.is_some_and(|side| place.has_news_for(side)))
    }

    /// Compares an account that is in line again with what the edits imply; what differs, a line each.
    pub(crate) fn surprises(&self, found: &Snapshot) -> String {
        let mut text = String::new();
        let mut expected = BTreeSet::new();
        for place in &self.places {
            let Some(name) = place.settled_name() else { continue };
            let may_exist = place.deleted_by.is_none_or(|side| place.has_news_for(side));
            if !may_exist {
                if found.mailboxes.contains_key(name) {
                    let _ = writeln!(text, "{name}: was deleted and is there");
                }
                expected.insert(name);
                continue;
            }
            expected.insert(name);
            let Some(mailbox) = found.mailboxes.get(name) else {
                let _ = writeln!(text, "{name}: is not there");
                continue;
            };
            let simple = place.created_by.is_empty() && place.renamed_by.is_none() && place.deleted_by.is_none();
            let subscribed = place.subscribed == place.resubscribed_by.is_empty();
            if simple && mailbox.subscribed != subscribed {
                let _ = writeln!(text, "{name}: subscribed is {}", mailbox.subscribed);
            }
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for message in &mailbox.messages {
                *counts.entry(&message.content.token).or_default() += 1;
            }
            for (token, item) in &place.messages {
                let count = counts.remove(token.as_str()).unwrap_or_default();
                let wanted = if item.gone_on.is_empty() { item.copies } else { 0 };
                // Of a mailbox that one side deleted, what the other one still had may stay or go.
                let optional = place.deleted_by.is_some_and(|side| item.is_seen_by(side.other()))
                    || self.is_forgotten(place, item);
                if count != wanted && !(optional && count <= item.copies) {
                    let _ = writeln!(text, "{name}: {count} and not {wanted} of {token}: {item:?}");
                }
            }
            for (token, count) in counts {
                let _ = writeln!(text, "{name}: {count} of {token}, which nobody put there");
            }
            for message in &mailbox.messages {
                let content = &message.content;
                let Some(item) = place.messages.get(&content.token) else { continue };
                let lost_a_side = place.deleted_by.is_some() && item.fresh_on.is_none();
                let teller = if item.may_lose_keywords { Teller::Files } else { mailbox.teller };
                let merged = item.merged_flags();
                let fits = teller.tellable(content.flags.clone()) == teller.tellable(merged.clone())
                    && content.flags.is_subset(&merged);
                if !fits && !lost_a_side {
                    let _ = writeln!(text, "{name}: {} has flags {:?}: {item:?}", content.token, content.flags);
                }
                let letter = &self.letters[&content.token];
                if content.digest != digest(&letter.body) || content.date != instant(&letter.date) {
                    let _ = writeln!(text, "{name}: {} is not what was appended: {content:?}", content.token);
                }
            }
        }
        for name in found.names() {
            if !expected.contains(name) {
                let _ = writeln!(text, "{name}: nobody made this mailbox");
            }
        }
        text
    }

    /// Whether a message was expunged in a mailbox that got other UIDs before anybody looked, because it was renamed on
    /// the other side. It may come back: nothing shows any more that it was there.
    fn is_forgotten(&self, place: &Place, item: &Item) -> bool {
        place.renamed_by.is_some_and(|side| {
            let other = side.other();
            self.kinds[other].renames_by_making_anew() && item.gone_on.contains(&other) && !item.gone_on.contains(&side)
        })
    }

    /// Takes an account that is in line as the ground for further edits.
    pub(crate) fn adopt(&mut self, found: &Snapshot) {
        self.places.clear();
        for (name, mailbox) in &found.mailboxes {
            let mut place = Place {
                names: Both::from_fn(|_| Some(name.clone())),
                base_name: Some(name.clone()),
                subscribed: mailbox.subscribed,
                ..Place::default()
            };
            for message in &mailbox.messages {
                let item = place.messages.entry(message.content.token.clone()).or_default();
                item.copies += 1;
                let has = |flag: &&&str| message.content.flags.contains(&flag.to_ascii_lowercase());
                item.flags = FLAGS.iter().filter(has).copied().collect();
            }
            self.places.push(place);
        }
        let _ = writeln!(self.log, "in line");
    }

    /// One of the mailboxes that a side sees and may put something into.
    fn open_place(&mut self, side: Side) -> Option<usize> {
        let phase = self.phase;
        let usable = |place: &Place| place.name_on(side).is_some() && !place.is_in_flight(phase);
        let open: Vec<usize> = (0..self.places.len()).filter(|at| usable(&self.places[*at])).collect();
        self.random.pick(&open).copied()
    }

    /// One of the messages that a side sees and may do that to: mailbox and token.
    fn open_item(&mut self, side: Side, may: impl Fn(&Item) -> bool) -> Option<(usize, String)> {
        let phase = self.phase;
        let mut open = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            if place.name_on(side).is_some() && !place.is_in_flight(phase) {
                let usable = |item: &Item| item.is_seen_by(side) && !item.is_in_flight(phase) && item.copies == 1;
                let items = place.messages.iter().filter(|(_, item)| usable(item) && may(item));
                open.extend(items.map(|(token, _)| (at, token.clone())));
            }
        }
        self.random.pick(&open).cloned()
    }

    fn name(&self, at: usize, side: Side) -> String {
        self.places[at].name_on(side).expect("the mailbox was drawn because it exists there").to_owned()
    }

    /// A message that is about to be edited.
    fn item(&mut self, at: usize, token: &str) -> &mut Item {
        let phase = self.phase;
        let item = self.places[at].messages.get_mut(token).expect("the message was drawn from there");
        item.touched = Some(phase);
        item
    }

    fn draw_flags(&mut self, side: Side) -> BTreeSet<&'static str> {
        let count = self.random.below(4);
        (0..count).map(|_| self.draw_flag(side)).collect()
    }

    fn draw_flag(&mut self, side: Side) -> &'static str {
        let flags = if self.kinds[side].is_maildir() { FILE_FLAGS } else { FLAGS };
        self.random.pick(flags).expect("there are flags")
    }

    fn append(&mut self, side: Side, user: &mut User) {
        let Some(at) = self.open_place(side) else { return };
        let name = self.name(at, side);
        let flags = self.draw_flags(side);
        let mut letters: Vec<Made> = (0..=self.random.below(3)).map(|_| self.writer.write()).collect();
        // Sometimes the very same message arrives twice.
        if self.random.percent(10) {
            letters.push(letters[0].clone());
        }
        let tokens: Vec<&str> = letters.iter().map(|letter| letter.token.as_str()).collect();
        let _ = writeln!(self.log, "{side}: append {tokens:?} ({}) to {name}", join(&flags));
        user.append(&name, &letters, &flags);
        for letter in letters {
            self.arrive(side, at, letter, &flags);
        }
    }

    fn arrive(&mut self, side: Side, at: usize, letter: Made, flags: &BTreeSet<&'static str>) {
        let token = letter.token.clone();
        let fresh = Item { flags: flags.clone(), fresh_on: Some(side), ..Item::default() };
        self.places[at].messages.entry(token.clone()).or_insert(fresh).copies += 1;
        self.item(at, &token);
        self.letters.insert(token, letter);
    }

    fn flag(&mut self, side: Side, user: &mut User) {
        let Some((at, token)) = self.open_item(side, |item| !item.moved) else { return };
        let flag = self.draw_flag(side);
        // A user who changes their mind twice has changed nothing; the program need not notice.
        let twice = self.random.percent(15);
        let name = self.name(at, side);
        let item = self.item(at, &token);
        if item.turned[side].contains(flag) {
            return;
        }
        let set = !item.flags.contains(flag);
        if !twice {
            item.turned[side].insert(flag);
        }
        let first = if set { Change::Set } else { Change::Clear };
        let changes = [first, first.inverse()];
        let changes = if twice { &changes[..] } else { &changes[..1] };
        let _ = writeln!(self.log, "{side}: {changes:?} {flag} of {token} in {name}");
        user.flag(&name, &token, changes, flag);
    }

    fn expunge(&mut self, side: Side, user: &mut User) {
        let Some((at, token)) = self.open_item(side, |item| !item.pinned && !item.copied_on.contains(&side)) else {
            return;
        };
        let name = self.name(at, side);
        match user {
            // What was postponed before is put aside for what is now.
            User::Program(program) if self.random.percent(25) => {
                let (draft, flags) = (self.writer.write(), self.draw_flags(side));
                let _ = writeln!(self.log, "{side}: put {} ({}) for {token} in {name}", draft.token, join(&flags));
                program.replace(&name, &token, &draft, &flags);
                self.arrive(side, at, draft, &flags);
            }
            user => {
                let _ = writeln!(self.log, "{side}: expunge {token} from {name}");
                user.expunge(&name, &token);
            }
        }
        self.item(at, &token).gone_on.insert(side);
    }

    fn copy(&mut self, side: Side, user: &mut User) {
        let Some((from, token)) = self.open_item(side, |_| true) else { return };
        let Some(to) = self.open_place(side) else { return };
        if self.places[to].messages.contains_key(&token) {
            return;
        }
        let item = self.item(from, &token);
        item.copied_on.insert(side);
        let flags = item.flags_on(side);
        let (source, target) = (self.name(from, side), self.name(to, side));
        let _ = writeln!(self.log, "{side}: copy {token} from {source} to {target}");
        user.copy(&source, &token, &target);
        self.carry(side, to, &token, flags);
    }

    fn relocate(&mut self, side: Side, user: &mut User) {
        // Flags changed on the other side of what is moved here would have two homes to choose from.
        let Some((from, token)) = self.open_item(side, |item| !item.pinned && item.turned[side.other()].is_empty())
        else {
            return;
        };
        let Some(to) = self.open_place(side) else { return };
        if self.places[to].messages.contains_key(&token) {
            return;
        }
        let item = self.item(from, &token);
        item.moved = true;
        item.gone_on.insert(side);
        let flags = item.flags_on(side);
        let (source, target) = (self.name(from, side), self.name(to, side));
        let _ = writeln!(self.log, "{side}: move {token} from {source} to {target}");
        user.relocate(&source, &token, &target);
        self.carry(side, to, &token, flags);
    }

    fn carry(&mut self, side: Side, to: usize, token: &str, flags: BTreeSet<&'static str>) {
        let may_lose_keywords = self.kinds[side].is_maildir();
        let fresh = Item { flags, fresh_on: Some(side), copies: 1, may_lose_keywords, ..Item::default() };
        self.places[to].messages.insert(token.to_owned(), fresh);
        self.item(to, token);
    }

    fn create(&mut self, side: Side, users: &[Side], editors: &mut Both<User>) {
        let name = *self.random.pick(NAMES).expect("there are names");
        let sides: Vec<Side> = if self.random.percent(20) { users.to_vec() } else { vec![side] };
        let name = self.first_to_create(name, &sides);
        if self.is_taken(name) {
            return;
        }
        let mut place = Place { touched: Some(self.phase), ..Place::default() };
        for side in sides {
            let _ = writeln!(self.log, "{side}: create {name}");
            editors[side].create(name);
            place.names[side] = Some(name.to_owned());
            place.created_by.insert(side);
        }
        self.places.push(place);
    }

    /// The mailbox of that name, or one above it where the servers want that first.
    fn first_to_create<'a>(&self, name: &'a str, sides: &[Side]) -> &'a str {
        let is_there =
            |name: &str| self.places.iter().any(|place| sides.iter().all(|side| place.name_on(*side) == Some(name)));
        let mut above = name.match_indices('/').map(|(end, _)| &name[..end]);
        above.find(|parent| self.makes_parents() && !is_there(parent)).unwrap_or(name)
    }

    /// Whether a mailbox above another one is a mailbox itself, on one side at least.
    fn makes_parents(&self) -> bool {
        Side::BOTH.iter().any(|side| self.kinds[*side].makes_parents())
    }

    /// Whether any mailbox bears that name on a side or did so at the beginning, or a mailbox above it is being changed.
    fn is_taken(&self, name: &str) -> bool {
        self.places.iter().any(|place| {
            let names = Side::BOTH.into_iter().filter_map(|side| place.name_on(side)).chain(place.base_name.as_deref());
            let unsettled = place.deleted_by.is_some() || place.renamed_by.is_some();
            names.into_iter().any(|other| other == name || (unsettled && is_below(name, other)))
        })
    }

    /// Whether the place, as a whole, may be changed by that side.
    fn is_untouched(&self, at: usize) -> bool {
        let place = &self.places[at];
        place.touched.is_none() && place.base_name.as_deref() != Some("INBOX")
    }

    fn rename(&mut self, side: Side, user: &mut User) {
        let candidates: Vec<usize> = (0..self.places.len()).filter(|at| self.is_untouched(*at)).collect();
        let Some(&at) = self.random.pick(&candidates) else { return };
        let old = self.name(at, side);
        let family: Vec<usize> = (0..self.places.len())
            .filter(|other| {
                let names = Side::BOTH.into_iter().filter_map(|side| self.places[*other].name_on(side));
                names.into_iter().any(|name| name == old || is_below(name, &old))
            })
            .collect();
        let known = |at: &usize| {
            let messages = &self.places[*at].messages;
            let stays = |item: &Item| item.fresh_on.is_none() && item.gone_on.is_empty();
            // With none to know it by, it has to be told from what has changed in it.
            let may_be_unknown = !self.kinds[side].lists_everything();
            may_be_unknown && messages.values().all(|item| item.fresh_on.is_some()) || messages.values().any(stays)
        };
        let is_maildir = self.kinds[side].is_maildir();
        // A directory is known by the greater part of what it held, and of that only what a run has seen in it.
        let mostly_stays = |at: &usize| {
            let held = self.places[*at].messages.values().filter(|item| item.fresh_on != Some(side.other()));
            let (count, stay) = held.fold((0, 0), |(count, stay), item| {
                let stays = item.fresh_on.is_none() && item.gone_on.is_empty();
                (count + item.copies, if stays { stay + item.copies } else { stay })
            });
            2 * stay > count
        };
        let known = |at: &usize| known(at) && (!is_maildir || mostly_stays(at));
        let makes_anew = self.kinds[side].renames_by_making_anew();
        // What looks moved has one home only if nobody has changed or carried it elsewhere.
        let is_free = |item: &Item| !is_carried(item, self.phase) && item.turned[side.other()].is_empty();
        let movable = |at: &usize| self.places[*at].messages.values().all(is_free);
        let may = |at: &usize| if makes_anew { movable(at) } else { known(at) };
        if !family.iter().all(|other| self.is_untouched(*other) && may(other)) {
            return;
        }
        self.renames += 1;
        let parent = if self.random.percent(30) && !self.makes_parents() { "Moved/" } else { "" };
        let new = format!("{parent}ren {}", self.renames);
        let _ = writeln!(self.log, "{side}: rename {old} to {new}");
        user.rename(&old, &new);
        for other in family {
            let name = self.name(other, side);
            let renamed = format!("{new}{}", &name[old.len()..]);
            if makes_anew {
                self.make_anew(other, side, renamed);
                continue;
            }
            let place = &mut self.places[other];
            place.names[side] = Some(renamed);
            place.renamed_by = Some(side);
            place.touched = Some(self.phase);
            let stays = |item: &&mut Item| item.fresh_on.is_none() && item.gone_on.is_empty();
            let enough = if is_maildir { usize::MAX } else { 1 };
            for item in place.messages.values_mut().filter(stays).take(enough) {
                item.pinned = true;
            }
        }
    }

    /// What a rename is where nothing shows that it is one: a mailbox is gone, and one is new that holds as much.
    fn make_anew(&mut self, at: usize, side: Side, name: String) {
        let place = &mut self.places[at];
        let mut made = Place { touched: Some(self.phase), ..Place::default() };
        made.names[side] = Some(name);
        made.created_by.insert(side);
        for (token, item) in &mut place.messages {
            if item.is_seen_by(side) {
                let flags = item.flags_on(side);
                let touched = Some(self.phase);
                let fresh = Item { flags, fresh_on: Some(side), copies: item.copies, touched, ..Item::default() };
                made.messages.insert(token.clone(), fresh);
                item.moved = true;
            }
        }
        place.messages.retain(|_, item| item.fresh_on != Some(side));
        place.names[side] = None;
        place.deleted_by = Some(side);
        place.touched = Some(self.phase);
        self.places.push(made);
    }

    fn delete(&mut self, side: Side, user: &mut User) {
        let candidates: Vec<usize> = (0..self.places.len()).filter(|at| self.is_untouched(*at)).collect();
        let Some(&at) = self.random.pick(&candidates) else { return };
        let name = self.name(at, side);
        // A mailbox above a new one is not certain to go, and on some servers no mailbox above others goes.
        let holds_others = self.places.iter().any(|other| {
            (other.touched.is_some() || self.makes_parents())
                && Side::BOTH.iter().any(|side| other.name_on(*side).is_some_and(|n| is_below(n, &name)))
        });
        // What was moved or copied out of it would look moved all the same.
        let phase = self.phase;
        let was_emptied = self.places[at].messages.values().any(|item| is_carried(item, phase));
        if holds_others || was_emptied {
            return;
        }
        let _ = writeln!(self.log, "{side}: delete {name}");
        user.delete(&name);
        let place = &mut self.places[at];
        // What only this side had ever seen is gone for good.
        place.messages.retain(|_, item| item.fresh_on != Some(side));
        place.names[side] = None;
        place.deleted_by = Some(side);
        place.touched = Some(self.phase);
    }

    fn subscribe(&mut self, side: Side, user: &mut User) {
        let Some(at) = self.open_place(side).filter(|_| !self.kinds[side].is_maildir()) else { return };
        let name = self.name(at, side);
        let phase = self.phase;
        let place = &mut self.places[at];
        if !place.resubscribed_by.insert(side) || place.renamed_by.is_some() {
            return;
        }
        place.touched = place.touched.or(Some(phase));
        let change = if place.subscribed { Change::Clear } else { Change::Set };
        let _ = writeln!(self.log, "{side}: subscribe to {name}: {change:?}");
        user.subscribe(&name, change);
    }
}

/// Whether a message was moved or copied elsewhere, or nobody knows where it is.
fn is_carried(item: &Item, phase: u32) -> bool {
    item.moved || !item.copied_on.is_empty() || item.is_in_flight(phase)
}

fn is_below(name: &str, parent: &str) -> bool {
    name.strip_prefix(parent).is_some_and(|rest| rest.starts_with('/'))
}

fn join(flags: &BTreeSet<&'static str>) -> String {
    flags.iter().copied().collect::<Vec<_>>().join(" ")
}
