//! Errors at the start of the platform.

use std::path::PathBuf;

use crate::binaries::BuildError;
use crate::broker::BrokerError;
use crate::dynamodb::DynamoDbError;
use crate::secrets::SecretError;
use crate::template::TemplateError;

/// An error at the start of the platform. The message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens on the port.
    #[error(
        "port {port} is in use; stop the program that uses it, or choose another port with {option} (0 picks a free one)"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
    },
    /// Listening on the port failed for another reason.
    #[error("cannot listen on port {port}: {source}")]
    Port {
        /// The port.
        port: u16,
        /// The cause.
        source: std::io::Error,
    },
    /// The data folder cannot be read or written.
    #[error("--data {}: {source}", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The data folder is a file.
    #[error("--data {}: this is not a folder", .0.display())]
    DataNotAFolder(PathBuf),
    /// The data folder has contents that no platform has made.
    #[error(
        "--data {}: this folder has other contents ({other}); choose an empty folder, or one of an earlier start",
        folder.display()
    )]
    DataForeign {
        /// The folder.
        folder: PathBuf,
        /// The name of an entry.
        other: String,
    },
    /// Another platform uses the folder.
    #[error(
        "another platform uses the data folder {}; stop it, or choose another folder with --data FOLDER or --ephemeral",
        .0.display()
    )]
    DataInUse(PathBuf),
    /// The options set a parameter that the template does not have.
    #[error("--parameter {name}: {} has no such parameter; it has {declared}", template.display())]
    UnknownParameter {
        /// The name.
        name: String,
        /// The template.
        template: PathBuf,
        /// The names of the template's parameters.
        declared: String,
    },
    /// The template has an error, or uses what the emulator does not support.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The operating system's random number generator failed.
    #[error("the random number generator failed: {0}")]
    Random(#[from] getrandom::Error),
    /// The functions cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The database does not start.
    #[error(transparent)]
    DynamoDb(#[from] DynamoDbError),
    /// The message broker does not start.
    #[error("queues and topics: {0}")]
    Broker(#[from] BrokerError),
    /// The functions do not start.
    #[error(transparent)]
    Functions(#[from] crate::lambda::StartError),
    /// The event-source mappings do not start.
    #[error("cannot read or write checkpoints: {0}")]
    Mappings(std::io::Error),
}

impl StartError {
    /// Returns true if an option on the command line is the cause.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::PortInUse { .. }
            | Self::Port { .. }
            | Self::Data { .. }
            | Self::DataNotAFolder(_)
            | Self::DataForeign { .. }
            | Self::DataInUse(_)
            | Self::UnknownParameter { .. }
            | Self::Template(TemplateError::Read { .. }) => true,
            // A value that a parameter does not allow.
            Self::Template(TemplateError::Unsupported(problems)) => {
                problems.iter().all(|problem| problem.at.starts_with("Parameters."))
            }
            Self::Template(TemplateError::Yaml(_))
            | Self::Secrets(_)
            | Self::Random(_)
            | Self::Build(_)
            | Self::DynamoDb(_)
            | Self::Broker(_)
            | Self::Functions(_)
            | Self::Mappings(_) => false,
        }
    }
}
