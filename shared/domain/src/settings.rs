//! Configuration values by name: environment variables in a function, a map in a test.

use std::fmt::Display;
use std::str::FromStr;

/// A setting that is missing or invalid. Names the variable and never contains its value, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} must be set")]
    Missing(&'static str),
    /// The value cannot be parsed.
    #[error("the environment variable {name} {reason}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// Predicate without a subject: "must be open or closed".
        reason: String,
    },
}

/// Reads settings from a source of named text values.
pub struct Settings<'a>(Box<Source<'a>>);

type Source<'a> = dyn Fn(&str) -> Option<String> + 'a;

impl Settings<'static> {
    /// Reads from the environment of the process.
    pub fn from_env() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
        Self::new(|name| std::env::var(name).ok())
    }
}

impl<'a> Settings<'a> {
    /// Reads from `source`.
    pub fn new(source: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self(Box::new(source))
    }

    /// Returns the value of a variable, if it is set and not empty.
    pub fn optional(&self, name: &'static str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Returns the value of a variable that must be set and not empty.
    pub fn required(&self, name: &'static str) -> Result<String, SettingError> {
        self.optional(name).ok_or(SettingError::Missing(name))
    }

    /// Parses the value of a variable that must be set. The error of `parse` must not quote a secret.
    pub fn parsed<T, E: Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, SettingError> {
        parse(&self.required(name)?)
            .map_err(|error| SettingError::Invalid { name, reason: error.to_string() })
    }

    /// Parses the value of a variable that must be set by its `FromStr`.
    pub fn parse<T: FromStr<Err: Display>>(&self, name: &'static str) -> Result<T, SettingError> {
        self.parsed(name, str::parse)
    }

    /// Returns the comma-separated values of a variable that must contain at least one; surrounding space is removed.
    pub fn list(&self, name: &'static str) -> Result<Vec<String>, SettingError> {
        let text = self.required(name)?;
        let values = text.split(',').map(str::trim).filter(|value| !value.is_empty());
        let values: Vec<String> = values.map(str::to_owned).collect();
        if values.is_empty() { Err(SettingError::Missing(name)) } else { Ok(values) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_setting_is_named_and_its_value_is_not_shown() {
        let settings = Settings::new(|name| match name {
            "LIST" => Some("a, b,".to_owned()),
            "NUMBER" => Some("hunter2".to_owned()),
            _ => Some(String::new()),
        });
        assert_eq!(settings.list("LIST").unwrap(), ["a", "b"]);
        assert_eq!(settings.required("OTHER"), Err(SettingError::Missing("OTHER")));
        let error = settings.parse::<u32>("NUMBER").unwrap_err().to_string();
        assert!(error.contains("NUMBER") && !error.contains("hunter2"), "{error}");
    }
}
