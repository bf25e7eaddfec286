//! All that was measured, as a file that programs read.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use crate::programs::Installed;

/// A file of `target/bench`, whose directory is there.
pub(crate) fn path(name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let directory = target.parent().expect("it lies in the target directory").join("bench");
    fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

/// Writes `target/bench/NAME.json`.
pub(crate) fn write(name: &str, programs: &[Installed], measured: &impl Serialize) {
    let titles: Vec<_> = programs.iter().map(|installed| installed.title.as_str()).collect();
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let document = json!({
        "programs": titles,
        "processor": processor.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "load": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "measured": measured,
    });
    let path = path(&format!("{name}.json"));
    fs::write(&path, format!("{document:#}\n")).unwrap();
    eprintln!(">> {}", path.display());
}
