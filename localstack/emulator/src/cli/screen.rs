//! What a person sees: the only place that writes to standard output.

#![expect(clippy::print_stdout, reason = "this is the program's output, and all of it is here")]

use std::io::IsTerminal as _;

/// Standard output, in colour where somebody looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    colours: bool,
}

impl Screen {
    /// Colours on a terminal, unless `NO_COLOR` is set. <https://no-color.org>
    pub fn new() -> Self {
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colours: std::io::stdout().is_terminal() && !no_colour }
    }

    /// A line.
    pub fn line(self, text: &str) {
        println!("{text}");
    }

    /// A name and its value, in columns.
    pub fn entry(self, name: &str, value: &str) {
        println!("  {}{value}", self.dim(&format!("{name:<12}")));
    }

    /// A heading.
    pub fn heading(self, text: &str) {
        println!("\n  {}", self.bold(text));
    }

    /// Something to copy.
    pub fn command(self, text: &str) {
        println!("    {text}");
    }

    /// Text that stands out.
    pub fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Text that stands back.
    pub fn dim(self, text: &str) -> String {
        self.styled("2", text)
    }

    /// Text that says that all is well.
    pub fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Text that says that something is wrong.
    pub fn red(self, text: &str) -> String {
        self.styled("31", text)
    }

    fn styled(self, code: &str, text: &str) -> String {
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}
