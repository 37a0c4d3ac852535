//! Starts and stops everything that the template describes.
//!
//! ```text
//! options  the settings of a start
//! data     the data folder
//! ports    listeners on loopback ports
//! aws      the AWS endpoint for DynamoDB, SNS, SQS and Lambda
//! usage    counts the billed calls
//! ```
//!
//! The order matters. Ports are opened first, because the queue URLs in the functions' environment contain one; the
//! gateway starts last, when everything behind it runs. The platform stops in the reverse order: no new requests, no
//! new batches, then the functions' processes, then the services that they call.

mod aws;
mod data;
mod error;
mod options;
mod ports;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::binaries;
use crate::broker::Broker;
use crate::deployment::{Deployment, REGION};
use crate::dynamodb::DynamoDb;
use crate::event_source_mapping::{self, Mappings};
use crate::gateway::{self, Gateway};
use crate::iam::{Credentials, Iam};
use crate::lambda::{self, Functions, Invoke, ProcessInfo};
use crate::secrets::Secrets;
use crate::server::{ReadTimeouts, Server, Settings};
use crate::template::{self, TemplateError};

pub(crate) use data::Data;
pub use error::StartError;
pub use options::Options;
pub use usage::{Usage, Used};

use usage::Counted;

/// The longest wait for requests in flight at a stop, and again for invocations.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// Interval between deletions of stream records that all mappings have read.
const TRIM_INTERVAL: Duration = Duration::from_secs(30);
/// The host name of this machine in a Docker container, from which `sam local` calls the AWS endpoint. It is reserved
/// (`.internal`), so no web page can bind it to an address.
const DOCKER_HOST: &str = "host.docker.internal";
/// The template's parameter for the origin that browsers may call the API from.
const ALLOW_ORIGIN: &str = "AllowOrigin";

/// The platform is not idle.
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
    /// Last, because fields are dropped in order and the others use files in the folder.
    data: Data,
}

impl Platform {
    /// Starts everything. When it returns, the API serves requests.
    ///
    /// # Errors
    ///
    /// When the template is not supported, a function cannot be built, or a port or the data folder is in use.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let data = Data::open(options.data.as_deref())?;
        Self::start_in(data, options).await
    }

    /// Starts everything in a data folder that is open already.
    pub(crate) async fn start_in(data: Data, options: Options) -> Result<Self, StartError> {
        let (gateway_listener, port) = ports::listen(options.port, "--port").await?;
        let (aws_listener, aws_port) = ports::listen(options.aws_port, "--aws-port").await?;
        let aws_endpoint = format!("http://127.0.0.1:{aws_port}");
        let base_url = format!("http://localhost:{port}");

        let secrets = Secrets::open(&data.path("secrets.json"))?;
        let deployment = deployment(&options, &base_url, &aws_endpoint, &secrets)?;
        let executables = binaries::executables(&options.source(), &deployment.functions).await?;

        let iam = Arc::new(Iam::new(Credentials::of_owner(&secrets)?, &deployment.functions)?);
        let broker = open_broker(&data, &deployment, &aws_endpoint, &iam)?;
        let dynamodb =
            DynamoDb::start(&data.path("dynamodb.sqlite"), &deployment.tables, Arc::clone(&iam)).await?;
        let dynamodb = Arc::new(dynamodb);
        let config = lambda_config(&data, &deployment, &aws_endpoint, &iam, options.echo_logs);
        let functions = Functions::start(config, &deployment.functions, &executables).await?;
        let usage = Usage::new(Arc::clone(&functions), &deployment.functions, &iam);
        let services = aws::Services {
            dynamodb: dynamodb.router(),
            lambda: lambda::router(Arc::clone(&functions), Arc::clone(&iam)),
            broker: broker.router(),
            usage: Arc::clone(&usage),
        };
        let aws_server = Server::start(aws_listener, aws::router(services), settings(&[DOCKER_HOST]));

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
        let gateway_server = Server::start(gateway_listener, gateway::router(gateway), settings(&[]));
        Ok(Self {
            deployment,
            base_url,
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

    /// Base URL of the API, such as `http://localhost:8000`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Base URL of DynamoDB, SNS, SQS and Lambda.
    pub fn aws_endpoint(&self) -> &str {
        &self.aws_endpoint
    }

    /// The access key for the AWS endpoint, which may do everything.
    pub fn access_key(&self) -> &Credentials {
        self.iam.owner()
    }

    /// The deployment that runs.
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

    /// All running processes of functions.
    pub fn functions(&self) -> Vec<ProcessInfo> {
        self.functions.processes()
    }

    /// The environment variables of a function's processes, including the credentials of its role.
    pub fn environment(&self, function: &str) -> Option<&BTreeMap<String, String>> {
        self.functions.environment(function)
    }

    /// The permissions of the functions, and their use.
    pub fn iam(&self) -> &Iam {
        &self.iam
    }

    /// The message broker: queues and topics.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// The database, which also injects faults for tests.
    pub fn dynamodb(&self) -> &DynamoDb {
        &self.dynamodb
    }

    /// Counts the billed calls.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Waits until the platform is idle: no queue with a mapping holds a message, all stream records are read, and no
    /// function runs.
    ///
    /// # Errors
    ///
    /// The reason why it is not idle at the deadline.
    pub async fn wait_until_idle(&self, deadline: Duration) -> Result<(), Busy> {
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

    /// The reason why the platform is not idle, if it is not.
    fn busy(&self) -> Option<String> {
        if let Some(process) = self.functions.processes().iter().find(|process| process.busy) {
            return Some(format!("{} runs", process.function));
        }
        match self.mappings.is_idle() {
            Ok(true) => None,
            Ok(false) => {
                let depths = match self.broker.depths() {
                    Ok(depths) => depths,
                    Err(error) => return Some(error.to_string()),
                };
                let queues = depths.iter().filter(|d| d.visible + d.in_flight + d.delayed > 0);
                let queues: Vec<_> = queues.map(|d| d.name.as_str()).collect();
                let streams = self.mappings.streams();
                let streams: Vec<_> =
                    streams.iter().filter(|s| !s.caught_up).map(|s| s.table.as_str()).collect();
                Some(format!("queues with messages {queues:?}, streams with unread records {streams:?}"))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    /// Stops everything, after the requests and invocations in flight. All processes have exited when it returns.
    pub async fn stop(self) {
        self.trimmer.abort();
        self.gateway_server.stop(STOP_GRACE).await;
        if tokio::time::timeout(STOP_GRACE, self.mappings.stop()).await.is_err() {
            tracing::warn!("batches are aborted; their messages become visible at the next start");
        }
        self.functions.stop().await;
        self.aws_server.stop(STOP_GRACE).await;
        self.dynamodb.stop().await;
    }
}

const LOGS: &str = "logs";

/// Reads the template with the parameters of the options.
fn deployment(
    options: &Options,
    base_url: &str,
    aws_endpoint: &str,
    secrets: &Secrets,
) -> Result<Deployment, StartError> {
    let path = &options.template;
    let text =
        std::fs::read_to_string(path).map_err(|source| TemplateError::Read { path: path.clone(), source })?;
    let document: yaml_serde::Value = yaml_serde::from_str(&text).map_err(TemplateError::from)?;
    let declared = document.get("Parameters").and_then(yaml_serde::Value::as_mapping);
    let declared: Vec<&str> = declared.into_iter().flatten().filter_map(|(name, _)| name.as_str()).collect();
    if let Some(name) = options.parameters.keys().find(|name| !declared.contains(&name.as_str())) {
        return Err(StartError::UnknownParameter {
            name: name.clone(),
            template: path.clone(),
            declared: declared.join(", "),
        });
    }
    let mut parameters = options.parameters.clone();
    // Registration is open on one machine, so a page of another origin must not call the API from a browser.
    if declared.contains(&ALLOW_ORIGIN) {
        parameters.entry(ALLOW_ORIGIN.to_owned()).or_insert_with(|| base_url.to_owned());
    }
    let inputs =
        template::Inputs { stack_name: &options.stack_name, parameters: &parameters, aws_endpoint, secrets };
    Ok(template::read(document, inputs)?)
}

fn settings(other_hosts: &'static [&'static str]) -> Settings {
    Settings { timeouts: Some(ReadTimeouts::default()), other_hosts }
}

/// Creates the template's queues, topics and subscriptions. Messages that were in flight at a crash become visible.
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
    let mut declared = Vec::new();
    for subscription in &deployment.subscriptions {
        let (topic, queue) = (&subscription.topic_arn, &subscription.queue_arn);
        broker.ensure_subscription(topic, queue, &subscription.attributes)?;
        declared.push((topic.clone(), queue.clone()));
    }
    broker.retain_subscriptions(&declared)?;
    broker.set_iam(Arc::clone(iam));
    let released = broker.release_in_flight()?;
    if released > 0 {
        tracing::info!(released, "messages that were in flight are visible again");
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
    config.grace = STOP_GRACE;
    config.environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL".to_owned(), aws_endpoint.to_owned()),
        ("AWS_DEFAULT_REGION".to_owned(), REGION.to_owned()),
        // Functions must not look for credentials in the metadata service of the machine.
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

/// Deletes stream records that all mappings have read, until it is aborted.
async fn trim(dynamodb: Arc<DynamoDb>, mappings: Arc<Mappings>, deployment: Deployment) {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    loop {
        ticks.tick().await;
        let behind: Vec<String> =
            mappings.streams().into_iter().filter(|s| !s.caught_up).map(|s| s.table).collect();
        for table in deployment.tables.iter().filter(|table| !behind.contains(&table.name)) {
            if let Err(error) = dynamodb.trim_stream(&table.name).await {
                tracing::warn!(%error, table = table.name, "stream records were not deleted");
            }
        }
    }
}
