//! The data folder, used by one platform at a time and readable by its owner only.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::StartError;
use crate::private;

/// Prefix of the names of ephemeral folders in the system's temporary folder.
const EPHEMERAL_PREFIX: &str = "erp-local-";
/// The file whose lock marks the folder as in use. The lock ends with the process, also after SIGKILL.
const LOCK: &str = "lock";
/// The names of everything that a platform puts into its folder, or the beginnings of those names.
const CONTENTS: [&str; 6] = [LOCK, "broker", "checkpoints", "dynamodb", "logs", "secrets"];

/// A data folder that this process has locked. An ephemeral folder is deleted with this value.
#[derive(Debug)]
pub(crate) struct Data {
    folder: PathBuf,
    /// Releases the lock when it is closed.
    _lock: File,
    /// Deletes the folder of an ephemeral platform.
    _temporary: Option<tempfile::TempDir>,
}

impl Data {
    /// Locks the folder, which is created if missing; none is an ephemeral folder.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self, StartError> {
        match folder {
            Some(folder) => Self::lock(folder, None),
            None => {
                let parent = tempfile::env::temp_dir();
                remove_leftovers(&parent);
                let temporary = tempfile::Builder::new().prefix(EPHEMERAL_PREFIX).tempdir_in(&parent);
                let temporary =
                    temporary.map_err(|source| StartError::Data { folder: parent.clone(), source })?;
                let folder = temporary.path().to_owned();
                Self::lock(&folder, Some(temporary))
            }
        }
    }

    fn lock(folder: &Path, temporary: Option<tempfile::TempDir>) -> Result<Self, StartError> {
        let failed = |source| StartError::Data { folder: folder.to_owned(), source };
        if folder.exists() && !folder.is_dir() {
            return Err(StartError::DataNotAFolder(folder.to_owned()));
        }
        if let Some(other) = foreign_entry(folder).map_err(failed)? {
            return Err(StartError::DataForeign { folder: folder.to_owned(), other });
        }
        private::create_folder(folder).map_err(failed)?;
        let lock = lock_file(folder).map_err(failed)?;
        let Some(lock) = lock else { return Err(StartError::DataInUse(folder.to_owned())) };
        private::restrict_all(folder).map_err(failed)?;
        for name in ["logs", "checkpoints"] {
            private::create_folder(&folder.join(name)).map_err(failed)?;
        }
        // SQLite gives its write-ahead logs the mode of the database file.
        for database in ["broker.sqlite", "dynamodb.sqlite"] {
            private::append(&folder.join(database)).map_err(failed)?;
        }
        // Functions have another working directory, so they need absolute paths.
        let folder = folder.canonicalize().map_err(failed)?;
        Ok(Self { folder, _lock: lock, _temporary: temporary })
    }

    /// The path of a file or folder in the data folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Locks the lock file of a folder; none when another process holds the lock. A new file is locked before it gets its
/// name, so that no other process can find it unlocked.
fn lock_file(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    if !path.exists() {
        let file = tempfile::NamedTempFile::new_in(folder)?;
        try_lock(file.as_file())?;
        match file.persist_noclobber(&path) {
            Ok(file) => return Ok(Some(file)),
            // Another process was first.
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
    }
    let file = private::append(&path)?;
    Ok(try_lock(&file)?.then_some(file))
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The name of an entry that no platform has made. Such a folder is not used: its permissions would be changed.
fn foreign_entry(folder: &Path) -> io::Result<Option<String>> {
    if !folder.exists() {
        return Ok(None);
    }
    let names = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<io::Result<Vec<String>>>()?;
    let is_own = |name: &String| name.starts_with('.') || CONTENTS.iter().any(|own| name.starts_with(own));
    Ok(names.into_iter().find(|name| !is_own(name)))
}

/// Deletes the ephemeral folders of this user whose processes have ended without deleting them, as after SIGKILL.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(EPHEMERAL_PREFIX) && is_owned(&path);
        let Some(lock) = ours.then(|| File::open(path.join(LOCK)).ok()).flatten() else { continue };
        if !matches!(try_lock(&lock), Ok(true)) {
            continue;
        }
        match std::fs::remove_dir_all(&path) {
            Ok(()) => tracing::debug!(folder = %path.display(), "removed the folder of a killed platform"),
            Err(error) => {
                tracing::warn!(folder = %path.display(), %error, "a leftover folder was not removed")
            }
        }
    }
}

/// Returns true for a folder, not a link to one, that belongs to the user of this process.
#[cfg(unix)]
fn is_owned(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
}

/// Elsewhere the temporary folder is the user's own.
#[cfg(not(unix))]
fn is_owned(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_folder_is_used_by_one_platform_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = Data::open(Some(&folder)).unwrap();
        assert!(matches!(Data::open(Some(&folder)), Err(StartError::DataInUse(_))));
        drop(first);
        Data::open(Some(&folder)).unwrap();
    }

    #[test]
    fn an_ephemeral_folder_is_deleted_with_its_platform() {
        let data = Data::open(None).unwrap();
        let folder = data.folder().to_owned();
        assert!(folder.is_dir());
        drop(data);
        assert!(!folder.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_and_its_files_are_private_even_if_they_were_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        drop(Data::open(Some(&folder)).unwrap());
        assert_eq!(mode(&folder), 0o700);
        let log = folder.join("logs/erp-auth.log");
        std::fs::write(&log, "").unwrap();
        for path in [&folder, &folder.join("logs")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(&log, std::fs::Permissions::from_mode(0o644)).unwrap();
        let _data = Data::open(Some(&folder)).unwrap();
        for (path, expected) in [
            ("", 0o700),
            ("logs", 0o700),
            ("logs/erp-auth.log", 0o600),
            ("lock", 0o600),
            ("dynamodb.sqlite", 0o600),
        ] {
            assert_eq!(mode(&folder.join(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_file_or_a_folder_with_other_contents_is_no_data_folder() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(Data::open(Some(&file)), Err(StartError::DataNotAFolder(_))));
        let error = Data::open(Some(parent.path())).unwrap_err();
        assert!(matches!(&error, StartError::DataForeign { other, .. } if other == "file"), "{error}");
        assert!(!parent.path().join(LOCK).exists(), "nothing is changed");
    }

    #[test]
    fn only_the_folders_of_ended_processes_are_leftovers() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| parent.path().join(name);
        let make = |name: &str| {
            std::fs::create_dir(folder(name)).unwrap();
            lock_file(&folder(name)).unwrap().unwrap()
        };
        drop(make("erp-local-dead"));
        let _running = make("erp-local-running");
        drop(make("other"));
        std::fs::create_dir(folder("erp-local-starting")).unwrap();
        remove_leftovers(parent.path());
        let left = ["erp-local-dead", "erp-local-running", "other", "erp-local-starting"]
            .map(|name| folder(name).exists());
        assert_eq!(left, [false, true, true, true]);
    }
}
