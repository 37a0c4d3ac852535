//! The folder that everything is kept in, which one platform uses at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::StartError;

/// The data of one platform. A folder that was asked for stays; a temporary one goes with this value.
#[derive(Debug)]
pub(super) struct Data {
    folder: PathBuf,
    /// Held, not read: the lock ends with the file, however the process ends.
    _lock: File,
    /// Deletes the folder of an ephemeral platform.
    _temporary: Option<tempfile::TempDir>,
}

impl Data {
    /// Takes the folder, making it where it is not there; none is a temporary one.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, StartError> {
        let failed = |folder: &Path, source| StartError::Data { folder: folder.to_owned(), source };
        let temporary = match folder {
            Some(_) => None,
            None => Some(tempfile::tempdir().map_err(|source| failed(&std::env::temp_dir(), source))?),
        };
        let folder = match (folder, &temporary) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::from("."),
        };
        std::fs::create_dir_all(&folder).map_err(|source| failed(&folder, source))?;
        let lock = File::create(folder.join("lock")).map_err(|source| failed(&folder, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StartError::DataInUse(folder)),
            Err(TryLockError::Error(source)) => return Err(failed(&folder, source)),
        }
        // Functions get absolute paths; they run elsewhere.
        let folder = folder.canonicalize().map_err(|source| failed(&folder, source))?;
        Ok(Self { folder, _lock: lock, _temporary: temporary })
    }

    /// A file or folder inside.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_platform_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = Data::open(Some(&folder)).unwrap();
        assert!(matches!(Data::open(Some(&folder)), Err(StartError::DataInUse(_))));
        drop(first);
        Data::open(Some(&folder)).unwrap();
    }

    #[test]
    fn a_temporary_folder_goes_with_its_platform() {
        let data = Data::open(None).unwrap();
        let folder = data.folder().to_owned();
        assert!(folder.is_dir());
        drop(data);
        assert!(!folder.exists());
    }
}
