//! The binary as a shell sees it: what it prints where, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A home of its own, and nothing else of the environment.
struct Home(TempDir);

/// How a run ended.
#[derive(Debug, PartialEq)]
struct Ended {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    /// With a configuration in its place.
    fn with(configuration: &str) -> Home {
        let home = Home::new();
        let path = home.configuration();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, configuration).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn configuration(&self) -> PathBuf {
        self.path().join(".config/interimap/interimap.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interimap"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).spawn().unwrap(), self.path())
    }
}

/// Waits for the end; the name of the temporary home becomes `HOME`.
fn ended(child: Child, home: &Path) -> Ended {
    let output = child.wait_with_output().unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap().replace(&home.display().to_string(), "HOME");
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn end(status: i32, stdout: &str, stderr: &str) -> Ended {
    Ended { status: Some(status), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// An account whose local side is a tunnel that never answers usefully, and whose remote side is as given.
fn account(name: &str, remote: &str) -> String {
    format!("[account.{name}.local]\ntype = \"tunnel\"\ncommand = \"exit 7\"\n\n[account.{name}.remote]\n{remote}\n")
}

const TUNNEL: &str = "type = \"tunnel\"\ncommand = \"exit 8\"";

#[test]
fn without_a_configuration_it_says_where_one_belongs() {
    assert_eq!(
        Home::new().run(&["sync"]),
        end(
            2,
            "",
            "error: there is no configuration: HOME/.config/interimap/interimap.toml
help: interimap.toml(5) describes it; without one: interimap sync --remote imaps://USER@HOST --local maildir:PATH
"
        )
    );
}

#[test]
fn a_configuration_with_mistakes_shows_them_all() {
    let home = Home::with(&account("work", "type = \"imaps\"\nhots = \"h\"\nusername = \"u\"\nproxy = \"http://h\""));
    assert_eq!(
        home.run(&["sync", "work"]),
        end(
            2,
            "",
            "error: [account.work.remote] needs \"host\"
 --> HOME/.config/interimap/interimap.toml:5:1
  |
5 | [account.work.remote]
  | ^^^^^^^^^^^^^^^^^^^^^
help: write host = \"imap.example.org\"
error: [account.work.remote] has no key \"hots\"
 --> HOME/.config/interimap/interimap.toml:7:1
  |
7 | hots = \"h\"
  | ^^^^
help: the nearest key that exists is \"host\"
error: \"proxy\" is not there yet
 --> HOME/.config/interimap/interimap.toml:9:1
  |
9 | proxy = **********
  | ^^^^^
help: leave it out
"
        )
    );
}

#[test]
fn a_configuration_that_is_no_toml_says_so() {
    let home = Home::with("[account.work\n");
    let ended = home.run(&["status"]);
    assert_eq!(ended.status, Some(2));
    assert!(ended.stderr.starts_with("error: this is no TOML: unclosed table"), "{}", ended.stderr);
}

#[test]
fn a_maildir_that_cannot_be_is_told_with_its_line() {
    let home = Home::with(&account("work", "type = \"maildir\"\nlayout = \"maildir+\"\nhost = \"h\""));
    assert_eq!(
        home.run(&["sync"]),
        end(
            2,
            "",
            "error: [account.work.remote] needs \"path\"
 --> HOME/.config/interimap/interimap.toml:5:1
  |
5 | [account.work.remote]
  | ^^^^^^^^^^^^^^^^^^^^^
help: write path = \"~/Mail\"
error: \"layout\" does not know the word \"maildir+\"
 --> HOME/.config/interimap/interimap.toml:7:10
  |
7 | layout = \"maildir+\"
  |          ^^^^^^^^^^
help: the nearest word is \"maildir++\"; all of them: \"fs\", \"maildir++\"
error: \"host\" does not go with type = \"maildir\"
 --> HOME/.config/interimap/interimap.toml:8:1
  |
8 | host = \"h\"
  | ^^^^
help: leave it out, or write type = \"imaps\"
"
        )
    );
}

#[test]
fn a_maildir_is_not_brought_in_line_with_itself() {
    let home = Home::with(
        "[account.work]\n[account.work.local]\ntype = \"maildir\"\npath = \"~/Mail\"\n\
         [account.work.remote]\ntype = \"maildir\"\npath = \"~/link/.\"\n",
    );
    fs::create_dir(home.path().join("Mail")).unwrap();
    symlink("Mail", home.path().join("link")).unwrap();
    let help = "help: give each side a directory of its own, neither inside the other\n";
    let expected = format!(
        "error: both sides are the same Maildir\n --> HOME/.config/interimap/interimap.toml:1:1\n  |\n1 | [account.work]\n  \
         | ^^^^^^^^^^^^^^\n{help}"
    );
    assert_eq!(home.run(&["sync"]), end(2, "", &expected));
    // Behind "maildir:" the shell leaves "~" to us, and what is relative begins where we are.
    for (local, remote, message) in [
        ("maildir:~/Mail", "maildir:Mail/", "both sides are the same Maildir"),
        ("maildir:~/link", "maildir:$HOME/Mail", "both sides are the same Maildir"),
        ("maildir:~/Mail/work", "maildir:link", "the local side's Maildir lies in the remote one's"),
    ] {
        let ended = home.run(&["sync", "--local", local, "--remote", remote]);
        assert_eq!(ended, end(2, "", &format!("error: {message}\n{help}")), "{local} {remote}");
    }
    assert!(!home.path().join(".local").exists(), "a mistake leaves no state behind");
}

#[test]
fn an_unknown_account_is_told_with_the_nearest_one() {
    let home = Home::with(&(account("work", TUNNEL) + &account("home", TUNNEL)));
    let file = "HOME/.config/interimap/interimap.toml";
    for (name, help) in [("wrok", "the nearest account is \"work\""), ("zzz", "the accounts are: home, work")] {
        let expected = format!("error: there is no account \"{name}\" in {file}\nhelp: {help}\n");
        assert_eq!(home.run(&["sync", "work", name]), end(2, "", &expected));
    }
}

#[test]
fn what_is_not_there_yet_says_so() {
    for command in ["watch", "import", "migrate"] {
        let ended = Home::new().run(&[command, "work"]);
        let expected = format!("error: \"interimap {command}\" is not there yet\nhelp: ");
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
        assert!(ended.stderr.starts_with(&expected) && ended.stderr.lines().count() == 2, "{}", ended.stderr);
    }
}

#[test]
fn the_help_names_every_command_and_goes_to_stdout() {
    let ended = Home::new().run(&["--help"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
    for command in ["sync", "watch", "status", "check", "repair", "mailbox", "import", "migrate", "completions", "man"]
    {
        let named = ended.stdout.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(named, "{command} is missing in:\n{}", ended.stdout);
    }
    let ended = Home::new().run(&["mailbox", "--help"]);
    for command in ["list", "create", "delete", "rename", "subscribe", "unsubscribe"] {
        assert!(ended.stdout.contains(&format!("\n  {command} ")), "{command} is missing in:\n{}", ended.stdout);
    }
    assert_eq!(Home::new().run(&["--version"]).stdout, concat!("interimap ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn without_arguments_it_shows_its_help_as_a_mistake() {
    let ended = Home::new().run(&[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""));
    assert!(ended.stderr.contains("Usage: interimap [OPTIONS] <COMMAND>"), "{}", ended.stderr);
}

#[test]
fn the_manual_page_and_the_completions_are_printed() {
    let manual = Home::new().run(&["man"]);
    assert_eq!(manual, end(0, include_str!("../man/interimap.1"), ""));
    for shell in ["bash", "zsh", "fish"] {
        let ended = Home::new().run(&["completions", shell]);
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{shell}");
        assert!(ended.stdout.contains("allow-deletes"), "{shell}: {}", ended.stdout);
    }
}

/// A port of this machine on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn a_server_that_is_not_there_is_told_in_one_sentence() {
    let port = closed_port();
    let lines = format!("type = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"u\"\nstarttls = false");
    let configuration = account("work", &lines).replace("exit 7", "no-such-program --imap");
    let home = Home::with(&configuration);
    let ended = home.run(&["sync", "-q"]);
    let hint = "help: see whether the network is up, and whether what the configuration says of this side is right, then try: \
                interimap check work\n";
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
    let (local, remote) = ended.stderr.split_once(hint).unwrap();
    assert!(
        local.starts_with("error: work, local side: the tunnel command was not found") && local.lines().count() == 1,
        "{local}"
    );
    assert_eq!(
        remote,
        format!("error: work, remote side: nobody listens at 127.0.0.1, port {port} (nothing was done)\n{hint}")
    );
}

#[test]
fn a_failed_run_is_summed_up_on_stdout_and_in_json() {
    let home = Home::with(&account("work", TUNNEL));
    let ended = home.run(&["sync"]);
    assert_eq!(ended.status, Some(3));
    assert!(ended.stdout.starts_with("work: the run broke off: 0 mailboxes; "), "{}", ended.stdout);
    assert_eq!(ended.stdout.lines().count(), 1);
    let ended = home.run(&["sync", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(ended.status, Some(3));
    assert_eq!((&report["account"], &report["result"]), (&"work".into(), &"failed".into()));
    assert_eq!(report["errors"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert_eq!(report["errors"][1]["side"], "remote");
}

#[test]
fn every_account_has_a_line_of_json_and_the_worst_counts() {
    let home = Home::with(&(account("work", TUNNEL) + &account("home", TUNNEL)));
    let ended = home.run(&["--json", "check"]);
    assert_eq!(ended.status, Some(3));
    let lines = ended.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let names: Vec<String> = lines.map(|line| line["account"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["home", "work"]);
}

#[test]
fn the_log_can_be_json() {
    let home = Home::with(&account("work", TUNNEL));
    let ended = home.run(&["--log-format", "json", "sync", "wrok"]);
    let line: serde_json::Value = serde_json::from_str(ended.stderr.trim_end()).unwrap();
    assert_eq!((ended.status, &line["level"]), (Some(2), &"ERROR".into()));
    assert_eq!(line["help"], "the nearest account is \"work\"");
}

/// A server that greets, offers PLAIN and waits: enough for a login that never comes.
fn greeting_server() -> (u16, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead, BufReader, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n").unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(stream.try_clone().unwrap()).lines() {
            let Ok(line) = line else { break };
            let tag = line.split(' ').next().unwrap_or_default().to_owned();
            let answer = match line.split(' ').nth(1).map(str::to_ascii_uppercase).as_deref() {
                Some("CAPABILITY") => format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n"),
                Some("LOGOUT") => format!("* BYE bye\r\n{tag} OK done\r\n"),
                _ => format!("{tag} NO not here\r\n"),
            };
            lines.push(line);
            if stream.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        lines
    });
    (port, heard)
}

fn plain(port: u16, more: &str) -> String {
    format!("type = \"imap\"\nhost = \"127.0.0.1\"\nport = {port}\nusername = \"alice\"\nstarttls = false\n{more}")
}

#[test]
fn a_missing_password_is_told_with_what_to_do() {
    let (port, heard) = greeting_server();
    let home = Home::with(&account("work", &plain(port, "")));
    let ended = home.run(&["check", "-q"]);
    assert_eq!(ended.status, Some(3));
    let told = "error: work, remote side: there is no password for \"alice\" at 127.0.0.1 (the remote side): the configuration \
                names none, INTERIMAP_REMOTE_PASSWORD is not set, and there is no terminal to ask on\nhelp: \
                give this side a working \"password-command\" or \"password-file\", or set INTERIMAP_REMOTE_PASSWORD\n";
    assert!(ended.stderr.ends_with(told), "{}", ended.stderr);
    assert!(heard.join().unwrap().iter().all(|line| !line.contains("AUTHENTICATE")));
}

#[test]
fn a_password_is_taken_from_the_environment_and_shown_nowhere() {
    let (port, heard) = greeting_server();
    let home = Home::with(&account("work", &plain(port, "")));
    let mut command = home.command(&["check", "-vv", "--trace-wire", "trace"]);
    let child = command.env("INTERIMAP_REMOTE_PASSWORD", "geheim").spawn().unwrap();
    let ended = ended(child, home.path());
    assert_eq!(ended.status, Some(3));
    assert!(heard.join().unwrap().iter().any(|line| line.contains("AUTHENTICATE PLAIN")));
    let trace = fs::read_to_string(home.path().join("trace")).unwrap();
    assert!(trace.contains(" work remote S: * OK "), "{trace}");
    // The password, and what AUTHENTICATE PLAIN makes of it.
    for secret in ["geheim", "AGFsaWNlAGdlaGVpbQ"] {
        for told in [&trace, &ended.stdout, &ended.stderr] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

#[test]
fn a_tunnel_command_gets_no_password() {
    let tunnel = "type = \"tunnel\"\ncommand = \"echo \\\"* BYE <$INTERIMAP_REMOTE_PASSWORD>\\\"\"";
    let home = Home::with(&account("work", tunnel));
    let child = home.command(&["check"]).env("INTERIMAP_REMOTE_PASSWORD", "geheim").spawn().unwrap();
    let ended = ended(child, home.path());
    assert!(ended.stderr.contains("<>") && !ended.stderr.contains("geheim"), "{}", ended.stderr);
}

#[test]
fn a_failing_password_command_is_told_in_its_own_words() {
    let (port, heard) = greeting_server();
    let home = Home::with(&account("work", &plain(port, "password-command = \"echo 'no key' >&2; exit 2\"")));
    let ended = home.run(&["check", "-q"]);
    let told = "the password command of the remote side failed with exit status 2: no key";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);
    assert_eq!(ended.status, Some(3));
    heard.join().unwrap();
}

#[test]
fn a_password_in_an_address_is_refused_and_not_repeated() {
    let home = Home::new();
    let ended = home.run(&["sync", "--remote", "imaps://alice:geheim@h", "--local", "tunnel:x"]);
    assert_eq!(
        ended,
        end(
            2,
            "",
            "error: the address behind --remote cannot be used: it holds a password, which everybody on this machine can \
             read there; leave it out and use --password-command, the environment variable INTERIMAP_REMOTE_PASSWORD or \
             INTERIMAP_LOCAL_PASSWORD, or wait to be asked\n"
        )
    );
}

#[test]
fn two_addresses_need_no_configuration() {
    let home = Home::new();
    let ended = home.run(&["sync", "-q", "--remote", "tunnel:exit 8", "--local", "tunnel:exit 7"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(3), ""));
    let again = "then try: interimap check --remote 'tunnel:exit 8' --local 'tunnel:exit 7'\n";
    assert!(ended.stderr.contains(again), "{}", ended.stderr);
    let states = home.path().join(".local/share/interimap/addresses");
    let databases = fs::read_dir(states)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|extension| extension == "db"));
    assert_eq!(databases.count(), 1);
}

#[test]
fn before_the_first_run_the_status_says_so_and_leaves_no_trace() {
    let home = Home::with(&account("work", TUNNEL));
    let expected = "work: nothing is known yet; the first run is: interimap sync work\n";
    assert_eq!(home.run(&["status"]), end(0, expected, ""));
    assert!(!home.path().join(".local").exists(), "a question makes no state");
}

#[test]
fn a_rehearsal_leaves_no_state_behind() {
    let home = Home::with(&account("work", TUNNEL));
    assert_eq!(home.run(&["sync", "-n", "-q"]).status, Some(3));
    assert!(!home.path().join(".local").exists());
}

#[test]
fn a_configuration_with_a_password_that_others_may_read_is_refused() {
    let home = Home::with(&account("work", "type = \"imaps\"\nhost = \"h\"\nusername = \"u\"\npassword = \"geheim\""));
    fs::set_permissions(home.configuration(), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        home.run(&["sync"]),
        end(
            2,
            "",
            "error: this file holds a password and can be read or changed by others (its mode is 0644)
 --> HOME/.config/interimap/interimap.toml:9:1
  |
9 | password = ********
  | ^^^^^^^^
help: run: chmod 600 HOME/.config/interimap/interimap.toml
"
        )
    );
}

#[test]
fn what_cannot_be_written_is_no_success() {
    let home = Home::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = home.command(&["man"]).stdout(full).spawn().unwrap();
    let told = "error: stdout cannot be written, so it is incomplete: No space left on device (os error 28)\n";
    assert_eq!(ended(child, home.path()), end(1, "", told));
}

#[test]
fn no_core_is_dumped_that_would_hold_a_password() {
    let home = Home::with(&account("work", TUNNEL).replace("exit 8", "cat /proc/$PPID/limits > limits"));
    home.run(&["check", "-q"]);
    let limits = fs::read_to_string(home.path().join("limits")).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
}

#[test]
fn a_signal_stops_it_with_a_word_and_the_status_of_the_signal() {
    for (signal, status) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        let configuration = account("work", TUNNEL).replace("exit 8", "touch up; exec sleep 30");
        let home = Home::with(&configuration.replace("exit 7", "exec sleep 30"));
        let child = home.command(&["sync"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !home.path().join("up").exists() {
            assert!(Instant::now() < deadline, "the tunnel was never started");
            sleep(Duration::from_millis(5));
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let expected = "error: stopped by a signal; what was done is kept, and the next run does the rest\n";
        assert_eq!(ended(child, home.path()), end(status, "", expected));
    }
}

#[test]
fn a_bar_is_shown_where_it_is_wanted_and_only_for_what_takes_long() {
    let slow = Home::with(&account("work", "type = \"tunnel\"\ncommand = \"exec sleep 2\""));
    let start = |home: &Home, progress| home.command(&["sync", "-q", "--progress", progress]).spawn().unwrap();
    let (bars, none) = (start(&slow, "always"), slow.command(&["check", "-q"]).spawn().unwrap());
    let bars = ended(bars, slow.path());
    assert!(bars.stderr.contains("work: ") && bars.stderr.contains("connecting"), "{:?}", bars.stderr);
    let last = bars.stderr.rfind("connecting").unwrap();
    assert!(last < bars.stderr.find("error: ").unwrap(), "a bar is gone before the outcome is told: {:?}", bars.stderr);
    assert!(!ended(none, slow.path()).stderr.contains("connecting"), "stderr is no terminal");
    let quick = Home::with(&account("work", TUNNEL));
    let quick = ended(start(&quick, "always"), quick.path());
    assert!(!quick.stderr.contains("connecting"), "{:?}", quick.stderr);
}

#[test]
fn a_reader_that_goes_away_is_no_fault() {
    let home = Home::new();
    let mut child = home.command(&["man"]).spawn().unwrap();
    drop(child.stdout.take());
    let ended = ended(child, home.path());
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""));
}

#[test]
fn colour_is_for_those_who_ask_for_it() {
    let home = Home::new();
    for (color, colored) in [("auto", false), ("never", false), ("always", true)] {
        let ended = home.run(&["--color", color, "watch"]);
        assert_eq!(ended.stderr.contains('\u{1b}'), colored, "{color}: {:?}", ended.stderr);
    }
}
