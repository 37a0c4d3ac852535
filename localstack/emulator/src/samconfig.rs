//! Reads the stack name and the parameters of an environment from `samconfig.toml`, as `sam` does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The settings of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `stack_name`.
    pub stack_name: Option<String>,
    /// `parameter_overrides`.
    pub parameters: BTreeMap<String, String>,
}

/// An error in `samconfig.toml`.
#[derive(Debug, thiserror::Error)]
pub enum SamConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The cause, with its position.
        source: Box<toml::de::Error>,
    },
    /// An override is not `Name=value`.
    #[error("{}: {override_} in parameter_overrides is not Name=value", path.display())]
    Override {
        /// The file.
        path: PathBuf,
        /// The override.
        override_: String,
    },
    /// The file has no such environment.
    #[error("--config-env {environment}: {} has no such environment; it has {known}", path.display())]
    Environment {
        /// The file.
        path: PathBuf,
        /// The name.
        environment: String,
        /// The names of the file's environments.
        known: String,
    },
}

/// Reads an environment. `parameter_overrides` of `deploy` take precedence over those of `global`.
///
/// # Errors
///
/// When the file is missing or malformed, or has no such environment.
pub fn read(path: &Path, environment: &str) -> Result<Settings, SamConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SamConfigError::Read { path: path.to_owned(), source })?;
    let file: Table = text
        .parse()
        .map_err(|source| SamConfigError::Toml { path: path.to_owned(), source: Box::new(source) })?;
    if file.get(environment).and_then(Value::as_table).is_none() {
        let known = file.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name.as_str());
        return Err(SamConfigError::Environment {
            path: path.to_owned(),
            environment: environment.to_owned(),
            known: known.collect::<Vec<_>>().join(", "),
        });
    }
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

/// Splits `Name=value`; the value may be in double quotes.
pub fn split(pair: &str) -> Option<(String, String)> {
    let (name, value) = pair.split_once('=')?;
    (!name.is_empty()).then(|| (name.to_owned(), value.trim_matches('"').to_owned()))
}

/// The overrides in a string, or in a list of strings.
fn pairs(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => words(text),
        Value::Array(list) => list.iter().flat_map(pairs).collect(),
        other => vec![format!("{other:?}")],
    }
}

/// Splits at white space outside double quotes.
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
    fn the_projects_file_has_the_local_parameters() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samconfig.toml");
        let settings = read(&path, "local").unwrap();
        assert_eq!(settings.stack_name.as_deref(), Some("erp"));
        assert_eq!(settings.parameters["Stage"], "local");
        assert_eq!(settings.parameters["Registration"], "open");
        assert_eq!(settings.parameters["ResetTokens"], "expose");
        assert_eq!(read(&path, "prod").unwrap().parameters["Registration"], "closed");
    }

    #[test]
    fn overrides_are_a_string_or_a_list() {
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
    fn a_malformed_override_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samconfig.toml");
        std::fs::write(&path, "[x.global.parameters]\nparameter_overrides = 'Nonsense'").unwrap();
        assert!(read(&path, "x").unwrap_err().to_string().contains("Nonsense"));
    }

    #[test]
    fn an_unknown_environment_is_an_error_that_names_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samconfig.toml");
        assert!(matches!(read(&path, "x"), Err(SamConfigError::Read { .. })), "no file");
        std::fs::write(&path, "version = 0.1\n[x.global.parameters]\n[y.deploy.parameters]").unwrap();
        assert_eq!(read(&path, "x").unwrap(), Settings::default());
        let error = read(&path, "nope").unwrap_err().to_string();
        assert!(error.starts_with("--config-env nope:") && error.ends_with("it has x, y"), "{error}");
    }
}
