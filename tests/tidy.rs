//! House rules that no compiler checks: who may name whom, and what every file says of itself.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may name besides itself, in the order of the layers.
const ROOMS: &[(&str, &[&str])] = &[
    ("mail", &[]),
    ("database", &["mail"]),
    ("plan", &["mail"]),
    ("state", &["mail", "plan", "database"]),
    ("store", &["mail", "database"]),
    ("engine", &["mail", "plan", "state", "store"]),
    // What it complains of is shown as any other trouble is.
    ("config", &["mail", "plan", "store", "report"]),
    ("report", &["mail", "plan", "state", "store", "engine"]),
    ("cli", &["mail", "database", "plan", "state", "store", "engine", "config", "report"]),
];

/// Words that a room must not hold, for what they would bring in.
const ABSENT: &[(&str, &[&str])] = &[
    ("mail", &["std::fs", "std::net", "tokio", "async fn", "rusqlite", "SystemTime", "println!"]),
    (
        "plan",
        &[
            "std::fs",
            "std::net",
            "tokio",
            "async fn",
            "rusqlite",
            "SystemTime",
            "Instant",
            "tracing",
            "rand",
            "println!",
        ],
    ),
    ("database", &["tokio", "async fn", "std::net", "println!"]),
    ("state", &["tokio", "async fn", "std::net", "println!"]),
    ("store", &["rusqlite", "crate::database", "println!"]),
    ("engine", &["rusqlite", "println!", "SELECT ", "std::net", "SystemTime"]),
];

/// Parts of rooms that hold such words all the same: a tree of Maildirs has UIDs only in a database of ours.
const PRESENT: &[(&str, &[&str])] = &[("store/maildir", &["rusqlite", "crate::database"])];

#[test]
fn rooms_name_only_the_rooms_below_them() {
    for (room, allowed) in ROOMS {
        for (path, text) in sources(room) {
            for (number, line) in code_of(&text) {
                for named in line.split("crate::").skip(1) {
                    let named: String = named.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let known = ROOMS.iter().any(|(name, _)| *name == named);
                    let fine = !known || named == *room || allowed.contains(&named.as_str());
                    assert!(fine, "{}:{number}: {room} must not name {named}", path.display());
                }
            }
        }
    }
}

#[test]
fn the_stores_do_not_know_each_other() {
    for (path, text) in sources("store") {
        let own = path.components().any(|part| part.as_os_str() == "imap");
        assert!(!own || !text.contains("store::maildir"), "{}: a store names another one", path.display());
    }
}

#[test]
fn what_is_absent_from_a_room_stays_absent() {
    for (room, words) in ABSENT {
        for (path, text) in sources(room).into_iter().filter(|(path, _)| !is_test(path)) {
            let present =
                PRESENT.iter().filter(|(part, _)| path.starts_with(source(part))).flat_map(|(_, words)| *words);
            let present: Vec<&str> = present.copied().collect();
            for (number, line) in code_of(&text) {
                for word in words.iter().filter(|word| !present.contains(word)) {
                    assert!(!line.contains(word), "{}:{number}: {room} does without {word}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests", "fuzz/fuzz_targets"] {
        for path in rust_files(Path::new(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("//! "), "{} does not open with //!", path.display());
        }
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // The words are put together here, so that this file does not hold them.
    let words = [["to", "do!("], ["unimple", "mented!("], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore"], ["dbg", "!("]];
    for path in rust_files(Path::new("src")).into_iter().chain(rust_files(Path::new("tests"))) {
        let text = fs::read_to_string(&path).unwrap();
        for word in words.map(|parts| parts.concat()) {
            assert!(!text.contains(&word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn names_say_what_a_thing_is() {
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in code_of(&text) {
            let declared = ["fn ", "struct ", "enum ", "mod ", "trait "].iter().find_map(|word| line.split_once(word));
            let Some((_, name)) = declared else { continue };
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let folded = name.to_lowercase();
            for word in ["manager", "handler", "helper", "util", "process_", "do_it"] {
                assert!(!folded.contains(word), "{}:{number}: {name} says nothing", path.display());
            }
        }
    }
}

/// The table of what servers do wrong is worth what its tests are.
#[test]
fn every_quirk_has_a_test_that_carries_its_name() {
    const TABLE: &str = "src/store/imap/quirks.rs";
    let table = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE)).unwrap();
    let names: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next())
        .filter(|name| *name != "name" && !name.starts_with("---"))
        .collect();
    assert!(names.len() > 60, "{TABLE} has lost its table");
    let mut carried = Vec::new();
    for path in rust_files(Path::new("src")).into_iter().chain(rust_files(Path::new("tests"))) {
        let text = fs::read_to_string(&path).unwrap();
        for named in quirks_in(&text) {
            assert!(names.contains(&named.as_str()), "{} names the quirk {named}, which {TABLE} lacks", path.display());
        }
        let tests = match is_test(&path) || path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")) {
            true => text.as_str(),
            false => text.split_once("\n#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests),
        };
        carried.extend(quirks_in(tests));
        // In tables they are strings.
        carried.extend(names.iter().filter(|name| tests.contains(&format!("\"{name}\""))).map(|name| name.to_string()));
    }
    for (at, name) in names.iter().enumerate() {
        assert!(carried.iter().any(|other| other == name), "no test carries the quirk {name}");
        assert!(!names[..at].contains(name), "{TABLE} has the quirk {name} twice");
    }
}

/// The quirks that comments name: one, or several with commas between, each with who and when in parentheses or not.
fn quirks_in(text: &str) -> Vec<String> {
    let is_of_name = |sign: char| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '-';
    let text = text.replace("\n/// ", " ");
    let mut found = Vec::new();
    // Put together here, so that this file does not hold it.
    for mut rest in text.split(&["`quirks`", ": "].concat()).skip(1) {
        loop {
            let (name, behind) = rest.split_at(rest.find(|sign| !is_of_name(sign)).unwrap_or(rest.len()));
            found.push(name.to_owned());
            rest = behind.strip_prefix(" (").and_then(|behind| behind.split_once(')')).map_or(behind, |(_, rest)| rest);
            match rest.strip_prefix(", ") {
                Some(more) if more.starts_with(is_of_name) => rest = more,
                _ => break,
            }
        }
    }
    found
}

/// The lines up to the tests of a file, without comments.
fn code_of(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]") || line.contains("extern"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_test(path: &Path) -> bool {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.iter().any(|part| part == "model" || part == "tests" || part == "tests.rs")
}

fn source(part: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part)
}

fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let mut paths = rust_files(&source(room));
    let single = source(format!("{room}.rs"));
    paths.extend(single.exists().then_some(single));
    assert!(!paths.is_empty(), "there is no room {room}");
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a source can be read"))).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
