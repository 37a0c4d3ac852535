//! What goes wrong, in AWS's own words, so that every protocol can tell its clients the same thing.

use axum::http::StatusCode;

/// An operation of the broker that failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The database failed; nothing of the operation was kept.
    #[error("the broker's database failed")]
    Storage(#[from] rusqlite::Error),
    /// A stored value does not read back; the file was changed by something else.
    #[error("the broker's database holds something unreadable: {0}")]
    Corrupt(String),
    /// A background task died before it answered.
    #[error("a task of the broker stopped: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// What AWS would refuse as well.
    #[error("{code:?}: {message}")]
    Refused {
        /// The kind of refusal.
        code: ErrorCode,
        /// What is wrong, for whoever called.
        message: String,
    },
}

impl BrokerError {
    /// A refusal with its message.
    pub(crate) fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }

    /// The code and the message that a client may see; internals stay inside.
    pub(crate) fn public(&self) -> (ErrorCode, String) {
        match self {
            Self::Refused { code, message } => (*code, message.clone()),
            Self::Storage(_) | Self::Corrupt(_) | Self::Task(_) => {
                (ErrorCode::InternalFailure, "The broker could not do this; its log says why.".to_owned())
            }
        }
    }
}

/// Error codes of SQS and SNS, as their API references list them under each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// No queue has that name.
    QueueDoesNotExist,
    /// A queue of that name has other attributes.
    QueueNameExists,
    /// No such queue attribute.
    InvalidAttributeName,
    /// A queue attribute cannot have that value.
    InvalidAttributeValue,
    /// A parameter is out of range (SQS).
    InvalidParameterValue,
    /// A parameter is missing.
    MissingParameter,
    /// The body has a character that XML cannot carry.
    InvalidMessageContents,
    /// The receipt handle was not made here.
    ReceiptHandleIsInvalid,
    /// The message is not being processed by whoever holds this receipt.
    MessageNotInflight,
    /// A batch without entries.
    EmptyBatchRequest,
    /// A batch of more than ten.
    TooManyEntriesInBatchRequest,
    /// Two entries have the same id.
    BatchEntryIdsNotDistinct,
    /// An entry's id is malformed.
    InvalidBatchEntryId,
    /// The entries together are too large.
    BatchRequestTooLong,
    /// The resource of a message move does not exist.
    ResourceNotFoundException,
    /// The operation exists, but not here.
    UnsupportedOperation,
    /// No operation has that name.
    InvalidAction,
    /// No such topic or subscription.
    NotFound,
    /// A parameter is out of range (SNS).
    InvalidParameter,
    /// The caller may not do that.
    AccessDenied,
    /// The broker failed.
    InternalFailure,
}

impl ErrorCode {
    /// The name of the error's shape.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "QueueDoesNotExist",
            Self::QueueNameExists => "QueueNameExists",
            Self::InvalidAttributeName => "InvalidAttributeName",
            Self::InvalidAttributeValue => "InvalidAttributeValue",
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::MissingParameter => "MissingParameter",
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
            Self::EmptyBatchRequest => "EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest => "TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct => "BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "InvalidBatchEntryId",
            Self::BatchRequestTooLong => "BatchRequestTooLong",
            Self::ResourceNotFoundException => "ResourceNotFoundException",
            Self::UnsupportedOperation => "UnsupportedOperation",
            Self::InvalidAction => "InvalidAction",
            Self::NotFound => "NotFound",
            Self::InvalidParameter => "InvalidParameter",
            Self::AccessDenied => "AccessDenied",
            Self::InternalFailure => "InternalFailure",
        }
    }

    /// The code that SQS's query protocol uses; the JSON protocol repeats it in `x-amzn-query-error`.
    #[must_use]
    pub fn sqs_query_code(self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists => "QueueAlreadyExists",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::EmptyBatchRequest => "AWS.SimpleQueueService.EmptyBatchRequest",
            Self::TooManyEntriesInBatchRequest => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            Self::BatchEntryIdsNotDistinct => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            Self::InvalidBatchEntryId => "AWS.SimpleQueueService.InvalidBatchEntryId",
            Self::BatchRequestTooLong => "AWS.SimpleQueueService.BatchRequestTooLong",
            Self::UnsupportedOperation => "AWS.SimpleQueueService.UnsupportedOperation",
            Self::InvalidAttributeName
            | Self::InvalidAttributeValue
            | Self::InvalidParameterValue
            | Self::MissingParameter
            | Self::InvalidMessageContents
            | Self::ReceiptHandleIsInvalid
            | Self::ResourceNotFoundException
            | Self::InvalidAction
            | Self::NotFound
            | Self::InvalidParameter
            | Self::AccessDenied
            | Self::InternalFailure => self.name(),
        }
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::AccessDenied => StatusCode::FORBIDDEN,
            Self::NotFound | Self::ResourceNotFoundException => StatusCode::NOT_FOUND,
            Self::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
            Self::QueueDoesNotExist
            | Self::QueueNameExists
            | Self::InvalidAttributeName
            | Self::InvalidAttributeValue
            | Self::InvalidParameterValue
            | Self::MissingParameter
            | Self::InvalidMessageContents
            | Self::ReceiptHandleIsInvalid
            | Self::MessageNotInflight
            | Self::EmptyBatchRequest
            | Self::TooManyEntriesInBatchRequest
            | Self::BatchEntryIdsNotDistinct
            | Self::InvalidBatchEntryId
            | Self::BatchRequestTooLong
            | Self::UnsupportedOperation
            | Self::InvalidAction
            | Self::InvalidParameter => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the caller is at fault, as the query protocol reports it (`Sender` or `Receiver`).
    #[must_use]
    pub fn is_senders_fault(self) -> bool {
        self != Self::InternalFailure
    }
}
