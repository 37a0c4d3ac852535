//! Rules about the text of the code that no lint knows.

use crate::none;
use crate::source::{Source, sources};

/// The most lines of a file, and those that have more with the reason.
const MOST_LINES: usize = 400;
const LONG: [(&str, &str); 3] = [
    ("shared/domain/src/order.rs", "the lifecycle and its proof by all transitions belong together"),
    ("shared/http/src/body.rs", "one reader for one kind of body, half of it tests"),
    ("localstack/emulator/src/broker/tests.rs", "what queues and topics promise, one test after the other"),
];
/// The most lines of a program: it wires, and nothing else.
const MOST_LINES_OF_MAIN: usize = 25;

/// What no line of ours may hold, in tests or elsewhere, and what to do instead.
const FORBIDDEN: [(&str, &str); 4] = [
    ("let _ = ", "handle the result, or `drop` a value that is none"),
    ("#[allow(", "use #[expect(…, reason = \"…\")], which complains when it is not needed any more"),
    ("#![allow(", "use #![expect(…, reason = \"…\")], which complains when it is not needed any more"),
    (".ok();", "log the error, or say in the type that there is none"),
];

/// Folders whose code must not name a thing: a store knows no HTTP, rules know no AWS.
const APART: [(&str, &str); 6] = [
    ("/store/", "axum::"),
    ("/store/", "erp_http::"),
    ("/store/", "lambda_http::"),
    ("shared/domain/", "aws_"),
    ("shared/http/", "aws_sdk"),
    ("/service", "aws_"),
];

fn lines(source: &Source) -> usize {
    source.text.lines().count()
}

#[test]
fn no_file_is_longer_than_one_reads_at_once() {
    let long = |path: &str| LONG.iter().any(|(known, _)| *known == path);
    let is_main =
        |path: &str| path.starts_with("functions/") && (path.ends_with("/main.rs") || path.contains("/bin/"));
    none(sources().iter().filter_map(|source| {
        let (path, lines) = (source.path.as_str(), lines(source));
        if lines > MOST_LINES && !long(path) {
            Some(format!("{path}:{MOST_LINES}: has {lines} lines; take it apart"))
        } else if lines <= MOST_LINES && long(path) {
            Some(format!("{path}: is short by now; take it out of LONG"))
        } else if is_main(path) && !source.is_test() && lines > MOST_LINES_OF_MAIN {
            Some(format!("{path}:{MOST_LINES_OF_MAIN}: has {lines} lines; a program only wires"))
        } else {
            None
        }
    }));
}

#[test]
fn nothing_is_swept_under_an_underscore_or_an_allow() {
    // These are the words themselves.
    let others =
        sources().iter().filter(|source| source.path != "localstack/conformance/tests/conformance/house.rs");
    none(others.flat_map(|source| {
        let lines = source.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        lines.flat_map(move |(index, line)| {
            let found = FORBIDDEN.iter().filter(move |(words, _)| line.contains(words));
            // Made into an option that is used.
            let found = found.filter(move |(words, _)| {
                *words != ".ok();" || !(line.contains('=') || line.contains("return"))
            });
            found.map(move |(words, instead)| format!("{}:{}: `{words}`: {instead}", source.path, index + 1))
        })
    }));
}

#[test]
fn stores_know_no_http_and_rules_no_aws() {
    none(sources().iter().flat_map(|source| {
        source.code().flat_map(move |(line, text)| {
            let code = text.split("//").next().unwrap_or_default();
            APART
                .iter()
                .filter(move |(folder, word)| source.path.contains(folder) && code.contains(word))
                .filter(|_| !source.path.starts_with("localstack"))
                .map(move |(_, word)| format!("{}:{line}: must not know {word}", source.path))
        })
    }));
}

#[test]
fn every_file_says_what_it_is() {
    none(
        sources()
            .iter()
            .filter(|source| !source.text.starts_with("//!"))
            .map(|source| format!("{}:1: begin with //! and what this file is for", source.path)),
    );
}
