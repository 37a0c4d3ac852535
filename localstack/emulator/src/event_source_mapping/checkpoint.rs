//! The position in a stream: one small file per trigger.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The checkpoint of one trigger.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint of this trigger in this folder, which is created if it is missing.
    pub(super) fn open(folder: &Path, trigger: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Logical ids are alphanumeric; other characters could lead out of the folder.
        let name: String =
            trigger.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        Ok(Self { path: folder.join(format!("{name}.checkpoint")) })
    }

    /// The sequence number of the last processed record; `None` before the first one.
    ///
    /// # Errors
    /// The file cannot be read, or its content is not a sequence number.
    pub(super) fn load(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => match text.trim() {
                number if is_sequence_number(number) => Ok(Some(number.to_owned())),
                _ => Err(self.error(&"its content is not a sequence number")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(&error)),
        }
    }

    fn error(&self, reason: &dyn std::fmt::Display) -> io::Error {
        io::Error::other(format!(
            "cannot read the checkpoint {}: {reason}; delete the file to process the stream from its beginning",
            self.path.display()
        ))
    }

    /// Moves the checkpoint atomically: after a failure or a kill the file has the old or the new position.
    pub(super) fn save(&self, sequence_number: &str) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(sequence_number.as_bytes())?;
        file.sync_data()?;
        fs::rename(new, &self.path)
    }
}

fn is_sequence_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_checkpoint_is_an_error_and_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(folder.path(), "a").unwrap();
        for garbage in ["garbage", "", "12x", "\u{feff}1"] {
            fs::write(&checkpoint.path, garbage).unwrap();
            let error = checkpoint.load().unwrap_err().to_string();
            assert!(error.contains("a.checkpoint") && error.contains("delete the file"), "{error}");
            assert_eq!(fs::read_to_string(&checkpoint.path).unwrap(), garbage);
        }
        fs::write(&checkpoint.path, [0xff]).unwrap();
        checkpoint.load().unwrap_err();
    }

    #[test]
    fn a_checkpoint_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let checkpoint = Checkpoint::open(&folder, "RelayFunction.Sales/Events").unwrap();
        assert_eq!(checkpoint.load().unwrap(), None);
        checkpoint.save("100000000000000000001").unwrap();
        checkpoint.save("100000000000000000002").unwrap();
        let again = Checkpoint::open(&folder, "RelayFunction.Sales/Events").unwrap();
        assert_eq!(again.load().unwrap().as_deref(), Some("100000000000000000002"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
    }
}
