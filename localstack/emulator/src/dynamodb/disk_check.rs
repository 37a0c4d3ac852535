//! Checks that the database can be written.

use std::path::Path;

use super::stream_records::{close, connect};

/// Bytes of the row that is written: more than a usual transaction.
const BYTES: usize = 512 * 1024;

/// Writes a row to a table of its own.
///
/// # Errors
///
/// The disk is full, or the file cannot be written for another reason.
pub(super) fn write(path: &Path) -> rusqlite::Result<()> {
    let connection = connect(path)?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS erp_local_disk_check (id INTEGER PRIMARY KEY, data BLOB NOT NULL);",
    )?;
    connection.execute("REPLACE INTO erp_local_disk_check VALUES (1, zeroblob(?1))", [BYTES])?;
    close(connection)
}
