//! Loading a node's TOML file, with errors that name the file, the line and the nearest key.

mod document;
mod error;
mod mistakes;
mod sections;

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use document::Reading;
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
    ConfigFile::open(file)?.load(check)
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
    ConfigFile::new(text, file, folder).load(|_, _| {})
}

/// A file that several read, each as a type of its own: a key is unknown when none of them knows it.
#[derive(Debug)]
pub struct ConfigFile {
    text: String,
    file: PathBuf,
    folder: PathBuf,
    readings: Vec<Reading>,
    /// By checks of the whole.
    found: Vec<PlacedMistake>,
}

impl ConfigFile {
    /// Reads the text.
    ///
    /// # Errors
    /// [`ConfigError::Read`].
    pub fn open(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
            file: file.to_owned(),
            source,
        })?;
        let folder = match file.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        Ok(Self::new(&text, file, folder))
    }

    fn new(text: &str, file: &Path, folder: PathBuf) -> Self {
        Self {
            text: text.to_owned(),
            file: file.to_owned(),
            folder,
            readings: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Whether there is a table of that name, or something below it.
    #[must_use]
    pub fn has(&self, table: &str) -> bool {
        let (tables, _) = toml::de::DeTable::parse_recoverable(&self.text);
        tables.get_ref().contains_key(table)
    }

    /// Reads it as a `T`; `None` when there is none. What is wrong is told at the [end](Self::finish).
    ///
    /// The sections in the table `own` stand for those at top level, key by key. Those in the tables of
    /// `others` are nothing to this reader.
    pub fn read<T: DeserializeOwned>(
        &mut self,
        own: Option<&str>,
        others: &[&str],
        check: impl FnOnce(&T, &mut Mistakes),
    ) -> Option<T> {
        let guard = FolderGuard::enter(self.folder.clone());
        let (config, reading) = document::read(&self.text, own, others, check);
        drop(guard);
        self.readings.push(reading);
        config
    }

    /// Checks what is in no reader's part.
    pub fn check(&mut self, check: impl FnOnce(&mut Mistakes)) {
        self.found.extend(document::check(&self.text, check));
    }

    /// Whether all that has been read is right.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub fn finish(self) -> Result<(), ConfigError> {
        let mut mistakes = document::mistakes(self.readings);
        mistakes.extend(self.found);
        ConfigError::of(&self.file, mistakes)
    }

    fn load<T: DeserializeOwned>(
        mut self,
        check: impl FnOnce(&T, &mut Mistakes),
    ) -> Result<T, ConfigError> {
        let file = self.file.clone();
        let config = self.read(None, &[], check);
        self.finish()?;
        config.ok_or_else(|| ConfigError::unfit(&file, "cannot be used"))
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
        let wrong = ConfigFile::new(text, file, "/".into())
            .load(check)
            .unwrap_err();
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

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Other {
        imap: OtherImap,
        grpc: OtherImap,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct OtherImap {
        listen: Vec<String>,
        timeout: u32,
    }

    #[test]
    fn each_reader_takes_what_it_knows() {
        let text = "[node]\nname = \"n\"\n[imap]\nlisten = [\"all\"]\nmax_line = 5\ntimeout = 7\n\
                    [grpc]\nlisten = [\"g\"]\n[one.imap]\nlisten = [\"first\"]\n\
                    [two.grpc]\ntimeout = 9\n";
        let mut file = ConfigFile::new(text, Path::new("n.toml"), "/".into());
        assert!(file.has("grpc") && file.has("one") && !file.has("cluster"));
        let one: Config = file.read(Some("one"), &["two"], |_, _| {}).unwrap();
        let two: Other = file.read(Some("two"), &["one"], |_, _| {}).unwrap();
        file.finish().unwrap();
        assert_eq!(
            (one.imap.listen, one.imap.max_line),
            (vec!["first".into()], 5)
        );
        assert_eq!((two.imap.listen, two.imap.timeout), (vec!["all".into()], 7));
        assert_eq!((two.grpc.listen, two.grpc.timeout), (vec!["g".into()], 9));

        let text = "[imap]\nlisen = []\n[nod]\n[one.imap]\nmax_lin = 1\n[two.node]\nname = 1\n\
                    [grpc]\ntimeout = \"x\"\n";
        let mut file = ConfigFile::new(text, Path::new("n.toml"), "/".into());
        let _: Option<Config> = file.read(Some("one"), &["two"], |_, mistakes| {
            mistakes.add("imap.max_line", "`imap.max_line` is odd");
        });
        let _: Option<Other> = file.read(Some("two"), &["one"], |_, mistakes| {
            mistakes.add("imap.listen", "`imap.listen` is missing");
        });
        file.check(|mistakes| mistakes.add("one", "`one` is odd"));
        assert_eq!(
            file.finish().unwrap_err().to_string(),
            "n.toml:1:2: `imap.max_line` is odd\n\
             n.toml:1:2: `imap.listen` is missing\n\
             n.toml:2:1: unknown key `imap.lisen`; did you mean `listen`?\n\
             n.toml:3:2: unknown key `nod`; did you mean `node`?\n\
             n.toml:4:2: `one` is odd\n\
             n.toml:5:1: unknown key `one.imap.max_lin`; did you mean `max_line`?\n\
             n.toml:6:6: unknown key `two.node`; the keys here are `imap`, `grpc`\n\
             n.toml:9:11: `grpc.timeout`: invalid type: string \"x\", expected u32"
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
