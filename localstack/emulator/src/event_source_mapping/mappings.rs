//! Starts and stops everything that drives functions, and says whether anything is going on.

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
use super::stream_batch::Rules;
use crate::broker::{Broker, BrokerError};
use crate::deployment::{Trigger, TriggerSource};
use crate::lambda::Invoke;

/// How triggers are run on this machine.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folder of the checkpoints of streams; made when it is not there.
    pub checkpoints: PathBuf,
    /// Most batches of one queue at once; a smaller `MaximumConcurrency` wins. More than the function has
    /// environments would only wait.
    pub concurrency: usize,
    /// Between two looks at a stream when nobody calls [`Mappings::wake`].
    pub poll: Duration,
    /// How long a message that failed is hidden, by its receives.
    pub redelivery: Backoff,
    /// How long a stream waits after a batch that failed, by the failures in a row.
    pub retry: Backoff,
}

impl Settings {
    /// The settings that suit a laptop, with checkpoints in that folder.
    pub fn new(checkpoints: impl Into<PathBuf>) -> Self {
        Self {
            checkpoints: checkpoints.into(),
            concurrency: 4,
            poll: Duration::from_millis(200),
            // Ten receives, after which a message is given up, take about a quarter of a minute.
            redelivery: Backoff { first: Duration::from_millis(500), most: Duration::from_secs(2) },
            retry: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(10) },
        }
    }
}

/// Everything that drives functions besides the API.
pub struct Mappings {
    stop: CancellationToken,
    tasks: TaskTracker,
    in_flight: InFlight,
    writes: Writes,
    streams: Vec<(String, String, Arc<Progress>)>,
    /// Names of the queues that are read.
    queues: Vec<String>,
    broker: Arc<Broker>,
}

impl Mappings {
    /// Starts every trigger; inside a Tokio runtime.
    ///
    /// # Errors
    /// When the folder of checkpoints cannot be made.
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
                let reader = StreamReader {
                    function,
                    table,
                    batch_size,
                    filters,
                    report_item_failures,
                    rules: Rules { bisect, maximum_retries },
                    retry: settings.retry,
                    poll: settings.poll,
                    checkpoint: Checkpoint::open(&settings.checkpoints, &name)?,
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

    /// Has every stream looked at now: something was written to a table.
    pub fn wake(&self) {
        self.writes.happened();
    }

    /// Batches that functions have in their hands.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    /// How far the reader of each stream is.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamStatus> {
        let status = |(trigger, table, progress): &(String, String, Arc<Progress>)| {
            progress.status(trigger, table, &self.writes)
        };
        self.streams.iter().map(status).collect()
    }

    /// Whether nothing is going on: every stream was read to its end since the last write, no queue that is read
    /// here holds a message, not even a hidden one, and no batch is in flight. Writes count as soon as
    /// [`wake`](Self::wake) is called for them.
    ///
    /// # Errors
    /// When the broker cannot count its messages.
    pub fn is_idle(&self) -> Result<bool, BrokerError> {
        let streams_are_done = || self.streams().iter().all(|stream| stream.caught_up);
        // What is in a stream goes to a queue, and what comes out of a queue may be written to a table: looked at in
        // this order, nothing gets past.
        if !streams_are_done() {
            return Ok(false);
        }
        let depths = self.broker.depths()?;
        let mut read = depths.iter().filter(|depth| self.queues.contains(&depth.name));
        let queues_are_empty = read.all(|depth| depth.visible + depth.in_flight + depth.delayed == 0);
        Ok(queues_are_empty && self.in_flight() == 0 && streams_are_done())
    }

    /// Stops everything, after the invocations in flight. Stop this before the functions.
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
