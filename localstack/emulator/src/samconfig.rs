//! `samconfig.toml`: the stack's name and the parameters of an environment, so that `cargo run` takes them from
//! where `sam` does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What is read of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `stack_name`.
    pub stack_name: Option<String>,
    /// `parameter_overrides`.
    pub parameters: BTreeMap<String, String>,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum SamConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("{}: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        source: Box<toml::de::Error>,
    },
    /// An override is not `Name=value`.
    #[error("{}: {override_} in parameter_overrides is not Name=value", path.display())]
    Override {
        /// The file.
        path: PathBuf,
        /// What stands there.
        override_: String,
    },
}

/// Reads an environment's parameters, those of `deploy` before those of `global`; no file is an empty one.
///
/// # Errors
///
/// When the file is there and cannot be understood.
pub fn read(path: &Path, environment: &str) -> Result<Settings, SamConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(source) => return Err(SamConfigError::Read { path: path.to_owned(), source }),
    };
    let file: Table = text
        .parse()
        .map_err(|source| SamConfigError::Toml { path: path.to_owned(), source: Box::new(source) })?;
    let find = |environment: &str, command: &str, name: &str| {
        file.get(environment)?.get(command)?.get("parameters")?.get(name).cloned()
    };
    let stack_name = [environment, "default"]
        .into_iter()
        .find_map(|environment| find(environment, "global", "stack_name")?.as_str().map(str::to_owned));
    let overrides = ["deploy", "global"]
        .into_iter()
        .find_map(|command| find(environment, command, "parameter_overrides"));
    let parameters = overrides.as_ref().map(pairs).unwrap_or_default();
    let parameters = parameters.into_iter().map(|pair| {
        split(&pair)
            .ok_or_else(|| SamConfigError::Override { path: path.to_owned(), override_: pair.clone() })
    });
    Ok(Settings { stack_name, parameters: parameters.collect::<Result<_, _>>()? })
}

/// `Name=value`, with or without quotes around the value.
pub fn split(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.trim_matches('"').to_owned()))
}

/// The overrides of one text, or of a list of them.
fn pairs(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => words(text),
        Value::Array(list) => list.iter().flat_map(pairs).collect(),
        other => vec![format!("{other:?}")],
    }
}

/// Splits at spaces that are not inside double quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => words.push(String::new()),
            c => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_file_has_what_a_local_start_takes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samconfig.toml");
        let settings = read(&path, "local").unwrap();
        assert_eq!(settings.stack_name.as_deref(), Some("erp"));
        assert_eq!(settings.parameters["Stage"], "local");
        assert_eq!(settings.parameters["Registration"], "open");
        assert_eq!(settings.parameters["ResetTokens"], "expose");
        assert_eq!(read(&path, "prod").unwrap().parameters["Registration"], "closed");
    }

    #[test]
    fn overrides_are_words_or_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samconfig.toml");
        for overrides in [r#"'A=1 B="two words"'"#, r#"["A=1", 'B="two words"']"#] {
            std::fs::write(&path, format!("[x.global.parameters]\nparameter_overrides = {overrides}"))
                .unwrap();
            let parameters = read(&path, "x").unwrap().parameters;
            assert_eq!(
                (parameters["A"].as_str(), parameters["B"].as_str()),
                ("1", "two words"),
                "{overrides}"
            );
        }
    }

    #[test]
    fn what_is_no_override_is_named_and_no_file_is_no_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samconfig.toml");
        assert_eq!(read(&path, "local").unwrap(), Settings::default());
        std::fs::write(&path, "[x.global.parameters]\nparameter_overrides = 'Nonsense'").unwrap();
        assert!(read(&path, "x").unwrap_err().to_string().contains("Nonsense"));
    }
}
