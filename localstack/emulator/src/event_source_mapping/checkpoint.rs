//! How far a stream was read: one small file for each trigger.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The checkpoint of one trigger.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    path: PathBuf,
}

impl Checkpoint {
    /// The checkpoint of that trigger in that folder, which is made where it is not there.
    pub(super) fn open(folder: &Path, trigger: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Logical ids are letters and digits; anything else would be somebody else's path.
        let name: String =
            trigger.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
        Ok(Self { path: folder.join(format!("{name}.checkpoint")) })
    }

    /// The sequence number of the last record that is done; none at the beginning.
    pub(super) fn load(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves the checkpoint. Whatever happens meanwhile, the file holds the old one or the new one.
    pub(super) fn save(&self, sequence_number: &str) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(sequence_number.as_bytes())?;
        file.sync_data()?;
        fs::rename(new, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_still_there_later() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made");
        let checkpoint = Checkpoint::open(&folder, "RelayFunction.Sales/Events").unwrap();
        assert_eq!(checkpoint.load().unwrap(), None);
        checkpoint.save("100000000000000000001").unwrap();
        checkpoint.save("100000000000000000002").unwrap();
        let again = Checkpoint::open(&folder, "RelayFunction.Sales/Events").unwrap();
        assert_eq!(again.load().unwrap().as_deref(), Some("100000000000000000002"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing is left lying about");
    }
}
