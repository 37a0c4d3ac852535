//! The program's output: the only place that writes to standard output.

#![expect(clippy::print_stdout, reason = "this is the program's output, and all of it is here")]

use std::io::IsTerminal as _;

/// Standard output, with colours on a terminal.
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

    /// Prints a line.
    pub fn line(self, text: &str) {
        println!("{text}");
    }

    /// Prints a name and its value, in columns.
    pub fn entry(self, name: &str, value: &str) {
        println!("  {}{value}", self.dim(&format!("{name:<12}")));
    }

    /// Prints a heading.
    pub fn heading(self, text: &str) {
        println!("\n  {}", self.bold(text));
    }

    /// Prints a command for the user to copy.
    pub fn command(self, text: &str) {
        println!("    {text}");
    }

    /// Bold text.
    pub fn bold(self, text: &str) -> String {
        self.styled("1", text)
    }

    /// Dimmed text.
    pub fn dim(self, text: &str) -> String {
        self.styled("2", text)
    }

    /// Green text, for success.
    pub fn green(self, text: &str) -> String {
        self.styled("32", text)
    }

    /// Red text, for failure.
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
