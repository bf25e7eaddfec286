//! Tunnels: commands that speak IMAP, commands that do not, and that none of them is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::{Duration, Instant};

use interimap::store::imap::{Compression, Endpoint, ImapStore, Link, TunnelStderr, connect};
use interimap::store::{Cause, Error, Retry, Store};

#[tokio::test]
async fn a_command_that_does_not_exist_says_so() {
    for stderr in [TunnelStderr::Logged, TunnelStderr::Discarded] {
        let error = refused("no-such-command-anywhere --option", stderr).await;
        assert_eq!((error.cause, error.retry), (Cause::Unreachable, Retry::Never), "{error}");
        assert!(error.text.starts_with("the tunnel command was not found"), "{error}");
        assert_eq!(error.text.contains("no-such-command-anywhere"), stderr == TunnelStderr::Logged, "{error}");
    }
    let error = refused("/dev/null", TunnelStderr::Logged).await;
    assert!(error.text.starts_with("the tunnel command cannot be run"), "{error}");
}

#[tokio::test]
async fn a_command_that_fails_is_quoted() {
    for (command, text) in [
        (
            "echo first >&2; printf 'Permission \\033[1mdenied\\n' >&2; exit 255",
            "the tunnel command ended with exit status 255: Permission \\x1b[1mdenied",
        ),
        ("exit 0", "the tunnel command ended"),
        ("kill -9 $$", "the tunnel command was killed (signal: 9 (SIGKILL))"),
    ] {
        let error = refused(command, TunnelStderr::Logged).await;
        assert_eq!(error.text, text);
        assert_eq!((error.cause, error.retry), (Cause::Unreachable, Retry::Later), "{error}");
    }
}

#[tokio::test]
async fn a_command_that_dies_in_the_middle_is_mourned() {
    let command = format!("{OPENING}; read command; printf '* 1 EXI'; echo broken pipe >&2; exit 3");
    let mut store = open(&command, TunnelStderr::Logged).await;
    let error = store.mailboxes().await.unwrap_err();
    assert_eq!(error.text, "the tunnel command ended with exit status 3: broken pipe");
    assert_eq!(error.cause, Cause::ConnectionLost);
}

#[tokio::test]
async fn a_talkative_stderr_holds_nothing_up() {
    let command = format!("head -c 3000000 /dev/zero | tr '\\000' x >&2; echo >&2; {OPENING}; cat > /dev/null");
    for stderr in [TunnelStderr::Logged, TunnelStderr::Discarded] {
        drop(open(&command, stderr).await);
    }
}

#[tokio::test]
async fn the_whole_tunnel_ends_with_the_session() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let command =
        format!("sleep 1000 & echo $! $$ > {}; {OPENING}; trap '' TERM HUP INT; cat > /dev/null", pids.display());
    let store = open(&command, TunnelStderr::Discarded).await;
    let pids: Vec<u32> =
        fs::read_to_string(&pids).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_running(*pid)));
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(5);
    while pids.iter().any(|pid| is_running(*pid)) {
        assert!(Instant::now() < deadline, "one of {pids:?} is still running");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_session_takes_its_leave() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let command = format!(
        "{OPENING}; read tag command; echo \"$command\" > {0}; printf '* BYE\\r\\n%s OK done\\r\\n' $tag; sleep 0.1; echo ended >> {0}",
        log.display()
    );
    let mut store = open(&command, TunnelStderr::Discarded).await;
    store.close().await;
    assert!(store.mailboxes().await.is_err());
    drop(store);
    assert_eq!(fs::read_to_string(&log).unwrap(), "LOGOUT\r\nended\n");
}

#[tokio::test]
async fn what_a_shell_says_instead_of_a_greeting_is_quoted() {
    let error = refused("echo 'You have new mail.'; exec cat", TunnelStderr::Discarded).await;
    assert_eq!(error.text, "the server sent something that is no response of IMAP: You have new mail");
}

#[tokio::test]
async fn what_a_tunnel_sends_back_is_not_quoted() {
    let error = refused("printf '* PREAUTH hi\\r\\n'; exec cat", TunnelStderr::Discarded).await;
    assert_eq!(error.text, "the server sent something that is no response of IMAP");
}

/// The server's part of the opening, as a shell speaks it.
const OPENING: &str = "printf '* PREAUTH [CAPABILITY IMAP4rev1 ENABLE CONDSTORE QRESYNC UIDPLUS LIST-EXTENDED LIST-STATUS] hi\\r\\n'; \
    read one rest; read two rest; printf '* ENABLED QRESYNC\\r\\n%s OK\\r\\n%s OK\\r\\n' $one $two";

async fn open(command: &str, stderr: TunnelStderr) -> ImapStore {
    connect(&endpoint(command, stderr)).await.unwrap()
}

async fn refused(command: &str, stderr: TunnelStderr) -> Error {
    match connect(&endpoint(command, stderr)).await {
        Ok(_) => panic!("the session was opened"),
        Err(error) => error,
    }
}

fn endpoint(command: &str, stderr: TunnelStderr) -> Endpoint {
    Endpoint {
        link: Link::Tunnel { command: command.to_owned(), stderr },
        login: None,
        timeout: Duration::from_secs(20),
        compression: Compression::Unwanted,
        disable_extensions: Vec::new(),
        prefix: None,
        trace: None,
    }
}

/// A process that has ended and was not waited for is not running.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}
