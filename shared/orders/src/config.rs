//! Settings and wiring. `TABLE_NAME` is the table of the orders, `CONTACT_QUERY_FUNCTION` and
//! `INVENTORY_QUERY_FUNCTION` are whom they ask, `CURRENCY` is what new ones are in.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::timeout::TimeoutConfig;
use erp_aws::answers::Answers;
use erp_aws::ask::Asker;
use erp_aws::{ConfigError, Table, clients, config};
use erp_contracts::AnswerStore;
use erp_domain::Invalid;
use erp_domain::order::OrderKind;
use erp_domain::ports::{RandomIds, SystemClock};
use erp_http::{App, idempotency};
use utoipa_axum::router::OpenApiRouter;

use crate::Orders;
use crate::ask::{ContactFunction, InventoryFunction};
use crate::store::DynamoStore;

/// The use cases with what they work on.
pub struct Service {
    /// The use cases.
    pub orders: Orders,
    /// The answers that are kept beside the orders.
    pub answers: Arc<dyn AnswerStore>,
}

/// Orders of this kind over AWS, with the connection to the table made.
///
/// # Errors
/// When a setting is missing or makes no sense.
pub async fn service(kind: OrderKind) -> Result<Service, ConfigError> {
    let contact = config::required("CONTACT_QUERY_FUNCTION")?;
    let inventory = config::required("INVENTORY_QUERY_FUNCTION")?;
    let currency = config::parsed::<Currency>("CURRENCY")?;
    let sdk = clients::sdk_config().await;
    let table = table(&sdk).await?;
    // `Asker` has a time-out and tries again by itself; below it one attempt is one attempt, or a slow answer would
    // be asked for over and over.
    let lambda = aws_sdk_lambda::config::Builder::from(&sdk)
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .build();
    let lambda = aws_sdk_lambda::Client::from_conf(lambda);
    let clock = Arc::new(SystemClock);
    let orders = Orders {
        kind,
        store: Arc::new(DynamoStore::new(table.clone(), kind)),
        parties: Arc::new(ContactFunction(Asker::new(lambda.clone(), contact))),
        items: Arc::new(InventoryFunction(Asker::new(lambda, inventory))),
        clock: clock.clone(),
        ids: Arc::new(RandomIds),
        currency: currency.0,
    };
    Ok(Service { orders, answers: Arc::new(Answers { table, clock }) })
}

/// Only the table, for a function that asks nobody, with the connection made.
///
/// # Errors
/// When the setting is missing.
pub async fn store(kind: OrderKind) -> Result<DynamoStore, ConfigError> {
    Ok(DynamoStore::new(table(&clients::sdk_config().await).await?, kind))
}

async fn table(sdk: &SdkConfig) -> Result<Table, ConfigError> {
    let name = config::required("TABLE_NAME")?;
    let table = Table::new(aws_sdk_dynamodb::Client::new(sdk), name);
    clients::warm(&table).await;
    Ok(table)
}

impl Service {
    /// The service behind its routes.
    pub fn app(self, router: fn(Orders) -> OpenApiRouter) -> App {
        let clock = Arc::clone(&self.orders.clock);
        let (routes, _) = router(self.orders).split_for_parts();
        let layer =
            idempotency::Layer { answers: self.answers, clock: Arc::clone(&clock), pepper: Arc::new([]) };
        App::new(routes, clock).idempotent(layer)
    }
}

/// An ISO 4217 code. Which of them have two decimals whoever deploys must know.
struct Currency(String);

impl std::str::FromStr for Currency {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("must be three capital letters, such as USD"))
        }
    }
}
