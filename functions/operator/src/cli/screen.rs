//! What a person, or a program, sees: the only place that writes to standard output.
#![expect(clippy::print_stdout, reason = "this is the program's output, and all of it is here")]

use serde::Serialize;

/// Standard output: words for a person, or one JSON document for a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// For a program.
    pub(super) json: bool,
}

impl Screen {
    /// A line for a person.
    pub(super) fn line(self, text: impl AsRef<str>) {
        if !self.json {
            println!("{}", text.as_ref());
        }
    }

    /// The document for a program.
    pub(super) fn document(self, value: &impl Serialize) -> Result<(), serde_json::Error> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(value)?);
        }
        Ok(())
    }
}
