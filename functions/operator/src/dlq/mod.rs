//! Dead letters: messages that a worker cannot process, received too often, or SNS could not deliver.
//!
//! ```text
//! queues    the dead-letter queues of a stack, their sources and depths
//! messages  receive, redrive, discard
//! explain   the meaning of a message, the current state, and the effect of a redrive
//! ```
//!
//! A queue cannot be read without receiving: a message that is looked at is invisible to others for a minute,
//! or until it is released.

pub mod explain;
pub mod messages;
pub mod queues;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use erp_aws::{StoreError, sdk_error_message};

pub use explain::{Explanation, explain};
pub use messages::{DeadLetter, Selection};
pub use queues::{Consumer, DeadLetterQueue};

/// The reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// SQS returned an error or could not be reached.
    #[error("SQS: {0}")]
    Sqs(String),
    /// A table is unavailable.
    #[error("DynamoDB")]
    Store(#[from] StoreError),
    /// The command cannot be carried out.
    #[error("{0}")]
    Rejected(String),
    /// Messages to be discarded could not be saved.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> From<SdkError<E>> for DlqError {
    fn from(error: SdkError<E>) -> Self {
        Self::Sqs(sdk_error_message(&error))
    }
}
