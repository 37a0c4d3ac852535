//! Execution environments of the functions: each built as its `config` module builds it, over the
//! simulation's network, clock and ids.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use auth::config::Config;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use contact::store::ContactStore;
use erp_auth::Tokens;
use erp_aws::batch::WorkQueue;
use erp_aws::{Table, clients};
use erp_domain::{Clock, Ids, Settings};
use erp_local::deployment::{self, Deployment};
use erp_local::secrets::Secrets;
use erp_local::template::{self, Inputs};
use erp_orders::LambdaUpstreams;
use fastrand::Rng;
use inventory::service::Allocations;
use inventory::store::InventoryStore;
use purchase::service::PurchaseOrders;
use purchase::store::PurchaseStore;
use relay::sweep::{Sweep, SweepReport};
use relay::topics::Topics;
use sales::service::SalesOrders;
use sales::store::SalesStore;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::connector::Connector;
use crate::invocation::Function;
use crate::time::{SeededIds, SeededRandomness, VirtualClock};

/// Calls to DynamoDB that one event may make to fulfil back-orders. So few that three back-orders take two messages.
const FEW_CALLS: usize = 5;

/// The secret of the service `reports`, the only one that gets tokens.
pub const SERVICE_SECRET: &str = "0123456789abcdef";

/// Returns the deployment that `template.yaml` describes, with its defaults.
pub fn deployment() -> &'static Deployment {
    static DEPLOYMENT: OnceLock<Deployment> = OnceLock::new();
    DEPLOYMENT.get_or_init(|| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        let inputs = Inputs {
            stack_name: "erp",
            parameters: &BTreeMap::new(),
            aws_endpoint: "http://127.0.0.1:4566",
            secrets: &Secrets::in_memory(),
        };
        template::load(&path, inputs).unwrap_or_else(|error| panic!("{error}"))
    })
}

/// An initialised environment of a function.
#[derive(Clone)]
pub(crate) enum Handler {
    Api(Router),
    ContactQuery(ContactStore),
    InventoryQuery(InventoryStore),
    InventoryWorker(Allocations, WorkQueue),
    SalesWorker(SalesStore, WorkQueue),
    Relay(relay::Relay),
    Sweep(Sweep),
}

/// Creates environments and reuses idle ones.
pub struct Environments {
    clock: VirtualClock,
    connector: Connector,
    /// `open` or `closed`.
    registration: &'static str,
    random: Mutex<Rng>,
    idle: Mutex<BTreeMap<Function, Vec<Handler>>>,
}

impl Environments {
    pub(crate) fn new(
        clock: VirtualClock,
        connector: Connector,
        registration: &'static str,
        random: Rng,
    ) -> Self {
        Self { clock, connector, registration, random: Mutex::new(random), idle: Mutex::default() }
    }

    fn function(function: Function) -> &'static deployment::Function {
        let mut functions = deployment().functions.iter();
        functions.find(|found| found.binary == function.binary()).unwrap()
    }

    /// Returns the physical name of a function.
    pub fn name(&self, function: Function) -> &'static str {
        &Self::function(function).name
    }

    /// Returns the time-out of a function.
    pub fn time_out(&self, function: Function) -> Duration {
        Self::function(function).timeout
    }

    /// Returns the signer and verifier of access tokens.
    pub fn tokens(&self) -> Tokens {
        self.auth_config().tokens
    }

    /// Returns an idle environment, or a new one.
    pub(crate) fn take(&self, function: Function) -> Handler {
        let idle = self.idle.lock().unwrap().get_mut(&function).and_then(Vec::pop);
        idle.unwrap_or_else(|| self.build(function))
    }

    /// Makes an environment idle.
    pub(crate) fn put_back(&self, function: Function, handler: Handler) {
        self.idle.lock().unwrap().entry(function).or_default().push(handler);
    }

    fn auth_config(&self) -> Config {
        let variables = &Self::function(Function::AuthApi).environment;
        let settings = Settings::new(|name| match name {
            "JWT_KEYS" => Some(json!({"kid": "k1", "key": "k".repeat(40)}).to_string()),
            "REGISTRATION" => Some(self.registration.to_owned()),
            "RESET_TOKENS" => Some("expose".to_owned()),
            "SERVICE_CREDENTIALS" => Some(json!({"reports": SERVICE_SECRET}).to_string()),
            other => variables.get(other).cloned(),
        });
        Config::read(&settings).unwrap()
    }

    /// Returns the configuration of `erp_aws::clients::sdk_config` over the simulated network.
    fn sdk(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
            .retry_config(clients::retry_config())
            .timeout_config(clients::timeout_config())
            .http_client(self.connector.clone())
            .build()
    }

    fn build(&self, function: Function) -> Handler {
        let variables = &Self::function(function).environment;
        let settings = Settings::new(|name| variables.get(name).cloned());
        let seed = self.random.lock().unwrap().u64(..);
        let sdk = self.sdk();
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let ids: Arc<dyn Ids> = SeededIds::new(self.clock, Rng::with_seed(seed));
        // Each environment is a process and has its own retry quota.
        let partition = RetryPartition::new(format!("{function}-{seed}"));
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk).retry_partition(partition.clone());
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.build());
        let sqs = aws_sdk_sqs::config::Builder::from(&sdk).retry_partition(partition.clone());
        let sqs = aws_sdk_sqs::Client::from_conf(sqs.build());
        let queue = || {
            let [url, dead] =
                ["QUEUE_URL", "DEAD_LETTER_QUEUE_URL"].map(|name| settings.required(name).unwrap());
            WorkQueue::new(sqs.clone(), url, dead)
        };
        let sns = aws_sdk_sns::config::Builder::from(&sdk).retry_partition(partition);
        let sns = aws_sdk_sns::Client::from_conf(sns.build());
        let table = || Table::new(dynamodb.clone(), settings.required("TABLE_NAME").unwrap());
        let upstreams = || Arc::new(LambdaUpstreams::from_settings(&settings, &sdk).unwrap());
        let currency = || settings.parse("CURRENCY").unwrap();
        let relay = || {
            let arn =
                |(context, name): (&'static str, &'static str)| (context, settings.required(name).unwrap());
            let arns = relay::config::TOPICS.into_iter().map(arn).collect();
            relay::Relay { topics: Topics { client: sns.clone(), arns }, dynamodb: dynamodb.clone() }
        };
        match function {
            Function::AuthApi => {
                let randomness = SeededRandomness::new(Rng::with_seed(seed));
                let (config, store) = (self.auth_config(), auth::store::AuthStore::new(table()));
                Handler::Api(auth::config::build(config, store, clock, ids, randomness).into_router())
            }
            Function::ContactApi => {
                Handler::Api(contact::config::build(ContactStore::new(table()), clock, ids).into_router())
            }
            Function::ContactQuery => Handler::ContactQuery(ContactStore::new(table())),
            Function::InventoryApi => {
                Handler::Api(inventory::config::build(InventoryStore::new(table()), clock, ids).into_router())
            }
            Function::InventoryQuery => Handler::InventoryQuery(InventoryStore::new(table())),
            Function::InventoryWorker => {
                let store = InventoryStore::new(table());
                let allocations = Allocations { store, clock, ids, backorder_calls: FEW_CALLS };
                Handler::InventoryWorker(allocations, queue())
            }
            Function::SalesApi => {
                let (store, upstreams) = (SalesStore::new(table()), upstreams());
                let orders = SalesOrders { store, upstreams, clock, ids, currency: currency() };
                Handler::Api(sales::config::build(orders).into_router())
            }
            Function::SalesWorker => Handler::SalesWorker(SalesStore::new(table()), queue()),
            Function::PurchaseApi => {
                let (store, upstreams) = (PurchaseStore::new(table()), upstreams());
                let orders = PurchaseOrders { store, upstreams, clock, ids, currency: currency() };
                Handler::Api(purchase::config::build(orders).into_router())
            }
            Function::Relay => Handler::Relay(relay()),
            Function::RelaySweep => {
                let tables = settings.list("SWEEP_TABLES").unwrap().into_iter();
                let tables = tables.map(|name| Table::new(dynamodb.clone(), name)).collect();
                Handler::Sweep(Sweep { relay: relay(), tables, clock })
            }
        }
    }
}

impl Handler {
    /// Executes a query of another context.
    pub(crate) async fn query(self, query: Value) -> Result<Value, String> {
        fn message(error: impl ToString) -> String {
            error.to_string()
        }
        match self {
            Self::ContactQuery(store) => {
                let query = serde_json::from_value(query).map_err(message)?;
                let response = contact::query::respond(&store, query).await.map_err(message)?;
                serde_json::to_value(response).map_err(message)
            }
            Self::InventoryQuery(store) => {
                let query = serde_json::from_value(query).map_err(message)?;
                let response = inventory::query::query_items(&store, query).await.map_err(message)?;
                serde_json::to_value(response).map_err(message)
            }
            _ => Err("the function has no queries".to_owned()),
        }
    }

    /// Processes a batch of messages.
    pub(crate) async fn work(self, batch: SqsEvent, deadline: Instant) -> SqsBatchResponse {
        match self {
            Self::InventoryWorker(allocations, queue) => {
                inventory::worker::work(&allocations, &queue, batch, deadline).await
            }
            Self::SalesWorker(store, queue) => {
                sales::worker::handle_batch(&store, &queue, batch, deadline).await
            }
            _ => panic!("the function has no queue"),
        }
    }

    /// Processes a batch of stream records.
    pub(crate) async fn relay(self, batch: StreamEvent, deadline: Instant) -> DynamoDbEventResponse {
        match self {
            Self::Relay(relay) => relay.relay(batch, deadline).await,
            _ => panic!("the function has no stream"),
        }
    }

    /// Runs the sweep.
    pub(crate) async fn sweep(self, deadline: Instant) -> Result<SweepReport, String> {
        match self {
            Self::Sweep(sweep) => sweep.run(deadline).await.map_err(|error| error.to_string()),
            _ => panic!("the function is not the sweep"),
        }
    }

    /// Returns the routes.
    pub(crate) fn router(self) -> Router {
        match self {
            Self::Api(router) => router,
            _ => panic!("the function has no routes"),
        }
    }
}
