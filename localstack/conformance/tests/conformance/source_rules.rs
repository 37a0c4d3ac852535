//! Rules about the text of the code that no lint covers.

use crate::assert_none;
use crate::source_files::{Source, sources};
use crate::template::workspace;

/// Maximum lines of a file, without the unit tests at its end.
const MAX_LINES: usize = 420;
/// Maximum lines of a function's `main`.
const MAX_LINES_OF_MAIN: usize = 25;

/// Text that no line may contain, and what to write instead.
const FORBIDDEN: [(&str, &str); 4] = [
    ("let _ = ", "handle the result, or `drop` a value that is not a result"),
    ("#[allow(", "use #[expect(…, reason = \"…\")], which warns when it is no longer needed"),
    ("#![allow(", "use #![expect(…, reason = \"…\")], which warns when it is no longer needed"),
    (".ok();", "log the error, or return an Option that is used"),
];

/// Folders whose code must not name a crate: stores know no HTTP, use cases and rules know no SDK.
const APART: [(&str, &str); 6] = [
    ("/store/", "axum::"),
    ("/store/", "erp_http::"),
    ("/store/", "lambda_http::"),
    ("shared/domain/", "aws_"),
    ("shared/http/", "aws_sdk"),
    ("/service", "aws_"),
];

/// Words that the project has replaced by standard terms of the field, in code and documents.
const REPLACED_WORDS: [&str; 33] = [
    "anybody",
    "nobody",
    "somebody",
    "everybody",
    "whoever",
    "books",
    "Sabotage",
    "Turnstile",
    "Witness",
    "Kindred",
    "Suspicion",
    "Patience",
    "Noted",
    "Unanswered",
    "Asker",
    "Along",
    "registrar",
    "Surroundings",
    "outermost",
    "join_lines",
    "EventsLeftOver",
    "RelayBehind",
    "EventsSwept",
    "BooksDisagree",
    "Others change this at the same time",
    "Suspects",
    "Storm",
    "Weather",
    "Wiring",
    "Refusal",
    "kept answer",
    "kept answers",
    "unwell",
];

#[test]
fn no_file_is_too_long() {
    let is_main =
        |path: &str| path.starts_with("functions/") && (path.ends_with("/main.rs") || path.contains("/bin/"));
    assert_none(sources().iter().filter_map(|source| {
        let lines = source.text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        let path = source.path.as_str();
        if lines > MAX_LINES {
            Some(format!("{path}:{MAX_LINES}: has {lines} lines; split it"))
        } else if is_main(path) && !source.is_test() && lines > MAX_LINES_OF_MAIN {
            Some(format!("{path}:{MAX_LINES_OF_MAIN}: has {lines} lines; move code to the library"))
        } else {
            None
        }
    }));
}

/// Returns whether it is this file, which contains the forbidden text as data.
fn is_this_file(source: &Source) -> bool {
    source.path.ends_with("conformance/source_rules.rs")
}

#[test]
fn no_result_is_ignored_and_no_lint_allowed() {
    assert_none(sources().iter().filter(|source| !is_this_file(source)).flat_map(|source| {
        let lines = source.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines.flat_map(move |(index, line)| {
            let found = FORBIDDEN.iter().filter(move |(text, _)| line.contains(text));
            // Converted into an option that is used.
            let found = found.filter(move |(text, _)| {
                *text != ".ok();" || !(line.contains('=') || line.contains("return"))
            });
            found.map(move |(text, instead)| format!("{}:{}: `{text}`: {instead}", source.path, index + 1))
        })
    }));
}

#[test]
fn stores_know_no_http_and_use_cases_no_sdk() {
    assert_none(sources().iter().flat_map(|source| {
        source.code().flat_map(move |(line, text)| {
            let code = text.split("//").next().unwrap_or_default();
            APART
                .iter()
                .filter(move |(folder, word)| source.path.contains(folder) && code.contains(word))
                .filter(|_| !source.path.starts_with("localstack"))
                .map(move |(_, word)| format!("{}:{line}: must not use {word}", source.path))
        })
    }));
}

#[test]
fn every_file_starts_with_its_purpose() {
    assert_none(
        sources()
            .iter()
            .filter(|source| !source.text.starts_with("//!"))
            .map(|source| format!("{}:1: start with //! and the purpose of the file", source.path)),
    );
}

/// Returns the documents and configuration files, in which replaced words are looked up too.
fn documents() -> Vec<Source> {
    let mut documents = Vec::new();
    let folders = ["docs", "events", "functions", "localstack", ".github"];
    let mut paths: Vec<_> = folders.iter().map(|folder| workspace().join(folder)).collect();
    paths.extend(["README.md", "template.yaml", "samconfig.toml"].map(|file| workspace().join(file)));
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path
            .extension()
            .is_some_and(|extension| ["md", "yaml", "yml", "toml"].iter().any(|e| extension == *e))
        {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(workspace()).unwrap().to_string_lossy().into_owned();
            documents.push(Source { path, text });
        }
    }
    documents
}

#[test]
fn replaced_words_are_not_used() {
    let documents = documents();
    let all = sources().iter().filter(|source| !is_this_file(source)).chain(&documents);
    assert_none(all.flat_map(|source| {
        source.text.lines().enumerate().flat_map(move |(index, line)| {
            REPLACED_WORDS
                .iter()
                .filter(move |word| has_word(line, word))
                .map(move |word| format!("{}:{}: `{word}`", source.path, index + 1))
        })
    }));
}

/// Returns whether a line contains a word that is not part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        !is_letter(line[..at].chars().next_back()) && !is_letter(line[at + word.len()..].chars().next())
    })
}
