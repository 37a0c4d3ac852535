//! Problems of a template, collected so that one run reports all of them.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// A position in the template, such as `Resources.SalesTable.Properties.KeySchema[0]`.
#[derive(Debug, Clone)]
pub(crate) struct TemplatePath(String);

impl TemplatePath {
    /// A top-level section.
    pub(crate) fn top(section: &str) -> Self {
        Self(section.to_owned())
    }

    /// A key of the object at this position.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }

    /// An element of the list at this position.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

/// An unsupported or invalid part of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The position, such as `Resources.StockQueue.Properties.QueueNam`.
    pub at: String,
    /// The problem, and the correction if it is known.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// Collects problems. Reading continues after each.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Adds a problem.
    pub(crate) fn report(&self, at: &TemplatePath, message: impl Into<String>) {
        let problem = Problem { at: at.0.clone(), message: message.into() };
        let mut problems = self.0.borrow_mut();
        // A value of `Globals` is read once per function and reported once.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Returns `true` if there are no problems.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All problems, in the order of their reports.
    pub(crate) fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// A template that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("the template is not valid YAML: {0}")]
    Yaml(#[from] yaml_serde::Error),
    /// The template has parts that the emulator does not support, or that are invalid on AWS.
    #[error("{}", problem_list(.0))]
    Unsupported(Vec<Problem>),
}

fn problem_list(problems: &[Problem]) -> String {
    let mut text = String::from("the template has unsupported or invalid parts:");
    for problem in problems {
        text.push_str("\n  - ");
        text.push_str(&problem.to_string());
    }
    text
}
