//! The text of the code.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::world::workspace;

/// A file of Rust code.
#[derive(Debug)]
pub(crate) struct Source {
    /// Below the workspace, with `/` between its parts.
    pub(crate) path: String,
    /// Everything in it.
    pub(crate) text: String,
}

impl Source {
    /// Whether it is made for tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.split('/').any(|part| {
            matches!(part, "tests" | "tests.rs" | "testing.rs" | "testkit" | "e2e" | "conformance")
        })
    }

    /// Its lines with their numbers, up to the tests at the end of the file.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let is_test = self.is_test();
        lines.take_while(move |(_, line)| !is_test && *line != "#[cfg(test)]")
    }
}

/// Every file of Rust code in the workspace.
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

/// The code below a folder of the workspace, without its tests.
pub(crate) fn code_of(folder: &str) -> String {
    let below = format!("{folder}/src/");
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

/// What stands between `open` and `close`, everywhere in a text.
pub(crate) fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    text.split(open).skip(1).filter_map(|rest| rest.split_once(close)).map(|(inside, _)| inside).collect()
}
