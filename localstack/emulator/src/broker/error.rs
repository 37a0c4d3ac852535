//! Errors with the codes and messages of AWS, independent of the protocol that carries them.

use axum::http::StatusCode;

use crate::database_file::DatabaseFileError;

/// An operation of the broker that failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The file is not a database of this program. It was not changed.
    #[error(transparent)]
    File(#[from] DatabaseFileError),
    /// The database failed; the transaction was rolled back.
    #[error("the broker's database failed: {0}")]
    Storage(#[from] rusqlite::Error),
    /// A stored value cannot be decoded.
    #[error("the broker's database contains an invalid value: {0}")]
    Corrupt(String),
    /// A blocking task panicked or was cancelled.
    #[error("a task of the broker ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The request is invalid, as it would be on AWS.
    #[error("{code:?}: {message}")]
    Rejected {
        /// The error code.
        code: ErrorCode,
        /// The message for the client.
        message: String,
    },
}

impl BrokerError {
    /// An error response with this code and message.
    pub(crate) fn rejected(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Rejected { code, message: message.into() }
    }

    /// The code and the message for the client, without internal details.
    pub(crate) fn public_error(&self) -> (ErrorCode, String) {
        match self {
            Self::Rejected { code, message } => (*code, message.clone()),
            Self::File(_) | Self::Storage(_) | Self::Corrupt(_) | Self::Task(_) => {
                (ErrorCode::InternalFailure, "Internal error of the broker; see its log.".to_owned())
            }
        }
    }
}

/// Error codes of SQS and SNS, as their API references list them under each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// No queue has this name.
    QueueDoesNotExist,
    /// A queue with this name and different attributes exists.
    QueueNameExists,
    /// The attribute does not exist.
    InvalidAttributeName,
    /// The value is not valid for the attribute.
    InvalidAttributeValue,
    /// A parameter is out of range (SQS).
    InvalidParameterValue,
    /// A parameter is missing.
    MissingParameter,
    /// The body contains a character outside of XML 1.0.
    InvalidMessageContents,
    /// The receipt handle cannot be decoded.
    ReceiptHandleIsInvalid,
    /// The message is not in flight under this receipt handle.
    MessageNotInflight,
    /// The batch has no entries.
    EmptyBatchRequest,
    /// The batch has more than ten entries.
    TooManyEntriesInBatchRequest,
    /// Two entries of the batch have the same id.
    BatchEntryIdsNotDistinct,
    /// The id of an entry is malformed.
    InvalidBatchEntryId,
    /// The entries are too large in total.
    BatchRequestTooLong,
    /// The queue of a message move task does not exist.
    ResourceNotFoundException,
    /// The operation exists on AWS and is not implemented here.
    UnsupportedOperation,
    /// No operation has this name.
    InvalidAction,
    /// The topic or subscription does not exist.
    NotFound,
    /// A parameter is out of range (SNS).
    InvalidParameter,
    /// The caller lacks the permission.
    AccessDenied,
    /// The broker failed, not the request.
    InternalFailure,
}

impl ErrorCode {
    /// The error's name in the JSON protocol and in SNS.
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

    /// The code in the query protocol of SQS; the JSON protocol repeats it in `x-amzn-query-error`.
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

    /// The HTTP status of the response.
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

    /// Returns `true` if the client caused the error; the query protocols report `Sender` or `Receiver`.
    #[must_use]
    pub fn is_client_error(self) -> bool {
        self != Self::InternalFailure
    }
}
