//! Dead letters: messages that a worker was given ten times and never handled.
//!
//! ```text
//! queues   which dead-letter queues a stack has, what feeds them, how much is in them
//! letters  messages: looked at, sent back, discarded
//! explain  what a message says, what is true by now, and what sending it back would change
//! ```
//!
//! A queue cannot be read without taking: whoever looks hides what he sees for a minute, and gives it back at the end.

pub mod explain;
pub mod letters;
pub mod queues;

use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use erp_aws::cause;
use erp_contracts::StoreError;

pub use explain::{Explanation, explain};
pub use letters::{Letter, Selection};
pub use queues::{Consumer, DeadLetters};

/// What keeps an operator from going on.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// SQS refused, or did not answer.
    #[error("SQS: {0}")]
    Sqs(String),
    /// A table did not answer.
    #[error("DynamoDB: {0}")]
    Store(String),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// What was to be discarded could not be saved first.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl<E> From<SdkError<E, HttpResponse>> for DlqError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::Sqs(cause(&error))
    }
}

impl From<StoreError> for DlqError {
    fn from(error: StoreError) -> Self {
        Self::Store(match error {
            StoreError::Unavailable(cause) => cause.to_string(),
            other => other.to_string(),
        })
    }
}
