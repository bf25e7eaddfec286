//! Where passwords come from: a command, a file, the configuration, the environment, the terminal, in this order.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::mail::Side;
use crate::report::printable;
use crate::store::imap::PasswordSource;

/// No password is longer, in octets.
const LONGEST: usize = 4096;
/// So much of what a failing command says on its stderr is shown, in octets.
const LONGEST_COMPLAINT: usize = 4096;
/// How often a running command is looked at.
const PATIENCE: Duration = Duration::from_millis(10);

/// The password of one side of one account.
pub(super) struct Password {
    /// The side, for the name of the environment variable and for messages.
    pub(super) side: Side,
    /// What it is the password of, as the prompt says it.
    pub(super) of: String,
    /// What the configuration says.
    pub(super) written: Written,
    /// Shared by all passwords of a run, so that one question is asked at a time.
    pub(super) terminal: Arc<Terminal>,
}

/// What a configuration says of a password.
#[derive(Clone)]
pub(super) enum Written {
    /// `password-command`, and how long it may take.
    Command(String, Duration),
    /// `password-file`
    File(PathBuf),
    /// `password`
    Password(Zeroizing<String>),
    /// Nothing: the environment knows it, or the user.
    Nothing,
}

/// The terminal as a place to ask for one password at a time.
#[derive(Debug, Default)]
pub(super) struct Terminal(Mutex<()>);

impl PasswordSource for Password {
    fn password(&self) -> Result<Zeroizing<String>, String> {
        let found = match &self.written {
            Written::Command(command, timeout) => of_command(command, *timeout, self.side)?,
            Written::File(path) => of_file(path)?,
            Written::Password(password) => password.clone(),
            Written::Nothing => match std::env::var_os(variable(self.side)) {
                Some(value) => of_environment(self.side, value)?,
                None => self.asked()?,
            },
        };
        // RFC 4616 §2 forbids NUL, and no command line can carry the others.
        match found.as_bytes() {
            [] => Err(format!("the password of {} is empty", self.of)),
            octets if octets.iter().any(|octet| matches!(octet, 0 | b'\r' | b'\n')) => {
                Err(format!("the password of {} holds a line end or NUL", self.of))
            }
            _ => Ok(found),
        }
    }
}

impl Password {
    fn asked(&self) -> Result<Zeroizing<String>, String> {
        let nowhere = || {
            format!(
                "there is no password for {}: the configuration names none, {} is not set, and there is no terminal to ask on",
                self.of,
                variable(self.side)
            )
        };
        // Where nobody sees the question, nobody answers it.
        if !std::io::stderr().is_terminal() {
            return Err(nowhere());
        }
        let _one_at_a_time = self.terminal.0.lock().unwrap_or_else(PoisonError::into_inner);
        let prompt = format!("Password of {}: ", printable(&self.of));
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| match error.kind() {
            std::io::ErrorKind::Interrupted => format!("the question for the password of {} was interrupted", self.of),
            _ => nowhere(),
        })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Password").field("side", &self.side).finish_non_exhaustive()
    }
}

/// The environment variable that may hold a side's password.
pub(super) fn variable(side: Side) -> &'static str {
    match side {
        Side::Local => "INTERIMAP_LOCAL_PASSWORD",
        Side::Remote => "INTERIMAP_REMOTE_PASSWORD",
    }
}

fn of_environment(side: Side, value: OsString) -> Result<Zeroizing<String>, String> {
    value.into_string().map(Zeroizing::new).map_err(|_| format!("{} is not valid UTF-8", variable(side)))
}

fn of_file(path: &Path) -> Result<Zeroizing<String>, String> {
    let place = printable(&path.display().to_string()).into_owned();
    let failed = |error: std::io::Error| format!("the password file {place} cannot be read: {error}");
    let file = File::open(path).map_err(failed)?;
    // The file that was opened is asked, not the name, which may mean another one by now.
    match Privacy::of(&file).map_err(failed)? {
        Privacy::Private => text_of(read_at_most(file).map_err(failed)?, &format!("the password file {place}")),
        open => Err(format!("the password file {place} {open}; run: chmod 600 {}", quoted(path))),
    }
}

/// Who may read a file besides us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// Nobody.
    Private,
    /// Others: this is its mode.
    Open(u32),
    /// Its owner, who has this number and is not us.
    Foreign(u32),
}

impl Privacy {
    pub(super) fn of(file: &File) -> std::io::Result<Privacy> {
        let facts = file.metadata()?;
        Ok(match (facts.mode() & 0o7777, facts.uid()) {
            (mode, _) if mode & 0o077 != 0 => Privacy::Open(mode),
            (_, owner) if owner != rustix::process::geteuid().as_raw() => Privacy::Foreign(owner),
            _ => Privacy::Private,
        })
    }
}

impl fmt::Display for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Privacy::Private => f.write_str("can be read by nobody else"),
            Privacy::Open(mode) => write!(f, "can be read or changed by others (its mode is {mode:04o})"),
            Privacy::Foreign(owner) => write!(f, "belongs to somebody else (user number {owner})"),
        }
    }
}

/// The path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    crate::report::shell_quoted(&path.display().to_string())
}

/// Runs the command with `sh -c`, without stdin, and takes its first line. It stays in our process group, so that it
/// can ask on the terminal and hears Ctrl-C as we do.
fn of_command(command: &str, timeout: Duration, side: Side) -> Result<Zeroizing<String>, String> {
    let what = format!("the password command of the {side} side");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .env_remove(variable(Side::Local))
        .env_remove(variable(Side::Remote))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{what} could not be started: {error}"))?;
    let deadline = Instant::now() + timeout;
    let said = child.stdout.take().map(|stdout| in_the_background(move || read_at_most(stdout)));
    let complaint = child.stderr.take().map(|stderr| in_the_background(move || beginning_of(stderr)));
    let ended = wait_until(&mut child, deadline);
    let Some(status) = ended.map_err(|error| format!("{what} got lost: {error}"))? else {
        return Err(format!("{what} was ended, for it took longer than {} seconds", timeout.as_secs()));
    };
    // A process that the command left behind may hold its stdout open: the deadline holds for that too.
    let left = || deadline.saturating_duration_since(Instant::now()).max(PATIENCE);
    if !status.success() {
        let complaint = complaint.and_then(|complaint| complaint.recv_timeout(left()).ok()).unwrap_or_default();
        let end = match status.code() {
            Some(code) => format!("failed with exit status {code}"),
            None => "was killed".to_owned(),
        };
        return Err(match complaint.trim() {
            "" => format!("{what} {end} and said nothing on its stderr"),
            complaint => format!("{what} {end}: {}", printable(complaint)),
        });
    }
    match said.and_then(|said| said.recv_timeout(left()).ok()) {
        Some(Ok(octets)) => text_of(octets, &format!("what {what} printed")),
        Some(Err(error)) => Err(format!("what {what} printed could not be read: {error}")),
        None => Err(format!("{what} ended, but something that it started holds its stdout open")),
    }
}

fn wait_until(child: &mut Child, deadline: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(PATIENCE);
    }
}

fn in_the_background<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel();
    // Nobody may wait for the answer any more; then it is dropped, and wiped where it is secret.
    thread::spawn(move || drop(sender.send(work())));
    receiver
}

/// Reads one octet more than a password can have, so that a longer text is noticed. The buffer never grows, so
/// nothing of the password stays behind in memory that was given back.
fn read_at_most(source: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(LONGEST + 64));
    source.take(LONGEST as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

/// The beginning of what is said, with all of it read, so that nobody waits for us to read on.
fn beginning_of(mut source: impl Read) -> String {
    let mut octets = Vec::new();
    let mut first = source.by_ref().take(LONGEST_COMPLAINT as u64);
    if first.read_to_end(&mut octets).is_ok() {
        drop(std::io::copy(&mut source, &mut std::io::sink()));
    }
    String::from_utf8_lossy(&octets).into_owned()
}

/// The text without the line end that closes it.
fn text_of(octets: Zeroizing<Vec<u8>>, what: &str) -> Result<Zeroizing<String>, String> {
    if octets.len() > LONGEST {
        return Err(format!("{what} is longer than {LONGEST} octets, which is no password"));
    }
    let line = octets.strip_suffix(b"\n").unwrap_or(&octets);
    let text = std::str::from_utf8(line).map_err(|_| format!("{what} is not valid UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password(written: Written) -> Result<String, String> {
        let source = Password { side: Side::Remote, of: "alice".to_owned(), written, terminal: Arc::default() };
        source.password().map(|password| password.to_string())
    }

    fn command(text: &str) -> Result<String, String> {
        password(Written::Command(text.to_owned(), Duration::from_secs(20)))
    }

    #[test]
    fn a_command_prints_the_password() {
        let long = format!("printf %0{LONGEST}d 0");
        for (text, printed) in [
            ("echo geheim", Ok("geheim".to_owned())),
            ("printf geheim", Ok("geheim".to_owned())),
            ("printf ' a b \\n'", Ok(" a b ".to_owned())),
            ("echo warning >&2; echo geheim", Ok("geheim".to_owned())),
            ("cat; echo geheim", Ok("geheim".to_owned())),
            (&long, Ok("0".repeat(LONGEST))),
            ("printf 'a\\n\\n'", Err("the password of alice holds a line end or NUL")),
            ("printf 'a\\0b'", Err("the password of alice holds a line end or NUL")),
            ("echo", Err("the password of alice is empty")),
            ("printf '\\377'", Err("what the password command of the remote side printed is not valid UTF-8")),
            (
                "exit 3",
                Err("the password command of the remote side failed with exit status 3 and said nothing on its stderr"),
            ),
            (
                "echo 'no \u{1b}[31mkey' >&2; exit 1",
                Err("the password command of the remote side failed with exit status 1: no \\u{1b}[31mkey"),
            ),
            ("kill -9 $$", Err("the password command of the remote side was killed and said nothing on its stderr")),
        ] {
            let printed = printed.map_err(str::to_owned);
            assert_eq!(command(text), printed, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_no_password() {
        assert!(command("yes").is_err());
        let error = command(&format!("printf %0{}d 0", LONGEST + 1)).unwrap_err();
        assert_eq!(
            error,
            "what the password command of the remote side printed is longer than 4096 octets, which is no password"
        );
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let started = Instant::now();
        let slow = Written::Command("exec sleep 60".to_owned(), Duration::from_millis(200));
        let error = password(slow).unwrap_err();
        assert_eq!(error, "the password command of the remote side was ended, for it took longer than 0 seconds");
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_command_does_not_hear_our_own_passwords() {
        assert_eq!(command("echo ${INTERIMAP_REMOTE_PASSWORD-unset}"), Ok("unset".to_owned()));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's");
        fs::write(&path, "geheim\n").unwrap();
        for mode in [0o600, 0o400, 0o700, 0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let expected = match mode & 0o077 {
                0 => Ok("geheim".to_owned()),
                _ => Err(format!(
                    "the password file {place} can be read or changed by others (its mode is {mode:04o}); run: chmod 600 '{quoted}'",
                    place = path.display(),
                    quoted = path.display().to_string().replace('\'', "'\\''"),
                )),
            };
            assert_eq!(password(Written::File(path.clone())), expected, "{mode:o}");
        }
        let missing = password(Written::File(folder.path().join("none"))).unwrap_err();
        assert!(missing.ends_with("none cannot be read: No such file or directory (os error 2)"), "{missing}");
    }

    #[test]
    fn no_secret_is_shown() {
        let written = Written::Password(Zeroizing::new("geheim".to_owned()));
        let source = Password { side: Side::Local, of: "alice".to_owned(), written, terminal: Arc::default() };
        assert!(!format!("{source:?}").contains("geheim"));
        assert_eq!(source.password().unwrap().as_str(), "geheim");
    }
}
