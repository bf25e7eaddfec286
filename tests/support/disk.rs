//! Small disks for tests: each in a mount namespace of its own, which nobody sees who does not look for it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;

/// Mounts a file system in memory and keeps it until standard input ends.
const SCRIPT: &str = r#"mount -t tmpfs -o "size=$2k,mode=755" none "$1" && echo mounted && exec cat"#;

/// A disk with little room.
pub(crate) struct Disk {
    keeper: Child,
    mount: TempDir,
}

/// What may be done with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Everything.
    ReadWrite,
    /// It may be read, as after an error that the file system has met.
    ReadOnly,
}

impl Disk {
    /// A disk of so many KiB. A machine whose users may not have mounts of their own says so, and gives none.
    pub(crate) fn of(kib: u32) -> Option<Disk> {
        let mount = tempfile::tempdir().unwrap();
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount").args((!geteuid().is_root()).then_some("--map-root-user"));
        let mut keeper = unshare
            .args(["sh", "-c", SCRIPT, "disk"])
            .arg(mount.path())
            .arg(kib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let _ = BufReader::new(keeper.stdout.take().expect("it is a pipe")).read_line(&mut line);
        let disk = Disk { keeper, mount };
        if line != "mounted\n" {
            eprintln!("SKIPPED: nobody may mount anything here");
            return None;
        }
        Some(disk)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> PathBuf {
        let place = self.mount.path().strip_prefix("/").expect("it is absolute");
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(place)
    }

    /// Where it is to those who were brought in.
    pub(crate) fn mount(&self) -> &Path {
        self.mount.path()
    }

    /// What stands before a command line that is to be brought in.
    pub(crate) fn entrance(&self) -> Vec<OsString> {
        let target = self.keeper.id().to_string();
        let mut entrance = vec!["nsenter", "--target", &target, "--mount"];
        if !geteuid().is_root() {
            entrance.extend(["--user", "--preserve-credentials"]);
        }
        entrance.into_iter().map(OsString::from).collect()
    }

    /// Says what may be done with it from now on.
    pub(crate) fn allow(&self, what: Use) {
        let options = if what == Use::ReadOnly { "remount,ro" } else { "remount,rw" };
        let entrance = self.entrance();
        let mut enter = Command::new(&entrance[0]);
        enter.args(&entrance[1..]);
        let done = enter.args(["mount", "-o", options]).arg(self.mount.path()).status().unwrap();
        assert!(done.success(), "the disk was not mounted again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
