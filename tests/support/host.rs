//! What the machine that the tests run on has to offer: accounts, ports, directories, programs.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The account that mail belongs to: nobody when we are root, for servers give root no mail; otherwise ourselves.
pub(crate) struct MailAccount {
    /// Its name.
    pub(crate) name: String,
    /// The name of its group.
    pub(crate) group: String,
    /// Its number.
    pub(crate) uid: u32,
    /// The number of its group.
    pub(crate) gid: u32,
    /// Whether it is not our own.
    pub(crate) is_other: bool,
}

impl MailAccount {
    /// The account of mail that is served from here.
    pub(crate) fn ours() -> MailAccount {
        let user = rustix::process::geteuid();
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let entry = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| if user.is_root() { fields[0] == "nobody" } else { fields[2] == user.as_raw().to_string() })
            .expect("servers want an account that has a name");
        let groups = fs::read_to_string("/etc/group").unwrap();
        let group = groups
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[2] == entry[3])
            .expect("servers want a group that has a name");
        MailAccount {
            name: entry[0].to_owned(),
            group: group[0].to_owned(),
            uid: entry[2].parse().unwrap(),
            gid: entry[3].parse().unwrap(),
            is_other: user.is_root(),
        }
    }

    /// Gives it a file or a directory.
    pub(crate) fn give(&self, path: &Path) {
        if self.is_other {
            chown(path, Some(self.uid), Some(self.gid)).unwrap();
        }
    }
}

/// A directory with a path short enough for the sockets in it, open to the mail user.
pub(crate) fn short_directory() -> TempDir {
    let usual = std::env::temp_dir();
    // A socket's path has 108 octets; a server's own names below need some 40 of them.
    let parent = if usual.as_os_str().len() > 50 { Path::new("/tmp") } else { &usual };
    let directory = tempfile::Builder::new().prefix("ii-").tempdir_in(parent).unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

/// A port of this host that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Where an installed program lies.
pub(crate) fn find(program: &str, usual: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    usual
        .iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(program))
        .find(|file| file.exists())
        .unwrap_or_else(|| panic!("{program} is missing: run contrib/install-missing"))
}

/// The tree that `contrib/unpack-servers` has made of a server's packages.
pub(crate) fn unpacked(server: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory");
    let tree = target.join("servers").join(server);
    assert!(tree.join("unpacked").exists(), "{server} is missing in {}: run contrib/unpack-servers", tree.display());
    tree
}
