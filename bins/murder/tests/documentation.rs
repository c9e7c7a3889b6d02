//! `docs/configuration.md` and `deploy/config/` say what the code does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use murder_backend::BackendConfig;
use murder_frontend::FrontendConfig;
use murder_mupdate::MasterConfig;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What must be said: a section with one of them is there whole or not at all.
const REQUIRED: [&str; 6] = [
    "cluster.ca",
    "cluster.cert",
    "cluster.key",
    "tls.cert",
    "tls.key",
    "partitions.NAME.path",
];
/// Another value on every host.
const HOST_NAME: &str = "node.name";

const CLUSTER: &str = "[cluster]\nca = 'ca.pem'\ncert = 'n.pem'\nkey = 'n.key'\n";
const MUPDATE: &str = "[mupdate]\n";
const TLS: &str = "[tls]\ncert = 't.pem'\nkey = 't.key'\n";
const PARTITION: &str = "[partitions.NAME]\npath = 'p'\n";

/// One key that is not in the file, by `section.key`.
type Defaults = BTreeMap<String, Value>;

/// A role, as the documentation has it.
struct Role {
    /// Its chapter in the documentation.
    chapter: &'static str,
    /// Its file in `deploy/config/`.
    sample: &'static str,
    defaults: Defaults,
    /// Reads a text as its configuration.
    load: fn(&str, &Path) -> Result<Value>,
}

fn roles() -> Result<[Role; 3]> {
    Ok([
        role::<FrontendConfig>("Frontend", "frontend.toml", &[CLUSTER, MUPDATE, TLS])?,
        role::<BackendConfig>("Backend", "backend.toml", &[CLUSTER, TLS, PARTITION])?,
        role::<MasterConfig>("Mupdate master", "mupdate.toml", &[CLUSTER])?,
    ])
}

fn role<C: DeserializeOwned + Serialize>(
    chapter: &'static str,
    sample: &'static str,
    sections: &[&str],
) -> Result<Role> {
    let whole = load::<C>(&sections.concat(), Path::new(sample))?;
    Ok(Role {
        chapter,
        sample,
        defaults: flatten(&whole),
        load: load::<C>,
    })
}

fn load<C: DeserializeOwned + Serialize>(text: &str, file: &Path) -> Result<Value> {
    let config: C = murder_net::config::parse(text, file, PathBuf::new())?;
    Ok(serde_json::to_value(config)?)
}

fn flatten(config: &Value) -> Defaults {
    let mut keys = Defaults::new();
    let sections = config.as_object().into_iter().flatten();
    for (section, keys_of_section) in sections {
        for (key, value) in keys_of_section.as_object().into_iter().flatten() {
            match value.as_object() {
                Some(below) => keys.extend(
                    below
                        .iter()
                        .map(|(inner, value)| (format!("{section}.{key}.{inner}"), value.clone())),
                ),
                None => drop(keys.insert(format!("{section}.{key}"), value.clone())),
            }
        }
    }
    keys
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(repository(path)).with_context(|| path.to_owned())
}

/// The defaults that the documentation gives, by chapter.
fn documented() -> Result<BTreeMap<String, BTreeMap<String, String>>> {
    let mut chapters: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let (mut chapter, mut section) = (String::new(), None);
    for line in read("docs/configuration.md")?.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            (chapter, section) = (title.to_owned(), None);
        } else if let Some(title) = line.strip_prefix("### ") {
            let name = title.strip_prefix("`[").and_then(|t| t.strip_suffix("]`"));
            section = name.map(str::to_owned);
        } else if let (Some(row), Some(section)) = (line.strip_prefix("| `"), &section) {
            let mut cells = row.split(" | ");
            let (key, default) = (cells.next(), cells.next());
            let key = key.and_then(|key| key.strip_suffix('`'));
            let (Some(key), Some(default)) = (key, default) else {
                anyhow::bail!("not a row of a key: {line}");
            };
            ensure!(
                cells.next().is_some_and(|meaning| meaning.len() > 4),
                "no meaning: {line}"
            );
            let keys = chapters.entry(chapter.clone()).or_default();
            let before = keys.insert(format!("{section}.{key}"), default.to_owned());
            ensure!(
                before.is_none(),
                "{chapter}: {section}.{key} is there twice"
            );
        }
    }
    Ok(chapters)
}

fn toml_value(value: &Value) -> Result<String> {
    Ok(toml::Value::try_from(value)?.to_string())
}

#[test]
fn every_key_is_documented_with_its_default() -> Result<()> {
    let documented = documented()?;
    let common = documented.get("Common sections").context("common")?;
    let mut common_used: Vec<&String> = Vec::new();
    let mut wrong = Vec::new();
    for role in roles()? {
        let own = documented.get(role.chapter).context(role.chapter)?;
        let own_section = |key: &str| {
            let section = key.rsplit_once('.').map_or("", |(section, _)| section);
            own.keys()
                .any(|k| k.rsplit_once('.').is_some_and(|(s, _)| s == section))
        };
        for (key, default) in &role.defaults {
            let place = if own_section(key) { own } else { common };
            let expected = if REQUIRED.contains(&key.as_str()) {
                "required".to_owned()
            } else if key == HOST_NAME {
                "the host's name".to_owned()
            } else if default.is_null() {
                "none".to_owned()
            } else {
                format!("`{}`", toml_value(default)?)
            };
            let said = place.get_key_value(key);
            if said.map(|(_, said)| said) != Some(&expected) {
                let said = said.map(|(_, said)| said);
                wrong.push(format!("{}: {key}: {expected}, not {said:?}", role.chapter));
            }
            if !own_section(key) {
                common_used.extend(said.map(|(key, _)| key));
            }
        }
        let unknown = own.keys().filter(|key| !role.defaults.contains_key(*key));
        wrong.extend(unknown.map(|key| format!("{}: {key}: no such key", role.chapter)));
    }
    let unused = common.keys().filter(|key| !common_used.contains(key));
    wrong.extend(unused.map(|key| format!("{key}: no role has it")));
    ensure!(
        wrong.is_empty(),
        "docs/configuration.md\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// What a sample says in comments (`#key = value`, as opposed to `# words`), with sections.
fn commented(sample: &str) -> String {
    let mut text = String::new();
    for line in sample.lines() {
        let header = line.trim_start_matches('#').starts_with('[');
        match line.strip_prefix('#') {
            Some(line) if header || !line.starts_with(' ') => text += line,
            _ if header => text += line,
            _ => {}
        }
        text.push('\n');
    }
    text
}

/// All that a sample says, comments included.
fn all(sample: &str) -> String {
    let uncommented = sample.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => key,
        _ => line,
    });
    uncommented.fold(String::new(), |text, line| text + line + "\n")
}

/// The keys of a TOML text with their values; a partition's under `NAME`.
fn keys(text: &str, file: &str) -> Result<Defaults> {
    let table: toml::Table = toml::from_str(text).with_context(|| file.to_owned())?;
    let keys = flatten(&serde_json::to_value(table)?).into_iter();
    let named = |key: String| key.replace("partitions.default.", "partitions.NAME.");
    Ok(keys.map(|(key, value)| (named(key), value)).collect())
}

#[test]
fn sample_configurations_load_and_name_every_key() -> Result<()> {
    for role in roles()? {
        let sample = read(&format!("deploy/config/{}", role.sample))?;
        let file = Path::new(role.sample);
        (role.load)(&sample, file)?;
        (role.load)(&all(&sample), file)?;
        check_comments(&role, &sample, role.sample)?;
        let said = keys(&all(&sample), role.sample)?;
        let missing: Vec<&String> = role
            .defaults
            .keys()
            .filter(|key| !said.contains_key(*key))
            .collect();
        ensure!(missing.is_empty(), "{} lacks {missing:?}", role.sample);
    }
    Ok(())
}

#[test]
fn the_standalone_sample_loads() -> Result<()> {
    let sample = read("deploy/config/backend-standalone.toml")?;
    let [_, backend, _] = roles()?;
    let config = (backend.load)(&sample, Path::new("backend-standalone.toml"))?;
    ensure!(config["cluster"].is_null() && config["mupdate"]["masters"] == serde_json::json!([]));
    check_comments(&backend, &sample, "backend-standalone.toml")
}

/// A value in a comment is the default, or an example where the default is none.
fn check_comments(role: &Role, sample: &str, file: &str) -> Result<()> {
    for (key, value) in keys(&commented(sample), file)? {
        let default = role
            .defaults
            .get(&key)
            .with_context(|| format!("{file}: {key}"))?;
        let example = default.is_null() || key == HOST_NAME || REQUIRED.contains(&key.as_str());
        ensure!(
            example || *default == value,
            "{file}: {key} = {value} is not its default, {default}"
        );
    }
    Ok(())
}

#[test]
fn the_operators_sample_is_what_the_tool_reads() -> Result<()> {
    let file = repository("deploy/config/operator.toml");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_murder"))
        .args(["status", "--config"])
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    // It gets as far as its certificate, which is not there.
    ensure!(said.contains("operator.pem"), "{said}");
    Ok(())
}
