//! Starts and stops everything that the template describes.
//!
//! ```text
//! ports   the loopback ports
//! data    the folder, and who may use it
//! aws     one endpoint for DynamoDB, SNS, SQS and Lambda
//! server  an HTTP server that can be stopped
//! usage   what AWS would bill for, counted on demand
//! ```
//!
//! The order is the point. Ports first, because queue URLs in the functions' environment contain one; the gateway
//! last, so that nobody is let in before there is somebody to answer. Stopping goes the other way around: no new
//! requests, then no new batches, then the functions' processes, and only then what they talk to.

mod aws;
mod data;
mod error;
mod ports;
mod server;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::binaries::{self, Source};
use crate::broker::{Authorize, Broker};
use crate::deployment::{Deployment, REGION};
use crate::dynamodb::DynamoDb;
use crate::gateway::{self, Gateway};
use crate::iam::Iam;
use crate::lambda::{self, Functions, Invoke, ProcessInfo};
use crate::event_source_mapping::{self, Mappings};
use crate::secrets::Secrets;
use crate::template;

pub use error::StartError;
pub use usage::{Usage, Used};

use data::Data;
use server::Server;
use usage::Counted;

/// How long requests in flight may take to end when the platform stops. Functions have as long after that.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the platform looks for stream records that everybody has read.
const TRIM: Duration = Duration::from_secs(30);

/// How a platform is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The template.
    pub template: PathBuf,
    /// `AWS::StackName`, the prefix of physical names.
    pub stack_name: String,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Port of the API; 0 is a free one.
    pub port: u16,
    /// Port of the AWS endpoint; 0 is a free one.
    pub aws_port: u16,
    /// Where data, secrets and logs are kept; none is a temporary folder.
    pub data: Option<PathBuf>,
    /// Whether functions are built with `--release`.
    pub release_functions: bool,
    /// A folder of ready executables, instead of building them.
    pub executables: Option<PathBuf>,
    /// Whether what functions log goes to standard error as well.
    pub echo_logs: bool,
}

impl Options {
    /// A template on free ports, with data that is forgotten and parameters at their defaults.
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

    fn source(&self) -> Source {
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

/// Something is still going on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("still busy: {0}")]
pub struct Busy(String);

/// A running platform.
pub struct Platform {
    deployment: Deployment,
    base_url: String,
    aws_endpoint: String,
    functions: Arc<Functions>,
    broker: Arc<Broker>,
    dynamodb: Arc<DynamoDb>,
    mappings: Arc<Mappings>,
    usage: Arc<Usage>,
    iam: Arc<Iam>,
    trimmer: JoinHandle<()>,
    gateway_server: Server,
    aws_server: Server,
    /// Last, so that the folder outlives everything that is kept in it.
    data: Data,
}

impl Platform {
    /// Starts everything; when it returns, requests are answered.
    ///
    /// # Errors
    ///
    /// When the template does not run here, a function cannot be built, or a port or folder is taken.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let data = Data::open(options.data.as_deref())?;
        let (gateway_listener, port) = ports::listen(options.port, "--port").await?;
        let (aws_listener, aws_port) = ports::listen(options.aws_port, "--aws-port").await?;
        let aws_endpoint = format!("http://127.0.0.1:{aws_port}");

        let deployment = template::load(
            &options.template,
            template::Inputs {
                stack_name: &options.stack_name,
                parameters: &options.parameters,
                aws_endpoint: &aws_endpoint,
                secrets: &Secrets::open(&data.path("secrets.json"))?,
            },
        )?;
        let executables = binaries::executables(&options.source(), &deployment.functions).await?;

        let iam = Arc::new(Iam::new(&deployment.functions)?);
        let broker = open_broker(&data, &deployment, &aws_endpoint, &iam)?;
        let dynamodb =
            DynamoDb::start(&data.path("dynamodb.sqlite"), &deployment.tables, Arc::clone(&iam)).await?;
        let dynamodb = Arc::new(dynamodb);
        let config = lambda_config(&data, &deployment, &aws_endpoint, &iam, options.echo_logs);
        let functions = Functions::start(config, &deployment.functions, &executables).await?;
        let usage = Usage::new(Arc::clone(&functions), &deployment.functions, &iam);
        let services = aws::Services {
            dynamodb: dynamodb.router(),
            lambda: lambda::router(Arc::clone(&functions), Arc::clone(&iam) as Arc<dyn Authorize>),
            broker: broker.router(),
            usage: Arc::clone(&usage),
        };
        let aws_server = Server::start(aws_listener, aws::router(services));

        let invoke: Arc<dyn Invoke> = Arc::new(Counted(Arc::clone(&usage)));
        let mappings = Mappings::start(
            &event_source_mapping::Settings::new(data.path("checkpoints")),
            &deployment.triggers,
            Arc::clone(&invoke),
            Arc::clone(&broker),
            dynamodb.database(),
        );
        let mappings = Arc::new(mappings.map_err(StartError::Mappings)?);
        let woken = Arc::clone(&mappings);
        dynamodb.set_wake(Arc::new(move || woken.wake()));
        let trimmer = tokio::spawn(trim(Arc::clone(&dynamodb), Arc::clone(&mappings), deployment.clone()));

        let gateway = Arc::new(Gateway::new(deployment.api.clone(), invoke));
        let gateway_server = Server::start(gateway_listener, gateway::router(gateway));
        Ok(Self {
            deployment,
            base_url: format!("http://localhost:{port}"),
            aws_endpoint,
            functions,
            broker,
            dynamodb,
            mappings,
            usage,
            iam,
            trimmer,
            gateway_server,
            aws_server,
            data,
        })
    }

    /// Base URL of the API.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Base URL of DynamoDB, SNS, SQS and Lambda.
    pub fn aws_endpoint(&self) -> &str {
        &self.aws_endpoint
    }

    /// What runs.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The folder of data, secrets and logs.
    pub fn data(&self) -> &Path {
        self.data.folder()
    }

    /// The folder of the functions' logs.
    pub fn logs(&self) -> PathBuf {
        self.data.path(LOGS)
    }

    /// Every process of a function that there is right now.
    pub fn functions(&self) -> Vec<ProcessInfo> {
        self.functions.processes()
    }

    /// The variables that a process of a function finds, credentials with its rights among them.
    pub fn environment(&self, function: &str) -> Option<&BTreeMap<String, String>> {
        self.functions.environment(function)
    }

    /// Who may do what, and what was done with it.
    pub fn iam(&self) -> &Iam {
        &self.iam
    }

    /// Queues and topics.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The database; what makes calls to it go wrong is set here.
    pub fn dynamodb(&self) -> &DynamoDb {
        &self.dynamodb
    }

    /// Counts what AWS would bill for.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Waits until nothing is going on: no queue that drives a function holds a message, no stream is behind, and
    /// no function runs.
    ///
    /// # Errors
    ///
    /// What still goes on when the time is over.
    pub async fn quiet(&self, deadline: Duration) -> Result<(), Busy> {
        const PAUSE: Duration = Duration::from_millis(20);
        let end = Instant::now() + deadline;
        loop {
            let busy = self.busy();
            match busy {
                None => return Ok(()),
                Some(what) if Instant::now() >= end => return Err(Busy(what)),
                Some(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// What is going on, if anything.
    fn busy(&self) -> Option<String> {
        if let Some(process) = self.functions.processes().iter().find(|process| process.busy) {
            return Some(format!("{} runs", process.function));
        }
        match self.mappings.is_idle() {
            Ok(true) => None,
            Ok(false) => {
                let depths = self.broker.depths().unwrap_or_default();
                let queues = depths.iter().filter(|d| d.visible + d.in_flight + d.delayed > 0);
                let queues: Vec<_> = queues.map(|d| d.name.as_str()).collect();
                let streams = self.mappings.streams();
                let streams: Vec<_> =
                    streams.iter().filter(|s| !s.caught_up).map(|s| s.table.as_str()).collect();
                Some(format!("queues with messages {queues:?}, streams that are behind {streams:?}"))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Stops everything, after the requests and invocations in flight; no process is left behind.
    pub async fn stop(self) {
        self.trimmer.abort();
        self.gateway_server.stop(PATIENCE).await;
        if tokio::time::timeout(PATIENCE, self.mappings.stop()).await.is_err() {
            tracing::warn!("batches are cut off; their messages come back at the next start");
        }
        self.functions.stop().await;
        self.aws_server.stop(PATIENCE).await;
        self.dynamodb.stop().await;
    }
}

const LOGS: &str = "logs";

/// Queues, topics and subscriptions as the template has them; what a kill left in flight can be received again.
fn open_broker(
    data: &Data,
    deployment: &Deployment,
    aws_endpoint: &str,
    iam: &Arc<Iam>,
) -> Result<Arc<Broker>, StartError> {
    let broker = Broker::open(Some(&data.path("broker.sqlite")), aws_endpoint.to_owned())?;
    for queue in &deployment.queues {
        broker.ensure_queue(&queue.name, &queue.attributes)?;
    }
    for topic in &deployment.topics {
        broker.ensure_topic(&topic.name)?;
    }
    let mut kept = Vec::new();
    for subscription in &deployment.subscriptions {
        let (topic, queue) = (&subscription.topic_arn, &subscription.queue_arn);
        broker.ensure_subscription(topic, queue, &subscription.attributes)?;
        kept.push((topic.clone(), queue.clone()));
    }
    broker.retain_subscriptions(&kept)?;
    broker.set_authorizer(Arc::clone(iam) as Arc<dyn Authorize>);
    let released = broker.release_in_flight()?;
    if released > 0 {
        tracing::info!(released, "messages that were in flight come back");
    }
    Ok(broker)
}

fn lambda_config(
    data: &Data,
    deployment: &Deployment,
    aws_endpoint: &str,
    iam: &Iam,
    echo: bool,
) -> lambda::Config {
    let mut config = lambda::Config::new(data.path(LOGS));
    config.echo = echo;
    config.grace = PATIENCE;
    config.environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL".to_owned(), aws_endpoint.to_owned()),
        ("AWS_DEFAULT_REGION".to_owned(), REGION.to_owned()),
        // Nothing of the machine's own AWS settings reaches a function.
        ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
    ]);
    for function in &deployment.functions {
        if let Some(keys) = iam.credentials(&function.logical_id) {
            let keys = [
                ("AWS_ACCESS_KEY_ID".to_owned(), keys.access_key_id.clone()),
                ("AWS_SECRET_ACCESS_KEY".to_owned(), keys.secret_access_key.clone()),
            ];
            config.function_environment.insert(function.logical_id.clone(), BTreeMap::from(keys));
        }
    }
    config
}

/// Deletes stream records that everybody has read, for as long as the platform runs.
async fn trim(dynamodb: Arc<DynamoDb>, mappings: Arc<Mappings>, deployment: Deployment) {
    let mut ticks = tokio::time::interval(TRIM);
    loop {
        ticks.tick().await;
        let behind: Vec<String> =
            mappings.streams().into_iter().filter(|s| !s.caught_up).map(|s| s.table).collect();
        for table in deployment.tables.iter().filter(|table| !behind.contains(&table.name)) {
            if let Err(error) = dynamodb.trim_stream(&table.name).await {
                tracing::warn!(%error, table = table.name, "stream records cannot be deleted");
            }
        }
    }
}
