//! Stream records in the file of dynoxide: an index for reads, and deletion of records that all readers have
//! read.
//!
//! dynoxide never deletes records, and every write scans the records of its table for the highest sequence
//! number, so that writes would become slower and slower. AWS deletes records after 24 hours, read or not.
//! Here unread records stay, because a laptop may be off for a weekend.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

/// Seconds for which records that were read stay available for debugging.
const RETENTION_SECONDS: i64 = 60;
/// Number of records deleted in one transaction, so that writers never wait long.
const CHUNK: usize = 1_000;
/// Longest wait for the lock of a writer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Creates the index with which a reader finds its position.
pub(super) fn create_index(path: &Path) -> rusqlite::Result<()> {
    let connection = connect(path)?;
    connection.execute_batch(
        "CREATE INDEX IF NOT EXISTS localstack_stream_order
             ON _stream_records (table_name, CAST(sequence_number AS INTEGER));",
    )?;
    close(connection)
}

/// Deletes the records of a table's stream older than the retention; returns their number.
pub(super) fn trim(path: &Path, table: &str) -> rusqlite::Result<usize> {
    let connection = connect(path)?;
    let mut deleted = 0;
    loop {
        let chunk = connection.execute(
            "DELETE FROM _stream_records WHERE id IN (
                 SELECT id FROM _stream_records
                 WHERE table_name = ?1 AND created_at < unixepoch() - ?2
                 LIMIT ?3)",
            rusqlite::params![table, RETENTION_SECONDS, CHUNK],
        )?;
        deleted += chunk;
        if chunk < CHUNK {
            break;
        }
    }
    close(connection)?;
    Ok(deleted)
}

pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

pub(super) fn close(connection: Connection) -> rusqlite::Result<()> {
    connection.close().map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dynamodb.sqlite");
        dynoxide::Database::new(&path.to_string_lossy()).unwrap();
        create_index(&path).unwrap();
        (folder, path)
    }

    #[test]
    fn a_position_in_a_stream_is_found_with_the_index() {
        let (_folder, path) = database();
        let connection = connect(&path).unwrap();
        let query = "EXPLAIN QUERY PLAN
            SELECT event_id FROM _stream_records WHERE table_name = 'a' AND shard_id = 's'
            AND CAST(sequence_number AS INTEGER) > 1 ORDER BY CAST(sequence_number AS INTEGER) ASC LIMIT 9";
        let mut plan = connection.prepare(query).unwrap();
        let plan: Vec<String> =
            plan.query_map([], |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(plan.len(), 1, "no sorting: {plan:?}");
        assert!(plan[0].contains("USING INDEX localstack_stream_order"), "{plan:?}");
    }

    #[test]
    fn only_records_older_than_the_retention_are_deleted() {
        let (_folder, path) = database();
        let connection = connect(&path).unwrap();
        for (table, number, age) in [("a", 1, 100), ("a", 2, 100), ("a", 3, 0), ("a", 4, 100), ("b", 1, 100)]
        {
            connection
                .execute(
                    "INSERT INTO _stream_records (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
                     VALUES (?1, 'INSERT', '{}', ?2, 's', unixepoch() - ?3)",
                    rusqlite::params![table, number.to_string(), age],
                )
                .unwrap();
        }
        assert_eq!(trim(&path, "a").unwrap(), 3);
        let left: Vec<String> = connection
            .prepare("SELECT table_name || sequence_number FROM _stream_records ORDER BY 1")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(left, ["a3", "b1"]);
    }
}
