//! Settings.
//!
//! ```text
//! AUTH_TOPIC_ARN and the like   ARNs of the topics, see [`TOPICS`]
//! SWEEP_TABLES                  comma-separated names of the tables to sweep
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use erp_aws::{Table, clients};
use erp_domain::time::SystemClock;
use erp_domain::{SettingError, Settings};

use crate::Relay;
use crate::sweep::Sweep;
use crate::topics::Topics;

/// The contexts that publish events, with the variable that contains the ARN of their topic.
pub const TOPICS: [(&str, &str); 5] = [
    ("auth", "AUTH_TOPIC_ARN"),
    ("contact", "CONTACT_TOPIC_ARN"),
    ("inventory", "INVENTORY_TOPIC_ARN"),
    ("sales", "SALES_TOPIC_ARN"),
    ("purchase", "PURCHASE_TOPIC_ARN"),
];

/// Creates the relay from the environment.
pub async fn relay() -> Result<Relay, SettingError> {
    let settings = Settings::from_env();
    let arn = |(context, variable)| Ok((context, settings.required(variable)?));
    let arns: HashMap<_, _> = TOPICS.into_iter().map(arn).collect::<Result<_, SettingError>>()?;
    let sdk = clients::sdk_config().await;
    let topics = Topics { client: aws_sdk_sns::Client::new(&sdk), arns };
    Ok(Relay { topics, dynamodb: aws_sdk_dynamodb::Client::new(&sdk) })
}

/// Creates the sweep from the environment.
pub async fn sweep() -> Result<Sweep, SettingError> {
    let relay = relay().await?;
    let names = Settings::from_env().list("SWEEP_TABLES")?;
    let tables = names.into_iter().map(|name| Table::new(relay.dynamodb.clone(), name)).collect();
    Ok(Sweep { relay, tables, clock: Arc::new(SystemClock) })
}
