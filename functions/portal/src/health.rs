//! The health report, made from the states of tables and queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use erp_domain::{Clock, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::probe::Probe;

/// Time-out of one probe, and of the verification of a token.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Seconds that a report is cached: `/health` is public, and requests must not cause load.
const CACHE_SECONDS: i64 = 5;

/// The tables and queues to monitor.
#[derive(Debug, Clone, Default)]
pub struct Monitored {
    /// Names of tables.
    pub tables: Vec<String>,
    /// URLs of queues.
    pub queues: Vec<String>,
    /// URLs of dead-letter queues.
    pub dead_letter_queues: Vec<String>,
}

/// A health status, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Healthy.
    Ok,
    /// The platform serves all routes, and an operator should look: there are dead letters, or a queue cannot
    /// be read.
    Degraded,
    /// A table does not serve, so some routes fail.
    Unavailable,
}

impl HealthStatus {
    /// Returns the HTTP status code. A degraded platform serves: a load balancer must not take it out of
    /// rotation.
    pub const fn http(self) -> StatusCode {
        match self {
            Self::Ok | Self::Degraded => StatusCode::OK,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Ok => "Gateway is healthy",
            Self::Degraded => "Gateway is degraded",
            Self::Unavailable => "Gateway is not healthy",
        }
    }
}

/// The health of a table or queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DependencyHealth {
    status: HealthStatus,
    /// The approximate number of messages, visible or in flight; absent for tables and for queues that cannot
    /// be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
}

/// The health of all dependencies, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dependencies {
    tables: BTreeMap<String, DependencyHealth>,
    queues: BTreeMap<String, DependencyHealth>,
    dead_letter_queues: BTreeMap<String, DependencyHealth>,
}

/// The health of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HealthReport {
    /// The worst status of the dependencies.
    pub status: HealthStatus,
    #[schema(example = "Gateway is healthy")]
    message: &'static str,
    /// Only with the token of a user: names and depths are not for the public.
    #[serde(skip_serializing_if = "Option::is_none")]
    dependencies: Option<Dependencies>,
}

impl HealthReport {
    /// Returns the report for the public.
    #[must_use]
    pub fn without_dependencies(self) -> Self {
        Self { dependencies: None, ..self }
    }
}

/// Probes all dependencies concurrently and caches the report.
pub struct Health {
    monitored: Monitored,
    probe: Probe,
    clock: Arc<dyn Clock>,
    cache: Mutex<Option<(Timestamp, HealthReport)>>,
}

impl Health {
    /// Creates the health check of these dependencies.
    pub fn new(monitored: Monitored, probe: Probe, clock: Arc<dyn Clock>) -> Self {
        Self { monitored, probe, clock, cache: Mutex::default() }
    }

    /// Returns the report, at most 5 s old.
    pub async fn report(&self) -> HealthReport {
        // Locked while probing, so that concurrent requests share one report.
        let mut cache = self.cache.lock().await;
        let now = self.clock.now();
        if let Some((at, report)) = &*cache
            && now < at.plus_seconds(CACHE_SECONDS)
        {
            return report.clone();
        }
        let report = self.probe_all().await;
        *cache = Some((now, report.clone()));
        report
    }

    async fn probe_all(&self) -> HealthReport {
        let Monitored { tables, queues, dead_letter_queues } = &self.monitored;
        let tables: FuturesUnordered<_> = tables.iter().map(|name| self.table(name)).collect();
        let queues: FuturesUnordered<_> = queues.iter().map(|url| self.queue(url, |_| true)).collect();
        let dead_letter_queues: FuturesUnordered<_> =
            dead_letter_queues.iter().map(|url| self.queue(url, |messages| messages == 0)).collect();
        let (tables, queues, dead_letter_queues): (BTreeMap<_, _>, BTreeMap<_, _>, BTreeMap<_, _>) =
            futures_util::join!(tables.collect(), queues.collect(), dead_letter_queues.collect());
        let all = tables.values().chain(queues.values()).chain(dead_letter_queues.values());
        let status = all.map(|dependency| dependency.status).max().unwrap_or(HealthStatus::Ok);
        let dependencies = Dependencies { tables, queues, dead_letter_queues };
        HealthReport { status, message: status.message(), dependencies: Some(dependencies) }
    }

    async fn table(&self, name: &str) -> (String, DependencyHealth) {
        let active = with_timeout(name, self.probe.table_is_active(name)).await.unwrap_or(false);
        let status = if active { HealthStatus::Ok } else { HealthStatus::Unavailable };
        (name.to_owned(), DependencyHealth { status, waiting: None })
    }

    async fn queue(&self, url: &str, healthy: impl Fn(u64) -> bool) -> (String, DependencyHealth) {
        // The last segment of the URL is the name; the rest contains the account, which is not public.
        let name = url.rsplit('/').next().unwrap_or(url);
        let waiting = with_timeout(name, self.probe.message_count(url)).await;
        let status = if waiting.is_some_and(healthy) { HealthStatus::Ok } else { HealthStatus::Degraded };
        (name.to_owned(), DependencyHealth { status, waiting })
    }
}

/// Waits for a probe; `None` if it fails or takes longer than [`PROBE_TIMEOUT`].
pub(crate) async fn with_timeout<T>(name: &str, probe: impl Future<Output = Result<T, String>>) -> Option<T> {
    let result = tokio::time::timeout(PROBE_TIMEOUT, probe).await;
    match result.unwrap_or_else(|_| Err(format!("no response within {PROBE_TIMEOUT:?}"))) {
        Ok(state) => Some(state),
        Err(error) => {
            tracing::warn!(name, error, "health probe failed");
            None
        }
    }
}
