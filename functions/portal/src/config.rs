//! Settings and wiring.
//!
//! ```text
//! HEALTH_TABLES              names of tables, with commas between
//! HEALTH_QUEUES              URLs of queues
//! HEALTH_DEAD_LETTER_QUEUES  URLs of queues that should be empty
//! ```

use std::sync::Arc;

use erp_aws::{ConfigError, clients};
use erp_domain::Clock;
use erp_domain::ports::SystemClock;
use erp_http::App;

use crate::api;
use crate::health::{Health, Parts, Probe};
use crate::probe::AwsProbe;

/// Reads the parts to watch. `variable` looks a setting up.
///
/// # Errors
/// When one is missing or names nothing.
pub fn parts(variable: impl Fn(&str) -> Option<String>) -> Result<Parts, ConfigError> {
    let list = |name: &'static str| {
        let text = variable(name).unwrap_or_default();
        let names = text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
        let names: Vec<String> = names.collect();
        if names.is_empty() { Err(ConfigError::Missing(name)) } else { Ok(names) }
    };
    Ok(Parts {
        tables: list("HEALTH_TABLES")?,
        queues: list("HEALTH_QUEUES")?,
        dead_letter_queues: list("HEALTH_DEAD_LETTER_QUEUES")?,
    })
}

/// The service, ready to run.
///
/// # Errors
/// When a setting is missing.
pub async fn app() -> Result<App, ConfigError> {
    let parts = parts(|name| std::env::var(name).ok())?;
    let config = clients::sdk_config().await;
    let probe = AwsProbe {
        tables: aws_sdk_dynamodb::Client::new(&config),
        queues: aws_sdk_sqs::Client::new(&config),
    };
    Ok(assemble(parts, Arc::new(probe), Arc::new(SystemClock)))
}

/// The service over its parts.
pub fn assemble(parts: Parts, probe: Arc<dyn Probe>, clock: Arc<dyn Clock>) -> App {
    App::new(api::router(Health::new(parts, probe, clock.clone())), clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_an_empty_one_is_named() {
        let read = parts(|name| Some(format!("{name}-1, {name}-2,"))).unwrap();
        assert_eq!(read.queues, ["HEALTH_QUEUES-1", "HEALTH_QUEUES-2"]);
        for name in ["HEALTH_TABLES", "HEALTH_QUEUES", "HEALTH_DEAD_LETTER_QUEUES"] {
            let error = parts(|other| Some(if other == name { " ," } else { "x" }.to_owned())).err();
            assert_eq!(error, Some(ConfigError::Missing(name)));
        }
    }
}
