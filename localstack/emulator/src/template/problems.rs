//! Everything that is wrong with a template, gathered before anybody is told: one run shows all of it.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;

/// Where in the template something stands, such as `Resources.SalesTable.Properties.KeySchema[0]`.
#[derive(Debug, Clone)]
pub(crate) struct At(String);

impl At {
    /// A section at the top of the template.
    pub(crate) fn top(section: &str) -> Self {
        Self(section.to_owned())
    }

    /// A key of the object that stands here.
    pub(crate) fn key(&self, key: &str) -> Self {
        Self(format!("{}.{key}", self.0))
    }

    /// An element of the list that stands here.
    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

/// One thing that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, such as `Resources.StockQueue.Properties.QueueNam`.
    pub at: String,
    /// What is wrong with it, and what would be right where that is known.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

/// Problems found so far. Reading goes on after one, with what could be read.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes a problem.
    pub(crate) fn report(&self, at: &At, what: impl Into<String>) {
        let problem = Problem { at: at.0.clone(), what: what.into() };
        let mut problems = self.0.borrow_mut();
        // A value of `Globals` is read once for each function; saying it once is enough.
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// Whether nothing was wrong so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// All of them, in the order they were found.
    pub(crate) fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// Why a template does not run.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("the template is not valid YAML: {0}")]
    Yaml(#[from] yaml_serde::Error),
    /// The template says what this platform does not understand, or would run differently than AWS does.
    #[error("{}", listed(.0))]
    Refused(Vec<Problem>),
}

fn listed(problems: &[Problem]) -> String {
    let mut text = String::from("the template describes what cannot run here:");
    for problem in problems {
        text.push_str("\n  - ");
        text.push_str(&problem.to_string());
    }
    text
}
