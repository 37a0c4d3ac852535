//! What `template.yaml` says is to run, with every parameter, reference and secret resolved.
//!
//! The template reader makes it; the gateway, the function pools, the event-source mappings and the
//! provisioning of tables, topics and queues only ever see this. It holds no YAML and no intrinsic function.

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
    /// SQS queues; a dead-letter queue stands before the queue that names it.
    pub queues: Vec<Queue>,
    /// SNS subscriptions of queues.
    pub subscriptions: Vec<Subscription>,
    /// Streams and queues that drive functions, and schedules.
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
    /// Megabytes.
    pub memory_size: u32,
    /// After this an invocation is killed.
    pub timeout: Duration,
    /// `AutoPublishAlias`: the name that what was published last goes by, which here is what runs.
    pub alias: Option<String>,
    /// `ReservedConcurrentExecutions`, where there is one.
    pub reserved_concurrency: Option<usize>,
    /// What the function's role may do.
    pub statements: Vec<Statement>,
}

/// One statement of an IAM policy; only `Allow` is known here.
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
    /// One for each method of each path.
    pub routes: Vec<Route>,
    /// The default authorizer.
    pub authorizer: Option<Authorizer>,
    /// What a preflight and, where the service says nothing, an answer carry.
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
    /// Logical id of the function behind it.
    pub function: String,
    /// Whether the authorizer stands in front.
    pub authorized: bool,
}

/// A `TOKEN` authorizer.
#[derive(Debug, Clone)]
pub struct Authorizer {
    /// Logical id of the function.
    pub function: String,
    /// Name of the header that carries the token.
    pub header: String,
    /// How long an answer serves for the same token; zero switches that off.
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

/// How the gateway answers by itself.
#[derive(Debug, Clone, Default)]
pub struct GatewayResponse {
    /// The status, where it is not the type's own.
    pub status: Option<u16>,
    /// Header values: `'quoted'` is a literal, `context.requestId` is looked up.
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
    /// The template's properties that `CreateTable` takes, resolved, as JSON in the API's own words:
    /// `AttributeDefinitions`, `KeySchema`, `GlobalSecondaryIndexes`, `StreamSpecification` …
    pub create: serde_json::Value,
    /// Attribute that holds the expiry, in seconds since the epoch.
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
    /// Queue attributes in the SQS API's own words, such as `VisibilityTimeout`; `RedrivePolicy` is JSON text.
    pub attributes: BTreeMap<String, String>,
}

/// A queue's subscription to a topic.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Physical topic ARN.
    pub topic_arn: String,
    /// Physical queue ARN.
    pub queue_arn: String,
    /// Subscription attributes in the SNS API's own words: `RawMessageDelivery`, `FilterPolicy` (JSON text) …
    pub attributes: BTreeMap<String, String>,
}

/// What starts a function besides the API.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// Logical id of the function.
    pub function: String,
    /// Name of the event in the template, for logs and checkpoints.
    pub name: String,
    /// What it listens to.
    pub source: TriggerSource,
}

/// The kinds of trigger.
#[derive(Debug, Clone)]
pub enum TriggerSource {
    /// An SQS event-source mapping.
    Queue {
        /// ARN of the queue.
        queue_arn: String,
        /// Most messages in one invocation.
        batch_size: usize,
        /// How long to gather a batch.
        batching_window: Duration,
        /// `ScalingConfig.MaximumConcurrency`.
        maximum_concurrency: Option<usize>,
        /// Whether `batchItemFailures` of the answer counts.
        report_item_failures: bool,
    },
    /// A DynamoDB stream event-source mapping.
    Stream {
        /// Physical name of the table.
        table: String,
        /// Most records in one invocation.
        batch_size: usize,
        /// `FilterCriteria.Filters[].Pattern`, parsed; a record passes when one of them fits.
        filters: Vec<serde_json::Value>,
        /// Whether `batchItemFailures` of the answer counts.
        report_item_failures: bool,
        /// `BisectBatchOnFunctionError`.
        bisect: bool,
        /// `MaximumRetryAttempts`; none means until the record is gone.
        maximum_retries: Option<u32>,
    },
    /// A schedule.
    Schedule {
        /// Time between two runs.
        every: Duration,
        /// The event's JSON, or none for the one EventBridge makes.
        input: Option<String>,
    },
}

/// The region everything says it is in.
pub const REGION: &str = "us-east-1";
/// The account everything says it belongs to.
pub const ACCOUNT: &str = "000000000000";
