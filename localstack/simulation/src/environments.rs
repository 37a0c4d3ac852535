//! Execution environments of the functions: each built as its `main` builds it, over the simulation's network, clock and
//! ids.

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
use erp_aws::{Table, clients};
use erp_domain::{Clock, Ids, Settings};
use erp_local::deployment::{self, Deployment};
use erp_local::secrets::Secrets;
use erp_local::template::{self, Inputs};
use erp_orders::LambdaUpstreams;
use fastrand::Rng;
use inventory::allocations::Allocations;
use inventory::store::InventoryStore;
use relay::sweep::{Sweep, SweepReport};
use relay::topics::Topics;
use sales::store::SalesStore;
use serde_json::{Value, json};

use crate::connector::Connector;
use crate::invocation::Function;
use crate::time::{SeededIds, SeededRandomness, VirtualClock};

/// The secret of the one service that gets tokens, by the name `reports`.
pub const SERVICE_SECRET: &str = "0123456789abcdef";

/// The deployment that `template.yaml` describes, with its defaults.
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

/// An environment of a function: what its `main` has assembled.
#[derive(Clone)]
pub(crate) enum Handler {
    Api(Router),
    ContactQuery(ContactStore),
    InventoryQuery(InventoryStore),
    InventoryWorker(Allocations),
    SalesWorker(SalesStore),
    Relay(relay::Relay),
    Sweep(Sweep),
}

/// Makes environments, and keeps those that have nothing to do.
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

    /// Its physical name.
    pub fn name(&self, function: Function) -> &'static str {
        &Self::function(function).name
    }

    /// How long a run of it may take.
    pub fn time_out(&self, function: Function) -> Duration {
        Self::function(function).timeout
    }

    /// Reads and makes the tokens of this simulation.
    pub fn tokens(&self) -> Tokens {
        self.auth_config().tokens
    }

    /// An environment that has nothing to do, or a new one.
    pub(crate) fn take(&self, function: Function) -> Handler {
        let idle = self.idle.lock().unwrap().get_mut(&function).and_then(Vec::pop);
        idle.unwrap_or_else(|| self.build(function))
    }

    /// It has nothing to do any more.
    pub(crate) fn give_back(&self, function: Function, handler: Handler) {
        self.idle.lock().unwrap().entry(function).or_default().push(handler);
    }

    fn auth_config(&self) -> Config {
        let variables = &Self::function(Function::AuthApi).environment;
        let config = Config::read(|name| match name {
            "JWT_KEYS" => Some(json!({"kid": "k1", "key": "k".repeat(40)}).to_string()),
            "REGISTRATION" => Some(self.registration.to_owned()),
            "RESET_TOKENS" => Some("expose".to_owned()),
            "SERVICE_CREDENTIALS" => Some(json!({"reports": SERVICE_SECRET}).to_string()),
            other => variables.get(other).cloned(),
        });
        config.unwrap()
    }

    /// As `erp_aws::clients::sdk_config`, with the network replaced. Each environment is a process with retry quota
    /// of its own.
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
        let partition = RetryPartition::new(format!("{function}-{seed}"));
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk).retry_partition(partition.clone());
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.build());
        let sns = aws_sdk_sns::config::Builder::from(&sdk).retry_partition(partition);
        let sns = aws_sdk_sns::Client::from_conf(sns.build());
        let table = || Table::new(dynamodb.clone(), settings.required("TABLE_NAME").unwrap());
        let upstreams = || {
            let contact = clients::function(&settings, &sdk, "CONTACT_QUERY_FUNCTION").unwrap();
            let inventory = clients::function(&settings, &sdk, "INVENTORY_QUERY_FUNCTION").unwrap();
            Arc::new(LambdaUpstreams { contact, inventory })
        };
        let currency = || settings.parse("CURRENCY").unwrap();
        let relay = || {
            let arn = |(context, name): (&'static str, &'static str)| (context, settings.required(name).unwrap());
            let arns = relay::config::TOPICS.into_iter().map(arn).collect();
            relay::Relay { topics: Topics { client: sns.clone(), arns }, dynamodb: dynamodb.clone() }
        };
        match function {
            Function::AuthApi => {
                let randomness = SeededRandomness::new(Rng::with_seed(seed));
                let dependencies = auth::config::Dependencies { clock, ids, randomness };
                let store = auth::store::AuthStore::new(table());
                Handler::Api(auth::config::build(self.auth_config(), store, dependencies).into_router())
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
                Handler::InventoryWorker(Allocations { store: InventoryStore::new(table()), clock, ids })
            }
            Function::SalesApi => {
                let upstreams = upstreams();
                let dependencies = sales::config::AppDependencies { upstreams, clock, ids, currency: currency() };
                Handler::Api(sales::config::build(table(), dependencies).into_router())
            }
            Function::SalesWorker => Handler::SalesWorker(SalesStore::new(table())),
            Function::PurchaseApi => {
                let upstreams = upstreams();
                let dependencies =
                    purchase::config::AppDependencies { upstreams, clock, ids, currency: currency() };
                Handler::Api(purchase::config::build(table(), dependencies).into_router())
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
    /// A question of another service.
    pub(crate) async fn ask(self, question: Value) -> Result<Value, String> {
        fn unreadable(error: serde_json::Error) -> String {
            error.to_string()
        }
        match self {
            Self::ContactQuery(store) => {
                let question = serde_json::from_value(question).map_err(unreadable)?;
                let answer = contact::query::respond(&store, question).await.map_err(|e| e.to_string())?;
                serde_json::to_value(answer).map_err(unreadable)
            }
            Self::InventoryQuery(store) => {
                let question = serde_json::from_value(question).map_err(unreadable)?;
                let answer = inventory::query::query(&store, question).await.map_err(|e| e.to_string())?;
                serde_json::to_value(answer).map_err(unreadable)
            }
            _ => Err("it answers no questions".to_owned()),
        }
    }

    /// A batch of messages.
    pub(crate) async fn work(self, batch: SqsEvent) -> SqsBatchResponse {
        match self {
            Self::InventoryWorker(allocations) => inventory::worker::work(&allocations, batch).await,
            Self::SalesWorker(store) => sales::worker::handle_batch(&store, batch).await,
            _ => panic!("it takes no messages"),
        }
    }

    /// A batch of a stream.
    pub(crate) async fn relay(self, batch: StreamEvent) -> DynamoDbEventResponse {
        match self {
            Self::Relay(relay) => relay.relay(batch).await,
            _ => panic!("it takes no records"),
        }
    }

    /// A run of the sweep.
    pub(crate) async fn sweep(self) -> Result<SweepReport, String> {
        match self {
            Self::Sweep(sweep) => sweep.run().await.map_err(|error| error.to_string()),
            _ => panic!("it does not sweep"),
        }
    }

    /// Its routes.
    pub(crate) fn router(self) -> Router {
        match self {
            Self::Api(router) => router,
            _ => panic!("it has no routes"),
        }
    }
}
