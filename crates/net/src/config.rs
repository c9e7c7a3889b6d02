//! Loading a node's TOML file, with errors that name the file, the line and the nearest key.

mod document;
mod error;
mod mistakes;
mod sections;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use document::Document;
pub use error::{ConfigError, PlacedMistake};
pub use mistakes::Mistakes;
pub use sections::{
    AdminConfig, ClusterConfig, HttpConfig, LimitsConfig, LogConfig, LogFormat, MAX_WEIGHT,
    MupdateConfig, NodeConfig, TlsConfig,
};

thread_local! {
    /// The folder of the file that this thread is reading; relative paths are under it.
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Sets [`FOLDER`] until it is dropped.
struct FolderGuard(Option<PathBuf>);

impl FolderGuard {
    fn enter(folder: PathBuf) -> Self {
        Self(FOLDER.with(|slot| slot.replace(Some(folder))))
    }
}

impl Drop for FolderGuard {
    fn drop(&mut self) {
        FOLDER.with(|slot| slot.replace(self.0.take()));
    }
}

/// Reads a TOML file into `T`.
///
/// Path fields that are read with [`path`] or [`optional_path`] are relative to the file's folder.
///
/// # Errors
/// [`ConfigError::Read`] when the file cannot be read, [`ConfigError::Wrong`] with line and column of
/// each mistake: when it is not TOML, of keys that `T` does not know, of values that do not fit.
pub fn load<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    load_checked(file, |_, _| {})
}

/// As [`load`]; what `check` finds in the whole is told in the same answer. A key with a mistake has
/// its default there.
///
/// # Errors
/// As [`load`].
pub fn load_checked<T: DeserializeOwned>(
    file: &Path,
    check: impl FnOnce(&T, &mut Mistakes),
) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })?;
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    parse_checked(&text, file, folder, check)
}

/// As [`load`], of a text that is already in memory; `file` is what errors call it.
///
/// # Errors
/// [`ConfigError::Wrong`], as [`load`].
pub fn parse<T: DeserializeOwned>(
    text: &str,
    file: &Path,
    folder: PathBuf,
) -> Result<T, ConfigError> {
    parse_checked(text, file, folder, |_, _| {})
}

fn parse_checked<T: DeserializeOwned>(
    text: &str,
    file: &Path,
    folder: PathBuf,
    check: impl FnOnce(&T, &mut Mistakes),
) -> Result<T, ConfigError> {
    let guard = FolderGuard::enter(folder);
    let read = Document::read(text);
    drop(guard);
    match read {
        Ok((config, document)) => {
            let mut mistakes = Mistakes::default();
            check(&config, &mut mistakes);
            ConfigError::of(file, document.with(mistakes.into_inner()))?;
            Ok(config)
        }
        Err(mistakes) => Err(ConfigError::Wrong {
            file: file.to_owned(),
            mistakes,
        }),
    }
}

/// For `#[serde(deserialize_with = "murder_net::config::path")]`: a path relative to the
/// configuration file's folder. Outside of [`load`], the path as it is.
///
/// # Errors
/// Those of reading a text.
pub fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(resolve(PathBuf::deserialize(deserializer)?))
}

/// [`path`] for an `Option<PathBuf>`; the field also needs `default`.
///
/// # Errors
/// Those of reading a text.
pub fn optional_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    Ok(Option::<PathBuf>::deserialize(deserializer)?.map(resolve))
}

fn resolve(path: PathBuf) -> PathBuf {
    FOLDER.with_borrow(|folder| match folder {
        Some(folder) if path.is_relative() => folder.join(path),
        _ => path,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Imap {
        listen: Vec<String>,
        tls_listen: Vec<String>,
        max_line: u32,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Partition {
        #[serde(deserialize_with = "path")]
        path: PathBuf,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Config {
        node: NodeConfig,
        cluster: Option<ClusterConfig>,
        imap: Imap,
        limits: LimitsConfig,
        partitions: BTreeMap<String, Partition>,
    }

    fn error(text: &str) -> String {
        parse::<Config>(text, Path::new("be1.toml"), PathBuf::from("/etc/murder"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn unknown_key_names_file_line_and_nearest_key() {
        assert_eq!(
            error("[node]\nname = \"be1\"\n\n[imap]\nlisen = []\n"),
            "be1.toml:5:1: unknown key `imap.lisen`; did you mean `listen`?"
        );
        assert_eq!(
            error("[partitions.fast]\n  pth = \"x\"\n"),
            "be1.toml:2:3: unknown key `partitions.fast.pth`; did you mean `path`?"
        );
        assert_eq!(
            error("imap.tls_listn = []\n"),
            "be1.toml:1:6: unknown key `imap.tls_listn`; did you mean `tls_listen`?"
        );
    }

    #[test]
    fn unknown_section_and_key_without_a_near_one() {
        assert_eq!(
            error("[imapp]\n"),
            "be1.toml:1:2: unknown key `imapp`; did you mean `imap`?"
        );
        assert_eq!(
            error("[imap]\nzzz = 1\n"),
            "be1.toml:2:1: unknown key `imap.zzz`; the keys here are `listen`, `tls_listen`, `max_line`"
        );
    }

    #[test]
    fn bad_values_name_their_key() {
        assert_eq!(
            error("[imap]\nmax_line = \"much\"\n"),
            "be1.toml:2:12: `imap.max_line`: invalid type: string \"much\", expected u32"
        );
        assert_eq!(
            error("[imap]\nlisten = [\"a\", 5]\n"),
            "be1.toml:2:16: `imap.listen`: invalid type: integer `5`, expected a string"
        );
    }

    #[test]
    fn all_mistakes_are_told_in_order() {
        let text = "[imap]\nmax_line = -1\nlisen = []\nlisten = [\"a\"]\n[limits]\n\
                    max_connections = 0\n[node]\nname = 5\n";
        let check = |config: &Config, mistakes: &mut Mistakes| {
            config.limits.check(mistakes);
            // It has its default, and a mistake already.
            mistakes.add("node.name", "`node.name` is odd");
            mistakes.add("imap", "`[imap]` is odd, for what was passed over");
            mistakes.add("imap.listen", "`imap.listen`: `a` is no address");
            mistakes.add("tls.cert", "`tls.cert` is missing");
        };
        let file = Path::new("be1.toml");
        let wrong = parse_checked(text, file, "/".into(), check).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "be1.toml:2:12: `imap.max_line`: invalid value: integer `-1`, expected u32\n\
             be1.toml:3:1: unknown key `imap.lisen`; did you mean `listen`?\n\
             be1.toml:4:1: `imap.listen`: `a` is no address\n\
             be1.toml:6:1: `limits.max_connections` is 0, which refuses everybody\n\
             be1.toml:8:8: `node.name`: invalid type: integer `5`, expected a string\n\
             be1.toml: `tls.cert` is missing"
        );
    }

    #[test]
    fn several_syntax_errors() {
        let text = error("[imap\nlisten = 5\n[limits]\nx = = 1\n");
        assert!(
            text.contains("be1.toml:1:") && text.contains("be1.toml:4:"),
            "{text}"
        );
    }

    #[test]
    fn syntax_errors_have_a_place() {
        let text = error("[imap]\nlisten = [\n");
        assert!(text.starts_with("be1.toml:"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn relative_paths_are_under_the_files_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("be1.toml");
        std::fs::write(
            &file,
            "[node]\nname = \"be1\"\ndata_dir = \"data\"\n[partitions.default]\npath = \"/srv/mail\"\n\
             [cluster]\nca = \"ca.pem\"\ncert = \"c.pem\"\nkey = \"c.key\"\n",
        )
        .unwrap();
        let config: Config = load(&file).unwrap();
        assert_eq!(config.node.name, "be1");
        assert_eq!(config.node.data_dir, folder.path().join("data"));
        assert_eq!(config.cluster.unwrap().ca, folder.path().join("ca.pem"));
        assert_eq!(config.partitions["default"].path, Path::new("/srv/mail"));
        assert_eq!(
            config.limits.max_connections,
            LimitsConfig::default().max_connections
        );
    }

    #[test]
    fn a_file_that_is_not_there() {
        let text = load::<Config>(Path::new("/nowhere/be1.toml"))
            .unwrap_err()
            .to_string();
        assert!(
            text.starts_with("/nowhere/be1.toml: cannot be read"),
            "{text}"
        );
    }
}
