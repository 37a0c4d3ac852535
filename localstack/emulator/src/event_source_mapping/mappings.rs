//! Starts and stops all mappings, and reports whether they are idle.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dynoxide::Database;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::activity::{InFlight, Progress, StreamStatus, Writes};
use super::backoff::Backoff;
use super::checkpoint::Checkpoint;
use super::queue::QueueReader;
use super::schedule::Schedule;
use super::stream::StreamReader;
use super::stream_batch::RetryPolicy;
use crate::broker::{Broker, BrokerError};
use crate::deployment::{Trigger, TriggerSource};
use crate::lambda::Invoke;

/// Settings of all mappings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the streams' checkpoints; created if it is missing.
    pub checkpoints: PathBuf,
    /// Maximum number of concurrent batches of one queue, unless `MaximumConcurrency` is smaller. Batches
    /// beyond the function's environments only wait.
    pub concurrency: usize,
    /// Interval between reads of a stream without a call of [`Mappings::wake`].
    pub poll: Duration,
    /// Delay until the messages of a failed invocation are received again, by their number of receives.
    pub redelivery: Backoff,
    /// Delay after a failed batch of a stream, by the number of consecutive failures.
    pub retry: Backoff,
}

impl Settings {
    /// Settings for a laptop, with checkpoints in this folder.
    pub fn new(checkpoints: impl Into<PathBuf>) -> Self {
        Self {
            checkpoints: checkpoints.into(),
            concurrency: 4,
            poll: Duration::from_millis(200),
            redelivery: Backoff { first: Duration::from_millis(500), max: Duration::from_secs(2) },
            retry: Backoff { first: Duration::from_millis(100), max: Duration::from_secs(10) },
        }
    }
}

/// All running event source mappings and schedules.
pub struct Mappings {
    stop: CancellationToken,
    tasks: TaskTracker,
    in_flight: InFlight,
    writes: Writes,
    streams: Vec<(String, String, Arc<Progress>)>,
    /// Names of the queues with a mapping.
    queues: Vec<String>,
    broker: Arc<Broker>,
}

impl Mappings {
    /// Starts all triggers on the current Tokio runtime.
    ///
    /// # Errors
    /// The folder of checkpoints cannot be created, or a checkpoint cannot be read.
    pub fn start(
        settings: &Settings,
        triggers: &[Trigger],
        functions: Arc<dyn Invoke>,
        broker: Arc<Broker>,
        database: &Database,
    ) -> io::Result<Self> {
        let mut mappings = Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            in_flight: InFlight::default(),
            writes: Writes::new(),
            streams: Vec::new(),
            queues: Vec::new(),
            broker,
        };
        for trigger in triggers {
            mappings.add(settings, trigger, &functions, database)?;
        }
        Ok(mappings)
    }

    fn add(
        &mut self,
        settings: &Settings,
        trigger: &Trigger,
        functions: &Arc<dyn Invoke>,
        database: &Database,
    ) -> io::Result<()> {
        let functions = Arc::clone(functions);
        let function = trigger.function.clone();
        let in_flight = self.in_flight.clone();
        let stop = self.stop.clone();
        let name = format!("{}.{}", trigger.function, trigger.name);
        match trigger.source.clone() {
            TriggerSource::Queue {
                queue_arn,
                batch_size,
                batching_window,
                maximum_concurrency,
                report_item_failures,
            } => {
                self.queues.extend(queue_arn.rsplit(':').next().map(str::to_owned));
                let reader = Arc::new(QueueReader {
                    function,
                    queue_arn,
                    batch_size,
                    batching_window,
                    concurrency: maximum_concurrency.unwrap_or(usize::MAX).min(settings.concurrency),
                    report_item_failures,
                    redelivery: settings.redelivery,
                    broker: Arc::clone(&self.broker),
                    functions,
                    in_flight,
                });
                self.tasks.spawn(reader.run(stop, self.tasks.clone()));
            }
            TriggerSource::Stream {
                table,
                batch_size,
                filters,
                report_item_failures,
                bisect,
                maximum_retries,
            } => {
                let progress = Arc::new(Progress::default());
                self.streams.push((name.clone(), table.clone(), Arc::clone(&progress)));
                let checkpoint = Checkpoint::open(&settings.checkpoints, &name)?;
                let reader = StreamReader {
                    function,
                    table,
                    batch_size,
                    filters,
                    report_item_failures,
                    retry_policy: RetryPolicy { bisect, maximum_retries },
                    retry: settings.retry,
                    poll: settings.poll,
                    position: checkpoint.load()?,
                    checkpoint,
                    database: database.clone(),
                    functions,
                    in_flight,
                    progress,
                };
                self.tasks.spawn(reader.run(self.writes.subscribe(), stop));
            }
            TriggerSource::Schedule { every, input } => {
                let schedule = Schedule { function, name, every, input, functions, in_flight };
                self.tasks.spawn(schedule.run(stop));
            }
        }
        Ok(())
    }

    /// Notifies all stream readers of a write to a table.
    pub fn wake(&self) {
        self.writes.record();
    }

    /// The number of batches that functions are processing.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// The progress of each stream reader.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamStatus> {
        let status = |(trigger, table, progress): &(String, String, Arc<Progress>)| {
            progress.status(trigger, table, &self.writes)
        };
        self.streams.iter().map(status).collect()
    }

    /// Returns `true` if all mappings are idle: every stream was read to its end since the last write, no
    /// queue with a mapping has messages, visible or hidden, and no batch is in flight. A write counts once
    /// [`wake`](Self::wake) is called for it.
    ///
    /// # Errors
    /// The broker cannot count its messages.
    pub fn is_idle(&self) -> Result<bool, BrokerError> {
        let streams_caught_up = || self.streams().iter().all(|stream| stream.caught_up);
        // Stream records become messages, and messages may cause writes. In this order, no event is missed
        // between the checks.
        if !streams_caught_up() {
            return Ok(false);
        }
        let depths = self.broker.depths()?;
        let mut read = depths.iter().filter(|depth| self.queues.contains(&depth.name));
        let queues_are_empty = read.all(|depth| depth.visible + depth.in_flight + depth.delayed == 0);
        Ok(queues_are_empty && self.in_flight() == 0 && streams_caught_up())
    }

    /// Stops all mappings after the invocations in flight. Must be called before the functions stop.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Mappings {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
