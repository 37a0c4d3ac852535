//! Settings.
//!
//! ```text
//! AUTH_TOPIC_ARN and the like   ARNs of the topics, see [`TOPICS`]
//! SWEEP_TABLES                  comma-separated names of the tables to sweep
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use erp_aws::Table;
use erp_aws::clients::{self, preconnect};
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

/// Creates the relay from the environment, and opens a connection to each service by a request without effect: SNS
/// rejects an empty batch, and the relay has no permission to list the endpoints of DynamoDB.
pub async fn relay() -> Result<Relay, SettingError> {
    let settings = Settings::from_env();
    let arn = |(context, variable)| Ok((context, settings.required(variable)?));
    let arns: HashMap<_, _> = TOPICS.into_iter().map(arn).collect::<Result<_, SettingError>>()?;
    let sdk = clients::sdk_config().await;
    let sns = aws_sdk_sns::Client::new(&sdk);
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk);
    let topic = settings.required(TOPICS[0].1)?;
    tokio::join!(
        preconnect(
            "SNS",
            sns.publish_batch().topic_arn(topic).set_publish_batch_request_entries(Some(Vec::new())).send()
        ),
        preconnect("DynamoDB", dynamodb.describe_endpoints().send()),
    );
    Ok(Relay { topics: Topics { client: sns, arns }, dynamodb })
}

/// Creates the sweep from the environment.
pub async fn sweep() -> Result<Sweep, SettingError> {
    let relay = relay().await?;
    let names = Settings::from_env().list("SWEEP_TABLES")?;
    let tables = names.into_iter().map(|name| Table::new(relay.dynamodb.clone(), name)).collect();
    Ok(Sweep { relay, tables, clock: Arc::new(SystemClock) })
}
