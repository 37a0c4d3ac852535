//! Checks a database file before it is opened for writing, so that a file of another origin stays as it is.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

/// A file that exists and that this program does not open.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFileError {
    /// The file has no SQLite header.
    #[error("{} is not an SQLite database; {ADVICE}", .0.display())]
    NotSqlite(PathBuf),
    /// The file is an SQLite database without the tables of this program.
    #[error("{} is an SQLite database of another program (tables: {tables}); {ADVICE}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Names of its tables, separated by commas.
        tables: String,
    },
    /// The file was written by another version of this program.
    #[error("{} has schema version {found}; this program reads version {known}; {ADVICE}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: i64,
        /// The version that this program reads and writes.
        known: i64,
    },
    /// The file cannot be read.
    #[error("cannot read the database {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The database cannot be opened, or its contents are damaged.
    #[error(
        "cannot open the database {}: {source}; if the file is damaged, move it away or start with another --data \
         folder",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
}

const ADVICE: &str = "nothing was written to it; move it away, or start with another --data folder";

/// The schema of an existing database file.
#[derive(Debug)]
pub(crate) struct Schema {
    /// `PRAGMA user_version`.
    pub(crate) version: i64,
    tables: Vec<String>,
}

impl Schema {
    /// Reads the schema of a file without writing to it; `None` where there is no file or the file is empty.
    ///
    /// # Errors
    /// The file is not an SQLite database or cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, DatabaseFileError> {
        let failed = |source: rusqlite::Error| match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => DatabaseFileError::NotSqlite(path.to_owned()),
            Some(_) | None => DatabaseFileError::Unreadable { path: path.to_owned(), source },
        };
        if !has_header(path)? {
            return Ok(None);
        }
        // Read-write, because SQLite recovers a database after a kill only for a connection that may write.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        let read = || {
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            let mut statement = connection.prepare(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
            )?;
            let tables = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(Self { version, tables })
        };
        let schema: Self = read().map_err(failed)?;
        Ok((!schema.is_empty()).then_some(schema))
    }

    /// Fails unless the database has all of these tables.
    ///
    /// # Errors
    /// The database belongs to another program.
    pub(crate) fn require_tables(&self, path: &Path, tables: &[&str]) -> Result<(), DatabaseFileError> {
        if tables.iter().all(|table| self.tables.iter().any(|found| found == table)) {
            return Ok(());
        }
        Err(DatabaseFileError::Foreign { path: path.to_owned(), tables: self.tables.join(", ") })
    }

    /// A start that was killed before its first commit leaves a database without tables.
    fn is_empty(&self) -> bool {
        self.version == 0 && self.tables.is_empty()
    }
}

/// Returns `true` if the file exists, is not empty and has the header of an SQLite database. SQLite itself
/// takes a file of a few bytes for an empty database and overwrites it.
fn has_header(path: &Path) -> Result<bool, DatabaseFileError> {
    const HEADER: &[u8] = b"SQLite format 3\0";
    let failed = |source| DatabaseFileError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    let mut start = Vec::new();
    file.take(HEADER.len() as u64).read_to_end(&mut start).map_err(failed)?;
    match start.as_slice() {
        [] => Ok(false),
        HEADER => Ok(true),
        _ => Err(DatabaseFileError::NotSqlite(path.to_owned())),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Creates files that no program of this package may open, each with the reason in the error.
    pub(crate) fn unrelated_files(folder: &Path) -> [(PathBuf, &'static str); 3] {
        let [garbage, short, foreign] = ["garbage", "short", "foreign"].map(|name| folder.join(name));
        std::fs::write(&garbage, "garbage\n".repeat(1_000)).unwrap();
        std::fs::write(&short, "x").unwrap();
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE songs (title)").unwrap();
        [
            (garbage, "is not an SQLite database"),
            (short, "is not an SQLite database"),
            (foreign, "of another program (tables: songs)"),
        ]
    }

    /// Asserts that the error of opening a file is one line with its path, the reason and the remedy, and that the file
    /// still has its content.
    pub(crate) fn assert_refused(path: &Path, content: &[u8], error: &str, reason: &str, remedy: &str) {
        assert!(error.contains(path.to_str().unwrap()) && error.contains(reason), "{error}");
        assert!(error.contains(remedy) && error.contains("--data"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert_eq!(std::fs::read(path).unwrap(), content, "{}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_and_an_empty_file_have_no_schema() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        assert!(Schema::read(&path).unwrap().is_none());
        std::fs::write(&path, "").unwrap();
        assert!(Schema::read(&path).unwrap().is_none());
    }

    #[test]
    fn a_truncated_database_is_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sqlite");
        Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (a); PRAGMA user_version = 1")
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..200]).unwrap();
        let error = Schema::read(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot open the database") && error.contains("a.sqlite"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes[..200]);
    }
}
