//! A program that works on a tree of Maildirs: it does, in a way drawn by lot, what mutt, mu4e, procmail or a user with a
//! shell would do to the same end.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::super::mail::{self, Made};
use super::super::random::Random;
use super::super::snapshot::instant;
use super::names::{self, Style, letter, letters, parts};
use super::{Layout, entries, in_file_form, in_wire_form};

/// A program at work.
pub(crate) struct Program {
    root: PathBuf,
    layout: Layout,
    random: Random,
}

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is set.
    Set,
    /// It is cleared.
    Clear,
}

impl Change {
    /// What takes it back.
    pub(crate) fn inverse(self) -> Change {
        match self {
            Change::Set => Change::Clear,
            Change::Clear => Change::Set,
        }
    }
}

impl Program {
    pub(super) fn new(root: PathBuf, layout: Layout, seed: u64) -> Program {
        Program { root, layout, random: Random::new(seed) }
    }

    /// Delivers a message, named in a style drawn by lot.
    pub(crate) fn deliver(&mut self, mailbox: &str, letter: &Made, flags: &BTreeSet<&str>) -> PathBuf {
        let style = *self.random.pick(&Style::ALL).expect("there are styles");
        self.deliver_as(style, mailbox, letter, flags)
    }

    /// Delivers a message: it is written into `tmp`, and moved when it is whole.
    pub(crate) fn deliver_as(&mut self, style: Style, mailbox: &str, letter: &Made, flags: &BTreeSet<&str>) -> PathBuf {
        // Some programs keep the line ends of the wire.
        let text = if self.random.percent(10) { letter.body.clone() } else { in_file_form(&letter.body) };
        let name = style.unique_name(mailbox, &text);
        let folder = self.path(mailbox);
        let written = folder.join("tmp").join(&name);
        write_new(&written, &text, instant(&letter.date));
        let target = if !flags.is_empty() {
            folder.join("cur").join(format!("{name}:2,{}", letters(flags)))
        } else if self.random.percent(80) {
            folder.join("new").join(name)
        } else {
            // Somebody saw that there is mail, and did not read it.
            folder.join("cur").join(format!("{name}:2,"))
        };
        assert!(self.carry(&written, &target), "nobody else knows {}", written.display());
        target
    }

    /// Sets or clears a flag.
    pub(crate) fn flag(&mut self, mailbox: &str, token: &str, change: Change, flag: &str) {
        let letter = letter(flag);
        self.on_message(mailbox, token, |program, path| {
            let name = name_of(path);
            let (unique, told) = parts(&name);
            let mut told: BTreeSet<char> = told.chars().collect();
            match change {
                Change::Set => told.insert(letter),
                Change::Clear => told.remove(&letter),
            };
            // In `new` is, for mutt, what is neither read nor old, flagged or not.
            let is_new = path.parent().unwrap().ends_with("new") && !told.contains(&'S');
            let becomes_new = letter == 'S' && change == Change::Clear && program.random.percent(50);
            let part = if (is_new && program.random.percent(50)) || becomes_new { "new" } else { "cur" };
            let told: String = told.into_iter().collect();
            let name = if told.is_empty() && part == "new" { unique.to_owned() } else { format!("{unique}:2,{told}") };
            program.carry(path, &program.path(mailbox).join(part).join(name))
        });
    }

    /// Takes note of new mail without reading it: it goes to `cur`.
    pub(crate) fn notice(&mut self, mailbox: &str) {
        let folder = self.path(mailbox);
        for name in entries(&folder.join("new")).collect::<Vec<_>>() {
            let (unique, told) = parts(&name);
            self.carry(&folder.join("new").join(&name), &folder.join("cur").join(format!("{unique}:2,{told}")));
        }
    }

    /// Removes a message.
    pub(crate) fn unlink(&mut self, mailbox: &str, token: &str) {
        self.on_message(mailbox, token, |_, path| is_done(fs::remove_file(path)));
    }

    /// Puts another draft in the place of one.
    pub(crate) fn replace(&mut self, mailbox: &str, token: &str, letter: &Made, flags: &BTreeSet<&str>) {
        self.deliver(mailbox, letter, flags);
        self.unlink(mailbox, token);
    }

    /// Moves a message: its file as it is, its file under a new name, or a copy of it.
    pub(crate) fn relocate(&mut self, from: &str, token: &str, to: &str) {
        self.on_message(from, token, |program, path| match program.random.below(3) {
            0 => {
                let target = program.same_name(path, to);
                program.carry(path, &target)
            }
            1 => {
                let Some(target) = program.new_name(path, to) else { return false };
                program.carry(path, &target)
            }
            _ => program.duplicate(path, to).is_some_and(|copy| take_away(path, &copy)),
        });
    }

    /// Copies a message.
    pub(crate) fn copy(&mut self, from: &str, token: &str, to: &str) {
        self.on_message(from, token, |program, path| match program.random.below(4) {
            // As `cp -p` does.
            0 => {
                let target = program.same_name(path, to);
                program.write_copy(path, &target)
            }
            // As `ln` does.
            1 => program.new_name(path, to).is_some_and(|target| is_done(fs::hard_link(path, target))),
            _ => program.duplicate(path, to).is_some(),
        });
    }

    /// Creates a mailbox.
    pub(crate) fn create(&mut self, mailbox: &str) {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(self.path(mailbox).join(part)).unwrap();
        }
    }

    /// Renames a mailbox and those below it.
    pub(crate) fn rename(&mut self, old: &str, new: &str) {
        match self.layout {
            Layout::Fs => {
                let target = self.path(new);
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                fs::rename(self.path(old), target).unwrap();
            }
            Layout::PlusPlus => {
                for (name, path) in names::mailboxes(&self.root, self.layout) {
                    let below = name.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                    if let Some(rest) = below {
                        fs::rename(path, self.path(&format!("{new}{rest}"))).unwrap();
                    }
                }
            }
        }
    }

    /// Deletes a mailbox; those below it stay.
    pub(crate) fn delete(&mut self, mailbox: &str) {
        let folder = self.path(mailbox);
        if self.layout == Layout::PlusPlus {
            return fs::remove_dir_all(folder).unwrap();
        }
        for part in ["cur", "new", "tmp"] {
            fs::remove_dir_all(folder.join(part)).unwrap();
        }
        let left = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        left.filter(|path| !path.is_dir()).for_each(|path| fs::remove_file(path).unwrap());
        // Something may be below it.
        let _ = fs::remove_dir(folder);
    }

    /// The tokens of a mailbox, each as often as it is there. A message that somebody moves within it meanwhile may be
    /// missed or seen twice.
    pub(crate) fn tokens(&self, mailbox: &str) -> Vec<String> {
        self.files(mailbox).into_iter().filter_map(|path| token_of(&path)).collect()
    }

    fn path(&self, mailbox: &str) -> PathBuf {
        names::path(&self.root, self.layout, mailbox)
    }

    fn files(&self, mailbox: &str) -> Vec<PathBuf> {
        let folder = self.path(mailbox);
        let parts = ["new", "cur"].map(|part| folder.join(part));
        parts.iter().flat_map(|part| entries(part).map(|name| part.join(name))).filter(|path| path.is_file()).collect()
    }

    /// Does that to the file of the only message with that token. Others may rename it meanwhile, so it is tried again.
    fn on_message(&mut self, mailbox: &str, token: &str, mut act: impl FnMut(&mut Program, &Path) -> bool) {
        for _ in 0..50 {
            let found: Vec<_> =
                self.files(mailbox).into_iter().filter(|path| token_of(path).as_deref() == Some(token)).collect();
            if found.len() == 1 && act(self, &found[0]) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let files = self.files(mailbox);
        panic!("there is not one message with token {token} in {mailbox}: {files:?}");
    }

    /// Moves a file to a name that nobody has; false where it is gone.
    fn carry(&mut self, from: &Path, to: &Path) -> bool {
        if from == to {
            return true;
        }
        assert!(!to.exists(), "{} is there already", to.display());
        if self.random.percent(50) {
            return is_done(fs::rename(from, to));
        }
        // The old way, which never replaces anything.
        is_done(fs::hard_link(from, to)) && take_away(from, to)
    }

    /// What a file is called in another mailbox by those who keep names, unless that name is taken.
    fn same_name(&mut self, path: &Path, mailbox: &str) -> PathBuf {
        let name = name_of(path);
        let is_same = |other: &PathBuf| parts(&name_of(other)).0 == parts(&name).0;
        if self.files(mailbox).iter().any(is_same) {
            return self.new_name(path, mailbox).expect("the file was there just now");
        }
        let part = path.parent().unwrap().file_name().unwrap();
        self.path(mailbox).join(part).join(name)
    }

    /// What a file is called in another mailbox by those who make up a name for it there; `None` where it is gone.
    fn new_name(&mut self, path: &Path, mailbox: &str) -> Option<PathBuf> {
        let text = fs::read(path).ok()?;
        let style = *self.random.pick(&Style::ALL).expect("there are styles");
        let name = name_of(path);
        let info = name.strip_prefix(parts(&name).0).expect("it begins with that");
        let part = path.parent().unwrap().file_name().unwrap();
        Some(self.path(mailbox).join(part).join(format!("{}{info}", style.unique_name(mailbox, &text))))
    }

    /// Copies a file under a new name, and gives that; `None` where the file is gone.
    fn duplicate(&mut self, path: &Path, mailbox: &str) -> Option<PathBuf> {
        self.new_name(path, mailbox).filter(|target| self.write_copy(path, target))
    }

    fn write_copy(&mut self, path: &Path, target: &Path) -> bool {
        let (Ok(text), Ok(about)) = (fs::read(path), fs::metadata(path)) else { return false };
        let written = target.parent().unwrap().parent().unwrap().join("tmp").join(target.file_name().unwrap());
        let since = about.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).expect("letters are from later");
        write_new(&written, &text, since.as_secs().try_into().expect("a time of our days"));
        self.carry(&written, target)
    }
}

/// Writes a file that nobody has, and dates it.
fn write_new(path: &Path, text: &[u8], seconds: i64) {
    let mut file = File::create_new(path).unwrap();
    file.write_all(text).unwrap();
    let seconds = Duration::from_secs(seconds.try_into().expect("letters are from later than 1970"));
    file.set_modified(SystemTime::UNIX_EPOCH + seconds).unwrap();
}

/// Removes the old name of what has a new one. Where somebody renamed it meanwhile, the new name goes instead, so that
/// there is one.
fn take_away(old: &Path, new: &Path) -> bool {
    let is_gone = is_done(fs::remove_file(old));
    if !is_gone {
        is_done(fs::remove_file(new));
    }
    is_gone
}

/// Whether it was done; false where somebody else was faster.
fn is_done(outcome: std::io::Result<()>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => panic!("{error}"),
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn token_of(path: &Path) -> Option<String> {
    mail::token(&in_wire_form(&fs::read(path).ok()?))
}
