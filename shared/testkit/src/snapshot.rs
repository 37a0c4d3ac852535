//! Generated files that are committed at their own path, compared with what the code generates.
//!
//! Snapshots in tests use `insta`. It stores a snapshot with a header, so it cannot manage a file that is
//! used as it is, such as the OpenAPI document. These files follow insta's variable: `INSTA_UPDATE=always
//! cargo test` rewrites both.

use std::path::Path;

/// Compares a committed file with the `generated` text, or rewrites it if `INSTA_UPDATE` is `always`.
///
/// # Panics
/// If they differ: shows the first line that does.
#[track_caller]
pub fn assert_file(path: &Path, generated: &str) {
    if std::env::var_os("INSTA_UPDATE").is_some_and(|mode| mode == "always") {
        std::fs::write(path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    let mut lines = committed.lines().zip(generated.lines()).enumerate();
    let difference = lines.find(|(_, (committed, generated))| committed != generated);
    assert!(
        committed == generated,
        "{} is out of date. Rewrite it with INSTA_UPDATE=always, and review the change.\n\
         First difference (line index, committed, generated): {difference:?}",
        path.display()
    );
}
