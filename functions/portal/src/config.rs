//! Settings and construction. `HEALTH_TABLES` are names of tables, `HEALTH_QUEUES` and `HEALTH_DEAD_LETTER_QUEUES` are
//! URLs of queues, separated by commas. `AUTHORIZER_FUNCTION` is the function that verifies tokens.

use std::sync::Arc;

use erp_aws::clients;
use erp_domain::time::SystemClock;
use erp_domain::{Clock, SettingError, Settings};
use erp_http::App;

use crate::api;
use crate::authorizer::Authorizer;
use crate::health::{Health, Monitored};
use crate::probe::Probe;

/// Reads the tables and queues to monitor.
pub fn monitored(settings: &Settings<'_>) -> Result<Monitored, SettingError> {
    Ok(Monitored {
        tables: settings.list("HEALTH_TABLES")?,
        queues: settings.list("HEALTH_QUEUES")?,
        dead_letter_queues: settings.list("HEALTH_DEAD_LETTER_QUEUES")?,
    })
}

/// Creates the service from the environment.
pub async fn app() -> Result<App, SettingError> {
    let settings = Settings::from_env();
    let monitored = monitored(&settings)?;
    let function = settings.required("AUTHORIZER_FUNCTION")?;
    let sdk = clients::sdk_config().await;
    let authorizer = Authorizer::new(&sdk, function);
    Ok(build(monitored, Probe::new(&sdk), authorizer, Arc::new(SystemClock)).await)
}

/// Creates the service. A first report opens all connections while the environment initialises, which runs at full speed
/// and before the first request.
pub async fn build(monitored: Monitored, probe: Probe, authorizer: Authorizer, clock: Arc<dyn Clock>) -> App {
    let health = Health::new(monitored, probe, clock.clone());
    tokio::join!(health.report(), authorizer.preconnect());
    App::new(api::router(health, authorizer), clock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_an_empty_one_is_named() {
        let read = monitored(&Settings::new(|name| Some(format!("{name}-1, {name}-2,")))).unwrap();
        assert_eq!(read.queues, ["HEALTH_QUEUES-1", "HEALTH_QUEUES-2"]);
        for name in ["HEALTH_TABLES", "HEALTH_QUEUES", "HEALTH_DEAD_LETTER_QUEUES"] {
            let value = |other: &str| Some(if other == name { " ," } else { "x" }.to_owned());
            assert_eq!(monitored(&Settings::new(value)).err(), Some(SettingError::Missing(name)));
        }
    }
}
