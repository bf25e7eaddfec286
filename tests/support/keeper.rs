//! Keeps a daemon: ends it and all that it has started as soon as the test lets go of it, however the test itself ends.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs a command in the background until its own standard input ends; says in a file that the command has.
const SCRIPT: &str = r#"
    ended=$1
    shift
    { "$@" </dev/null; : >"$ended"; } &
    read -r _
    trap : TERM
    kill -TERM 0
    sleep 0.1
    kill -KILL 0
"#;

/// A running daemon.
pub(crate) struct Keeper {
    shell: Child,
    ended: PathBuf,
}

impl Keeper {
    /// Starts a daemon, which must stay in the foreground. What it complains of goes to `errors`.
    pub(crate) fn start(daemon: &Command, errors: &Path) -> Keeper {
        let ended = errors.with_extension("ended");
        let _ = fs::remove_file(&ended);
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "keeper"]).arg(&ended).arg(daemon.get_program()).args(daemon.get_args());
        for (name, value) in daemon.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        let shell = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(errors).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Keeper { shell, ended }
    }

    /// Waits until somebody listens on the port: the connection, or nothing if the daemon has ended instead.
    pub(crate) fn connection(&self, port: u16) -> Option<TcpStream> {
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience && !self.ended.exists() {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                return Some(stream);
            }
            sleep(Duration::from_millis(10));
        }
        None
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
