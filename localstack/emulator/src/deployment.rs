//! The model of `template.yaml` with all parameters, references and secrets resolved.
//!
//! The template reader builds it; every other module works from it. It has no YAML and no intrinsic functions.

use std::collections::BTreeMap;
use std::time::Duration;

/// A whole deployment.
#[derive(Debug, Clone, Default)]
pub struct Deployment {
    /// `AWS::StackName`; the prefix of physical names.
    pub stack_name: String,
    /// Functions in the order of the template.
    pub functions: Vec<Function>,
    /// The REST API.
    pub api: Api,
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SNS topics.
    pub topics: Vec<Topic>,
    /// SQS queues; a dead-letter queue comes before the queue that refers to it.
    pub queues: Vec<Queue>,
    /// SNS subscriptions of queues.
    pub subscriptions: Vec<Subscription>,
    /// Event sources that invoke functions.
    pub triggers: Vec<Trigger>,
}

/// A Lambda function.
#[derive(Debug, Clone)]
pub struct Function {
    /// Logical id in the template, such as `SalesApiFunction`.
    pub logical_id: String,
    /// Physical name, such as `erp-sales-api`.
    pub name: String,
    /// The cargo binary (`Metadata.BuildProperties.Binary`).
    pub binary: String,
    /// `Environment.Variables`, with the globals merged in.
    pub environment: BTreeMap<String, String>,
    /// `MemorySize` in megabytes.
    pub memory_size: u32,
    /// `Timeout`: longer invocations are killed.
    pub timeout: Duration,
    /// `AutoPublishAlias`: an alias of the version that runs.
    pub alias: Option<String>,
    /// `ReservedConcurrentExecutions`.
    pub reserved_concurrency: Option<usize>,
    /// The permissions of the function's role.
    pub statements: Vec<Statement>,
}

/// An IAM policy statement with the effect `Allow`, the only supported one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Such as `dynamodb:GetItem`; `*` and `?` are wildcards.
    pub actions: Vec<String>,
    /// ARNs; `*` and `?` are wildcards.
    pub resources: Vec<String>,
}

/// The REST API with its one stage.
#[derive(Debug, Clone, Default)]
pub struct Api {
    /// The stage's name.
    pub stage: String,
    /// One route for each method of each path.
    pub routes: Vec<Route>,
    /// The default authorizer.
    pub authorizer: Option<Authorizer>,
    /// The CORS headers of preflight responses.
    pub cors: Option<Cors>,
    /// By response type, such as `UNAUTHORIZED`.
    pub gateway_responses: BTreeMap<String, GatewayResponse>,
}

/// A method of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `GET` … or `ANY`.
    pub method: String,
    /// Such as `/api/items/{id}/stock` or `/swagger/{proxy+}`.
    pub path: String,
    /// Logical id of the integrated function.
    pub function: String,
    /// True if the authorizer protects it.
    pub authorized: bool,
}

/// A `TOKEN` authorizer.
#[derive(Debug, Clone)]
pub struct Authorizer {
    /// Logical id of the function.
    pub function: String,
    /// Name of the header that carries the token.
    pub header: String,
    /// The time that a policy is cached for a token; zero disables the cache.
    pub cache: Duration,
}

/// Cross-origin settings, without the inner quotes of the template.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`.
    pub allow_origin: String,
    /// `Access-Control-Allow-Methods`.
    pub allow_methods: String,
    /// `Access-Control-Allow-Headers`.
    pub allow_headers: String,
    /// `Access-Control-Max-Age`, seconds.
    pub max_age: Option<String>,
}

/// A gateway response: an error response of the gateway itself.
#[derive(Debug, Clone, Default)]
pub struct GatewayResponse {
    /// The status, if it differs from the default of the response type.
    pub status: Option<u16>,
    /// Headers, whose values are a `'quoted literal'` or a reference such as `context.requestId`.
    pub headers: BTreeMap<String, String>,
    /// The `application/json` template with `$context` variables.
    pub template: Option<String>,
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// The request of `CreateTable` as JSON: `AttributeDefinitions`, `KeySchema`, `GlobalSecondaryIndexes`,
    /// `StreamSpecification` …
    pub create: serde_json::Value,
    /// The time-to-live attribute, in seconds since the epoch.
    pub ttl_attribute: Option<String>,
}

/// An SNS topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
}

/// An SQS queue.
#[derive(Debug, Clone)]
pub struct Queue {
    /// Logical id.
    pub logical_id: String,
    /// Physical name.
    pub name: String,
    /// Attributes of `SetQueueAttributes`, such as `VisibilityTimeout`; `RedrivePolicy` is a JSON string.
    pub attributes: BTreeMap<String, String>,
}

/// A queue's subscription to a topic.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Physical topic ARN.
    pub topic_arn: String,
    /// Physical queue ARN.
    pub queue_arn: String,
    /// Attributes of `SetSubscriptionAttributes`: `RawMessageDelivery`, `FilterPolicy` (a JSON string) …
    pub attributes: BTreeMap<String, String>,
}

/// An event source that invokes a function.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Logical id of the function.
    pub function: String,
    /// Name of the event in the template, for logs and checkpoints.
    pub name: String,
    /// The source.
    pub source: TriggerSource,
}

/// The kinds of event sources.
#[derive(Debug, Clone)]
pub enum TriggerSource {
    /// An SQS event-source mapping.
    Queue {
        /// ARN of the queue.
        queue_arn: String,
        /// Maximum number of messages in one invocation.
        batch_size: usize,
        /// Maximum time to fill a batch.
        batching_window: Duration,
        /// `ScalingConfig.MaximumConcurrency`.
        maximum_concurrency: Option<usize>,
        /// `FunctionResponseTypes` contains `ReportBatchItemFailures`.
        report_item_failures: bool,
    },
    /// A DynamoDB stream event-source mapping.
    Stream {
        /// Physical name of the table.
        table: String,
        /// Maximum number of records in one invocation.
        batch_size: usize,
        /// `FilterCriteria.Filters[].Pattern`, parsed; a record passes when one of them matches.
        filters: Vec<serde_json::Value>,
        /// `FunctionResponseTypes` contains `ReportBatchItemFailures`.
        report_item_failures: bool,
        /// `BisectBatchOnFunctionError`.
        bisect: bool,
        /// `MaximumRetryAttempts`; none retries until the record expires.
        maximum_retries: Option<u32>,
    },
    /// A schedule.
    Schedule {
        /// Interval between runs.
        every: Duration,
        /// The JSON event; none is the scheduled event of EventBridge.
        input: Option<String>,
    },
}

/// The region of all ARNs.
pub const REGION: &str = "us-east-1";
/// The account of all ARNs.
pub const ACCOUNT: &str = "000000000000";
