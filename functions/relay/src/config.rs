//! Settings and wiring. `AUTH_TOPIC_ARN` and its likes are the topics; `SWEEP_TABLES` names the tables that the sweep
//! goes through, with commas between.

use std::collections::HashMap;
use std::sync::Arc;

use erp_aws::{ConfigError, clients, config};
use erp_domain::ports::SystemClock;

use crate::Relay;
use crate::outbox::DynamoOutbox;
use crate::publish::SnsPublisher;
use crate::sweep::{DynamoUnpublished, Sweep};

/// The services that publish, with the variable that names the topic of each.
pub const TOPICS: [(&str, &str); 5] = [
    ("auth", "AUTH_TOPIC_ARN"),
    ("contact", "CONTACT_TOPIC_ARN"),
    ("inventory", "INVENTORY_TOPIC_ARN"),
    ("sales", "SALES_TOPIC_ARN"),
    ("purchase", "PURCHASE_TOPIC_ARN"),
];

/// The relay, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn relay() -> Result<Relay, ConfigError> {
    let topic = |(service, variable)| Ok((service, config::required(variable)?));
    let topics: HashMap<_, _> = TOPICS.into_iter().map(topic).collect::<Result<_, ConfigError>>()?;
    let sdk = clients::sdk_config().await;
    let publisher = Arc::new(SnsPublisher { client: aws_sdk_sns::Client::new(&sdk), topics });
    let outbox = Arc::new(DynamoOutbox { client: aws_sdk_dynamodb::Client::new(&sdk) });
    Ok(Relay { publisher, outbox })
}

/// The sweep, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn sweep() -> Result<Sweep, ConfigError> {
    let tables = config::required("SWEEP_TABLES")?.split(',').map(str::to_owned).collect();
    let client = aws_sdk_dynamodb::Client::new(&clients::sdk_config().await);
    let unpublished = Arc::new(DynamoUnpublished { client, tables });
    Ok(Sweep { relay: relay().await?, unpublished, clock: Arc::new(SystemClock) })
}
