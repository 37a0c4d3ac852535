//! What the state of the parts says about the whole.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use erp_domain::{Clock, Timestamp};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

/// How long a part may take to say how it is. One that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an answer is given again: everybody may ask, and asking must not become work for the parts.
const KEPT_SECONDS: i64 = 5;

/// Asks parts how they are.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Whether the table serves reads and writes.
    ///
    /// # Errors
    /// With the reason why nobody knows, for the log.
    async fn table(&self, name: &str) -> Result<bool, String>;

    /// How many messages of a queue wait or are being handled, about.
    ///
    /// # Errors
    /// With the reason why nobody knows, for the log.
    async fn waiting(&self, queue_url: &str) -> Result<u64, String>;
}

/// The parts to ask.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Names of tables.
    pub tables: Vec<String>,
    /// URLs of queues.
    pub queues: Vec<String>,
    /// URLs of queues that hold what nobody could handle.
    pub dead_letter_queues: Vec<String>,
}

/// How the whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Well.
    Ok,
    /// It serves, and somebody should look: a message could not be handled, or a queue does not answer.
    Degraded,
    /// A table does not serve, so that some routes cannot.
    Unavailable,
}

impl Status {
    /// As HTTP says it. What is degraded still serves: a load balancer that left it would make things worse.
    pub const fn http(self) -> u16 {
        match self {
            Self::Ok | Self::Degraded => 200,
            Self::Unavailable => 503,
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

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Part {
    status: Status,
    /// Messages that wait or are being handled, about; only of queues that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u64>,
}

/// The parts by their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dependencies {
    tables: BTreeMap<String, Part>,
    queues: BTreeMap<String, Part>,
    dead_letter_queues: BTreeMap<String, Part>,
}

/// How the whole is, and its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// The whole.
    pub status: Status,
    #[schema(example = "Gateway is healthy")]
    message: &'static str,
    dependencies: Dependencies,
}

impl Report {
    fn new(dependencies: Dependencies) -> Self {
        let Dependencies { tables, queues, dead_letter_queues } = &dependencies;
        let all_well = |parts: &BTreeMap<String, Part>| parts.values().all(|part| part.status == Status::Ok);
        let status = if !all_well(tables) {
            Status::Unavailable
        } else if !all_well(queues) || !all_well(dead_letter_queues) {
            Status::Degraded
        } else {
            Status::Ok
        };
        Self { status, message: status.message(), dependencies }
    }
}

/// Asks all parts side by side, and remembers the answer for a moment.
pub struct Health {
    parts: Parts,
    probe: Arc<dyn Probe>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<(Timestamp, Report)>>,
}

impl Health {
    /// Watches these parts.
    pub fn new(parts: Parts, probe: Arc<dyn Probe>, clock: Arc<dyn Clock>) -> Self {
        Self { parts, probe, clock, kept: Mutex::default() }
    }

    /// How everything is, or was a moment ago.
    pub async fn report(&self) -> Report {
        // Held while asking, so that whoever comes meanwhile waits for that answer instead of asking too.
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        match &*kept {
            Some((at, report)) if now < at.plus_seconds(KEPT_SECONDS) => report.clone(),
            _ => {
                let report = self.ask().await;
                *kept = Some((now, report.clone()));
                report
            }
        }
    }

    async fn ask(&self) -> Report {
        let Parts { tables, queues, dead_letter_queues } = &self.parts;
        let (tables, queues, dead_letter_queues) = futures_util::join!(
            join_all(tables.iter().map(|name| self.table(name))),
            join_all(queues.iter().map(|url| self.queue(url, |_| true))),
            join_all(dead_letter_queues.iter().map(|url| self.queue(url, |waiting| waiting == 0))),
        );
        Report::new(Dependencies {
            tables: tables.into_iter().collect(),
            queues: queues.into_iter().collect(),
            dead_letter_queues: dead_letter_queues.into_iter().collect(),
        })
    }

    async fn table(&self, name: &str) -> (String, Part) {
        let serves = patiently(name, self.probe.table(name)).await.unwrap_or(false);
        let status = if serves { Status::Ok } else { Status::Unavailable };
        (name.to_owned(), Part { status, waiting: None })
    }

    async fn queue(&self, url: &str, well: impl Fn(u64) -> bool) -> (String, Part) {
        // The last part of a queue's URL is its name; the rest tells the account, which is nobody's business.
        let name = url.rsplit('/').next().unwrap_or(url);
        let waiting = patiently(name, self.probe.waiting(url)).await;
        let status = if waiting.is_some_and(well) { Status::Ok } else { Status::Degraded };
        (name.to_owned(), Part { status, waiting })
    }
}

async fn patiently<T>(name: &str, answer: impl Future<Output = Result<T, String>>) -> Option<T> {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    match answer.unwrap_or_else(|_| Err(format!("nothing within {PATIENCE:?}"))) {
        Ok(found) => Some(found),
        Err(reason) => {
            tracing::warn!(name, reason, "a part does not say how it is");
            None
        }
    }
}
