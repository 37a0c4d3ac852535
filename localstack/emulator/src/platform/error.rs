//! Why the platform does not start.

use std::path::PathBuf;

use crate::binaries::BuildError;
use crate::broker::BrokerError;
use crate::dynamodb::DynamoDbError;
use crate::secrets::SecretError;
use crate::template::TemplateError;

/// Why the platform does not start, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Somebody else listens on the port.
    #[error("port {port} is in use; stop what uses it, or take another with {option} (0 is a free one)")]
    PortInUse {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
    },
    /// The port cannot be used for another reason.
    #[error("cannot listen on port {port}: {source}")]
    Port {
        /// The port.
        port: u16,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder cannot be used.
    #[error("cannot use the data folder {}: {source}", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another platform uses the folder.
    #[error(
        "another platform uses the data folder {}; stop it, or take another with --data <folder> or --ephemeral",
        .0.display()
    )]
    DataInUse(PathBuf),
    /// The template does not run.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The secrets cannot be read.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// The operating system gives no random numbers.
    #[error("no random numbers: {0}")]
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
    #[error("cannot keep checkpoints: {0}")]
    Mappings(std::io::Error),
}
