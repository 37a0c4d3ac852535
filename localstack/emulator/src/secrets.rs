//! Generated secrets: those of the template, and the access key of the AWS endpoint. They are generated once and stored
//! in the data folder, so that tokens and exported keys stay valid after a restart.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

/// The properties of `GenerateSecretString`.
#[derive(Debug, Clone, Default)]
pub struct Generate {
    /// Number of characters.
    pub length: usize,
    /// Characters that must not be in it.
    pub exclude_characters: String,
    /// Without `a` to `z`.
    pub exclude_lowercase: bool,
    /// Without digits.
    pub exclude_numbers: bool,
    /// Without punctuation.
    pub exclude_punctuation: bool,
    /// Without `A` to `Z`.
    pub exclude_uppercase: bool,
    /// With the space.
    pub include_space: bool,
    /// `SecretStringTemplate` and `GenerateStringKey`: the JSON object that the password is added to, and its key.
    pub into: Option<(Map<String, Value>, String)>,
}

/// An error of the secret store.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The exclusions leave no character, or the length is outside the limits of Secrets Manager.
    #[error("no secret can be generated: {0}")]
    Impossible(&'static str),
    /// The operating system's random number generator failed.
    #[error("the random number generator failed: {0}")]
    Random(#[from] getrandom::Error),
    /// The file of secrets cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file of secrets is not a JSON object of strings.
    #[error("{} is not a JSON object of strings ({source}); delete it to generate new secrets", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },
}

/// The secrets of one platform, by name.
#[derive(Debug)]
pub struct Secrets {
    path: Option<PathBuf>,
    values: Mutex<BTreeMap<String, String>>,
}

impl Secrets {
    /// Secrets that are not stored.
    pub fn in_memory() -> Self {
        Self { path: None, values: Mutex::default() }
    }

    /// Secrets stored in a file with mode 0600.
    ///
    /// # Errors
    ///
    /// When the file exists and cannot be read.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let values = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| SecretError::Content { path: path.to_owned(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(SecretError::File { path: path.to_owned(), source }),
        };
        Ok(Self { path: Some(path.to_owned()), values: Mutex::new(values) })
    }

    /// Returns the secret's value, which is generated and stored at the first call.
    ///
    /// # Errors
    ///
    /// When it cannot be generated or stored.
    pub fn get_or_generate(&self, name: &str, properties: &Generate) -> Result<String, SecretError> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(name) {
            return Ok(value.clone());
        }
        let value = generate(properties)?;
        values.insert(name.to_owned(), value.clone());
        if let Some(path) = &self.path {
            save(path, &values).map_err(|source| SecretError::File { path: path.clone(), source })?;
        }
        Ok(value)
    }
}

/// Writes a temporary file (mode 0600) and renames it, so that a crash leaves the old file or the new one.
fn save(path: &Path, values: &BTreeMap<String, String>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, values)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn generate(properties: &Generate) -> Result<String, SecretError> {
    // The limits of Secrets Manager.
    if !(1..=4096).contains(&properties.length) {
        return Err(SecretError::Impossible("PasswordLength must be 1 to 4096"));
    }
    let alphabet: Vec<char> = (' '..='~')
        .filter(|c| {
            !(properties.exclude_lowercase && c.is_ascii_lowercase()
                || properties.exclude_uppercase && c.is_ascii_uppercase()
                || properties.exclude_numbers && c.is_ascii_digit()
                || properties.exclude_punctuation && c.is_ascii_punctuation()
                || *c == ' ' && !properties.include_space
                || properties.exclude_characters.contains(*c))
        })
        .collect();
    if alphabet.is_empty() {
        return Err(SecretError::Impossible("every character is excluded"));
    }
    let password = random_text(&alphabet, properties.length)?;
    Ok(match &properties.into {
        None => password,
        Some((object, key)) => {
            let mut object = object.clone();
            object.insert(key.clone(), Value::String(password));
            Value::Object(object).to_string()
        }
    })
}

/// A random text of `length` ASCII letters and digits: 5.9 bits per character.
pub(crate) fn random_alphanumeric(length: usize) -> Result<String, getrandom::Error> {
    let alphabet: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
    random_text(&alphabet, length)
}

/// A random text of `length` characters, uniformly distributed.
pub(crate) fn random_text(alphabet: &[char], length: usize) -> Result<String, getrandom::Error> {
    // Bytes above the last multiple of the alphabet's size would favour its beginning.
    let limit = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes)?;
        for byte in bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < limit) {
            if text.len() < length {
                text.push(alphabet[byte % alphabet.len()]);
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt_keys() -> Generate {
        let object = serde_json::from_str(r#"{"kid":"k1"}"#).unwrap();
        Generate {
            length: 64,
            exclude_punctuation: true,
            into: Some((object, "key".to_owned())),
            ..Generate::default()
        }
    }

    #[test]
    fn a_secret_survives_reopening_in_a_file_of_mode_0600() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        let first = Secrets::open(&path).unwrap().get_or_generate("keys", &jwt_keys()).unwrap();
        let again = Secrets::open(&path).unwrap().get_or_generate("keys", &jwt_keys()).unwrap();
        assert_eq!(first, again);

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_generated_secret_has_the_requested_properties() {
        let value = Secrets::in_memory().get_or_generate("keys", &jwt_keys()).unwrap();
        let value: Value = serde_json::from_str(&value).unwrap();
        assert_eq!(value["kid"], "k1");
        let key = value["key"].as_str().unwrap();
        assert_eq!(key.len(), 64);
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric()), "{key}");
    }

    #[test]
    fn two_secrets_differ() {
        let secrets = Secrets::in_memory();
        let one = secrets.get_or_generate("one", &jwt_keys()).unwrap();
        assert_ne!(one, secrets.get_or_generate("two", &jwt_keys()).unwrap());
    }

    #[test]
    fn impossible_properties_are_rejected() {
        let nothing_left =
            Generate { length: 8, exclude_characters: (' '..='~').collect(), ..Generate::default() };
        assert!(Secrets::in_memory().get_or_generate("x", &nothing_left).is_err());
        assert!(Secrets::in_memory().get_or_generate("x", &Generate::default()).is_err());
    }

    #[test]
    fn a_malformed_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "not json").unwrap();
        assert!(Secrets::open(&path).unwrap_err().to_string().contains("delete it"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not json");
    }
}
