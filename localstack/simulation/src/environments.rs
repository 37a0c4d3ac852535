//! The functions as their `main`s build them, over our connector, our clock and our ids.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use auth::config::Config;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_lambda_events::event::dynamodb::Event as StreamEvent;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use erp_auth::Tokens;
use erp_aws::answers::Answers;
use erp_aws::ask::Asker;
use erp_aws::{Table, clients};
use crate::model::OrderKind;
use erp_domain::{Clock, Ids};
use erp_http::{App, idempotency};
use erp_local::deployment::{self, Deployment};
use erp_local::secrets::Secrets;
use erp_local::template::{self, Inputs};
use erp_orders::Orders;
use erp_orders::ask::{ContactFunction, InventoryFunction};
use fastrand::Rng;
use inventory::allocations::Allocations;
use relay::publish::SnsPublisher;
use relay::sweep::{Sweep, Swept};
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
    ContactQuery(contact::store::DynamoStore),
    InventoryQuery(inventory::store::DynamoStore),
    InventoryWorker(Allocations),
    SalesWorker(erp_orders::store::DynamoStore),
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
            .retry_config(clients::retries())
            .timeout_config(clients::time_outs())
            .http_client(self.connector.clone())
            .build()
    }

    fn build(&self, function: Function) -> Handler {
        let variables = &Self::function(function).environment;
        let variable = |name: &str| variables.get(name).cloned().unwrap_or_default();
        let seed = self.random.lock().unwrap().u64(..);
        let sdk = self.sdk();
        let clock: Arc<dyn Clock> = Arc::new(self.clock);
        let ids: Arc<dyn Ids> = SeededIds::new(self.clock, Rng::with_seed(seed));
        let partition = aws_sdk_dynamodb::config::retry::RetryPartition::new(format!("{function}-{seed}"));
        let dynamodb = aws_sdk_dynamodb::config::Builder::from(&sdk).retry_partition(partition.clone());
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.build());
        let sns = aws_sdk_sns::config::Builder::from(&sdk).retry_partition(partition).build();
        let table = Table::new(dynamodb.clone(), variable("TABLE_NAME"));
        let keep = |pepper: &[u8]| idempotency::Layer {
            answers: Arc::new(Answers { table: table.clone(), clock: clock.clone() }),
            clock: clock.clone(),
            pepper: Arc::from(pepper),
        };
        let orders = |kind| {
            let lambda = aws_sdk_lambda::config::Builder::from(&sdk)
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::disabled())
                .build();
            let lambda = aws_sdk_lambda::Client::from_conf(lambda);
            let contact = Asker::new(lambda.clone(), variable("CONTACT_QUERY_FUNCTION"));
            let inventory = Asker::new(lambda, variable("INVENTORY_QUERY_FUNCTION"));
            let orders = Orders {
                kind,
                store: Arc::new(erp_orders::store::DynamoStore::new(table.clone(), kind)),
                parties: Arc::new(ContactFunction(contact)),
                items: Arc::new(InventoryFunction(inventory)),
                clock: clock.clone(),
                ids: ids.clone(),
                currency: "USD".to_owned(),
            };
            let answers = Arc::new(Answers { table: table.clone(), clock: clock.clone() });
            erp_orders::config::Service { orders, answers }
        };
        let relay = || {
            let topic = |(service, name): (&'static str, &str)| (service, variable(name));
            let topics = relay::config::TOPICS.into_iter().map(topic).collect();
            let client = aws_sdk_sns::Client::from_conf(sns.clone());
            relay::Relay {
                publisher: Arc::new(SnsPublisher { client, topics }),
                outbox: Arc::new(relay::outbox::DynamoOutbox { client: dynamodb.clone() }),
            }
        };
        match function {
            Function::AuthApi => {
                let simulation = auth::config::Simulation {
                    clock: clock.clone(),
                    ids,
                    randomness: SeededRandomness::new(Rng::with_seed(seed)),
                };
                let store = auth::store::DynamoStore::new(table.clone());
                Handler::Api(auth::config::build(self.auth_config(), store, simulation).into_router())
            }
            Function::ContactApi => {
                let store = Arc::new(contact::store::DynamoStore::new(table.clone()));
                let contacts = contact::service::Contacts { store, clock: clock.clone(), ids };
                let (routes, _) = contact::api::router(contacts).split_for_parts();
                Handler::Api(App::new(routes, clock.clone()).idempotent(keep(&[])).into_router())
            }
            Function::ContactQuery => Handler::ContactQuery(contact::store::DynamoStore::new(table.clone())),
            Function::InventoryApi => {
                let store = Arc::new(inventory::store::DynamoStore::new(table.clone()));
                let items = inventory::items::Items { store, clock: clock.clone(), ids };
                let (routes, _) = inventory::api::router(items).split_for_parts();
                Handler::Api(App::new(routes, clock.clone()).idempotent(keep(&[])).into_router())
            }
            Function::InventoryQuery => {
                Handler::InventoryQuery(inventory::store::DynamoStore::new(table.clone()))
            }
            Function::InventoryWorker => {
                let store = Arc::new(inventory::store::DynamoStore::new(table.clone()));
                Handler::InventoryWorker(Allocations { store, clock: clock.clone(), ids })
            }
            Function::SalesApi => {
                Handler::Api(orders(OrderKind::Sales).app(sales::api::router).into_router())
            }
            Function::SalesWorker => {
                Handler::SalesWorker(erp_orders::store::DynamoStore::new(table.clone(), OrderKind::Sales))
            }
            Function::PurchaseApi => {
                Handler::Api(orders(OrderKind::Purchase).app(purchase::api::router).into_router())
            }
            Function::Relay => Handler::Relay(relay()),
            Function::RelaySweep => {
                let tables = variable("SWEEP_TABLES").split(',').map(str::to_owned).collect();
                let unpublished = relay::sweep::DynamoUnpublished { client: dynamodb.clone(), tables };
                let unpublished = Arc::new(unpublished);
                Handler::Sweep(Sweep { relay: relay(), unpublished, clock: clock.clone() })
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
                let answer = contact::query::answer(&store, question).await.map_err(|e| e.to_string())?;
                serde_json::to_value(answer).map_err(unreadable)
            }
            Self::InventoryQuery(store) => {
                let question = serde_json::from_value(question).map_err(unreadable)?;
                let answer = inventory::query::answer(&store, question).await.map_err(|e| e.to_string())?;
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
    pub(crate) async fn sweep(self) -> Result<Swept, String> {
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
