//! Secrets that the template asks to have generated: made once and kept, so that what was signed with them
//! before a restart still verifies after it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};

/// How a secret is generated, in the words of `GenerateSecretString`.
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
    /// The JSON object that it becomes a part of, and under which key; none when it is the whole secret.
    pub into: Option<(Map<String, Value>, String)>,
}

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The exclusions leave no character, or the length is outside of what Secrets Manager takes.
    #[error("no secret can be generated: {0}")]
    Impossible(&'static str),
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The file of secrets cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file of secrets is not what this platform wrote.
    #[error("{} is not a JSON object of texts ({source}); delete it to have new secrets made", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
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
    /// Secrets that are forgotten with the platform.
    pub fn in_memory() -> Self {
        Self { path: None, values: Mutex::default() }
    }

    /// Secrets kept in a file that only its owner may read.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read.
    pub fn open(path: &Path) -> Result<Self, SecretError> {
        let values = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| SecretError::Content { path: path.to_owned(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(SecretError::File { path: path.to_owned(), source }),
        };
        Ok(Self { path: Some(path.to_owned()), values: Mutex::new(values) })
    }

    /// The secret's value, generated and kept when there is none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be generated as asked, or cannot be kept.
    pub fn get_or_generate(&self, name: &str, how: &Generate) -> Result<String, SecretError> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(name) {
            return Ok(value.clone());
        }
        let value = generate(how)?;
        values.insert(name.to_owned(), value.clone());
        if let Some(path) = &self.path {
            save(path, &values).map_err(|source| SecretError::File { path: path.clone(), source })?;
        }
        Ok(value)
    }
}

/// Writes beside the file and renames, so that a kill leaves the old secrets or the new ones, never half.
/// A temporary file is made for its owner only (mode 0600).
fn save(path: &Path, values: &BTreeMap<String, String>) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer_pretty(&mut file, values)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn generate(how: &Generate) -> Result<String, SecretError> {
    // The limits of Secrets Manager.
    if !(1..=4096).contains(&how.length) {
        return Err(SecretError::Impossible("PasswordLength must be 1 to 4096"));
    }
    let alphabet: Vec<char> = (' '..='~')
        .filter(|c| {
            !(how.exclude_lowercase && c.is_ascii_lowercase()
                || how.exclude_uppercase && c.is_ascii_uppercase()
                || how.exclude_numbers && c.is_ascii_digit()
                || how.exclude_punctuation && c.is_ascii_punctuation()
                || *c == ' ' && !how.include_space
                || how.exclude_characters.contains(*c))
        })
        .collect();
    if alphabet.is_empty() {
        return Err(SecretError::Impossible("every character is excluded"));
    }
    let password = random_text(&alphabet, how.length)?;
    Ok(match &how.into {
        None => password,
        Some((object, key)) => {
            let mut object = object.clone();
            object.insert(key.clone(), Value::String(password));
            Value::Object(object).to_string()
        }
    })
}

/// A text of `length` characters, each as likely as any other.
pub(crate) fn random_text(alphabet: &[char], length: usize) -> Result<String, getrandom::Error> {
    // Bytes past the last whole multiple of the alphabet would favour its beginning.
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
    fn a_secret_survives_reopening_and_only_its_owner_may_read_it() {
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
    fn a_generated_secret_is_what_was_asked_for() {
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
    fn what_cannot_be_generated_is_refused() {
        let nothing_left =
            Generate { length: 8, exclude_characters: (' '..='~').collect(), ..Generate::default() };
        assert!(Secrets::in_memory().get_or_generate("x", &nothing_left).is_err());
        assert!(Secrets::in_memory().get_or_generate("x", &Generate::default()).is_err());
    }

    #[test]
    fn a_broken_file_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        std::fs::write(&path, "not json").unwrap();
        assert!(Secrets::open(&path).unwrap_err().to_string().contains("delete it"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not json");
    }
}
