//! The log file of a function: its standard output and standard error.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::sync::lock;
use crate::private;

/// The log file of one function, shared by its environments. Lines are written whole, in the order of arrival.
#[derive(Debug)]
pub(super) struct Log {
    name: String,
    file: Mutex<File>,
    echo: bool,
}

impl Log {
    /// Opens `<folder>/<name>.log` for appending.
    pub(super) fn open(folder: &Path, name: &str, echo: bool) -> io::Result<Self> {
        let file = private::append(&folder.join(format!("{name}.log")))?;
        Ok(Self { name: name.to_owned(), file: Mutex::new(file), echo })
    }

    /// Appends one line, including its line break.
    pub(super) fn line(&self, line: &[u8]) {
        if self.echo {
            eprint!("{} | {}", self.name, String::from_utf8_lossy(line));
        }
        if let Err(error) = lock(&self.file).write_all(line) {
            tracing::warn!(function = self.name, %error, "a log line was not written");
        }
    }

    /// Copies the output of a process until it is closed.
    pub(super) async fn copy(self: Arc<Self>, from: impl AsyncRead + Unpin) {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            match from.read_until(b'\n', &mut line).await {
                Ok(0) => return,
                Ok(_) => {
                    if line.last() != Some(&b'\n') {
                        line.push(b'\n');
                    }
                    self.line(&line);
                }
                Err(error) => {
                    tracing::warn!(function = self.name, %error, "the output of a process cannot be read");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn output_is_appended_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let log = Arc::new(Log::open(folder.path(), "orders", false).unwrap());
            log.copy(&b"one\n\xfftwo"[..]).await;
        }
        let written = std::fs::read(folder.path().join("orders.log")).unwrap();
        assert_eq!(written, b"one\n\xfftwo\none\n\xfftwo\n");
    }
}
