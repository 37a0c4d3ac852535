//! The settings of a start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::binaries::Source;

/// The settings of a start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template.
    pub template: PathBuf,
    /// `AWS::StackName`, the prefix of physical names.
    pub stack_name: String,
    /// Values of the template's parameters. Without a value, a parameter has its default, except that `AllowOrigin` is
    /// the API's own origin.
    pub parameters: BTreeMap<String, String>,
    /// Port of the API; 0 picks a free port.
    pub port: u16,
    /// Port of the AWS endpoint; 0 picks a free port.
    pub aws_port: u16,
    /// Folder of data, secrets and logs; none is an ephemeral folder, deleted at the stop.
    pub data: Option<PathBuf>,
    /// Builds the functions with `--release`.
    pub release_functions: bool,
    /// Folder with executables to run instead of building the functions.
    pub executables: Option<PathBuf>,
    /// Writes log lines of functions to standard error as well.
    pub echo_logs: bool,
}

impl Options {
    /// A template on free ports, in an ephemeral folder, with the default parameters.
    pub fn new(template: impl Into<PathBuf>) -> Self {
        Self {
            template: template.into(),
            stack_name: "erp".to_owned(),
            parameters: BTreeMap::new(),
            port: 0,
            aws_port: 0,
            data: None,
            release_functions: false,
            executables: None,
            echo_logs: false,
        }
    }

    /// The source of the functions' executables.
    pub(super) fn source(&self) -> Source {
        match &self.executables {
            Some(folder) => Source::Folder(folder.clone()),
            None => {
                let folder = self.template.parent().filter(|folder| !folder.as_os_str().is_empty());
                Source::Build {
                    workspace: folder.unwrap_or(Path::new(".")).to_owned(),
                    release: self.release_functions,
                }
            }
        }
    }
}
