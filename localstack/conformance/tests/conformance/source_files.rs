//! The Rust files of the workspace.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::template::workspace;

/// A text file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The path relative to the workspace, with `/` as separator.
    pub(crate) path: String,
    /// The contents.
    pub(crate) text: String,
}

impl Source {
    /// Returns whether the whole file is for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| {
            matches!(part, "tests" | "tests.rs" | "testing.rs" | "testkit" | "e2e" | "conformance")
        })
    }

    /// Returns the lines with their numbers, up to the unit tests at the end of the file.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let is_test = self.is_test();
        lines.take_while(move |(_, line)| !is_test && *line != "#[cfg(test)]")
    }
}

/// Returns every Rust file.
pub(crate) fn sources() -> &'static [Source] {
    static SOURCES: OnceLock<Vec<Source>> = OnceLock::new();
    SOURCES.get_or_init(|| {
        let mut paths = Vec::new();
        for folder in ["functions", "shared", "localstack"] {
            collect(&workspace().join(folder), &mut paths);
        }
        paths.sort();
        let source = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(workspace()).unwrap();
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            Source { path: parts.join("/"), text }
        };
        paths.into_iter().map(source).collect()
    })
}

/// Returns the code of a package, without its tests.
pub(crate) fn code_of(package: &str) -> String {
    let below = format!("{package}/src/");
    let sources = sources().iter().filter(|source| source.path.starts_with(&below));
    sources.flat_map(|source| source.code().map(|(_, line)| format!("{line}\n"))).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, paths);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Returns every part of a text that is between `open` and the next `close`.
pub(crate) fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}
