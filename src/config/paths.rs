//! Where files are: the directories of the XDG specification, `~` and `$XDG_…` at the beginning of a path.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The variables of the environment that decide where files are. A value, so that tests have their own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<&'static str, PathBuf>,
}

/// The variables that a path may begin with, and what holds below the home directory where they are not set.
const VARIABLES: &[(&str, Option<&str>)] = &[
    ("HOME", None),
    ("XDG_CONFIG_HOME", Some(".config")),
    ("XDG_DATA_HOME", Some(".local/share")),
    ("XDG_STATE_HOME", Some(".local/state")),
    ("XDG_CACHE_HOME", Some(".cache")),
    ("XDG_RUNTIME_DIR", None),
    ("CREDENTIALS_DIRECTORY", None),
];

impl Environment {
    /// Looks each variable up. A relative path counts as none, as the XDG specification wants.
    pub fn new(mut variable: impl FnMut(&str) -> Option<OsString>) -> Environment {
        let set = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let mut set = set;
        Environment { variables: VARIABLES.iter().filter_map(|(name, _)| Some((*name, set(name)?))).collect() }
    }

    /// `$XDG_CONFIG_HOME/interimap/interimap.toml`
    pub fn config_file(&self) -> Result<PathBuf, String> {
        Ok(self.directory("XDG_CONFIG_HOME")?.join("interimap/interimap.toml"))
    }

    /// `$XDG_DATA_HOME/interimap`, which holds the state.
    pub fn state_directory(&self) -> Result<PathBuf, String> {
        Ok(self.directory("XDG_DATA_HOME")?.join("interimap"))
    }

    /// The path that `text` means: `~` and a variable at its beginning are expanded, and a relative one begins in `base`.
    /// Fails with why it means none.
    pub(super) fn expand(&self, text: &str, base: &Path) -> Result<PathBuf, String> {
        let (first, rest) = match text.split_once('/') {
            Some((first, rest)) => (first, rest.trim_start_matches('/')),
            None => (text, ""),
        };
        let start = match first.strip_prefix('$') {
            Some(name) => self.directory(name.trim_start_matches('{').trim_end_matches('}'))?,
            None if first == "~" => self.directory("HOME")?,
            None if first.starts_with('~') => return Err(format!("only ~/… is known, not {first}/…")),
            None => return Ok(base.join(text)),
        };
        Ok(if rest.is_empty() { start } else { start.join(rest) })
    }

    fn directory(&self, name: &str) -> Result<PathBuf, String> {
        let Some((name, default)) = VARIABLES.iter().find(|(known, _)| *known == name) else {
            let known: Vec<String> = VARIABLES.iter().map(|(name, _)| format!("${name}")).collect();
            return Err(format!("a path can begin with one of {}, not with ${name}", known.join(", ")));
        };
        match (self.variables.get(name), self.variables.get("HOME"), default) {
            (Some(path), _, _) => Ok(path.clone()),
            (None, Some(home), Some(default)) => Ok(home.join(default)),
            (None, None, Some(_)) => Err(format!("neither ${name} nor $HOME is set to an absolute path")),
            (None, _, None) => Err(format!("${name} is not set to an absolute path")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> Environment {
        Environment::new(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn files_are_where_the_xdg_specification_has_them() {
        for (set, config, state) in [
            (&[("HOME", "/h")][..], "/h/.config/interimap/interimap.toml", "/h/.local/share/interimap"),
            (
                &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_DATA_HOME", "relative")][..],
                "/c/interimap/interimap.toml",
                "/h/.local/share/interimap",
            ),
        ] {
            let environment = environment(set);
            assert_eq!(environment.config_file(), Ok(PathBuf::from(config)), "{set:?}");
            assert_eq!(environment.state_directory(), Ok(PathBuf::from(state)), "{set:?}");
        }
        let nothing = environment(&[]).config_file().unwrap_err();
        assert_eq!(nothing, "neither $XDG_CONFIG_HOME nor $HOME is set to an absolute path");
    }

    #[test]
    fn a_path_may_begin_with_home_or_a_variable() {
        let environment = environment(&[("HOME", "/h"), ("CREDENTIALS_DIRECTORY", "/run/c")]);
        for (text, path) in [
            ("/etc/x", Ok("/etc/x")),
            ("x/y", Ok("/base/x/y")),
            ("~", Ok("/h")),
            ("~/x", Ok("/h/x")),
            ("~//etc/x", Ok("/h/etc/x")),
            ("$HOME/x", Ok("/h/x")),
            ("${XDG_DATA_HOME}/x", Ok("/h/.local/share/x")),
            ("$CREDENTIALS_DIRECTORY/pw", Ok("/run/c/pw")),
            ("x/~/$HOME", Ok("/base/x/~/$HOME")),
            ("~bob/x", Err("only ~/… is known, not ~bob/…")),
            ("$XDG_RUNTIME_DIR/x", Err("$XDG_RUNTIME_DIR is not set to an absolute path")),
        ] {
            let expected = path.map(PathBuf::from).map_err(str::to_owned);
            assert_eq!(environment.expand(text, Path::new("/base")), expected, "{text}");
        }
        assert!(environment.expand("$PATH/x", Path::new("/base")).unwrap_err().ends_with("not with $PATH"));
    }
}
