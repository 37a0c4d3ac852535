//! Standard output: lines for people, or one JSON document for programs.
#![expect(clippy::print_stdout, reason = "the output of the program; nothing else writes to standard output")]

use serde::Serialize;

/// The format of the output.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Output {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

impl Output {
    /// Prints a line, unless the output is JSON.
    pub(super) fn line(self, text: impl AsRef<str>) {
        if !self.json {
            println!("{}", text.as_ref());
        }
    }

    /// Prints the document, if the output is JSON.
    pub(super) fn document(self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(value)?);
        }
        Ok(())
    }
}
