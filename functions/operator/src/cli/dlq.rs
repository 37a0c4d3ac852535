//! `erp dlq`.

use std::path::PathBuf;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use clap::{Args, Subcommand};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, Timestamp};
use serde_json::json;

use super::{Output, Result, Target};
use crate::dlq::{DeadLetter, DeadLetterQueue, DlqError, Explanation, Selection, explain, messages, queues};
use crate::reconcile::{GracePeriod, Ledger};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the dead-letter queues and their messages
    List(Filter),
    /// Explains messages: the error, the current state, and the effect of a redrive
    Explain(Filter),
    /// Sends messages back to their source queues
    Redrive(Explicit),
    /// Deletes messages permanently, after saving them to a file
    Discard {
        #[command(flatten)]
        messages: Explicit,
        /// File to which the messages are appended before they are deleted
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// Delete; without this option the messages are only listed
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Filter {
    #[command(flatten)]
    selection: Selection,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
}

/// A selection that must be given explicitly.
#[derive(Debug, Args)]
pub(super) struct Explicit {
    #[command(flatten)]
    filter: Filter,
    /// All messages
    #[arg(long, required_unless_present_any = ["ids", "kind"], conflicts_with_all = ["ids", "kind"])]
    all: bool,
}

/// The queues and messages that a command works on.
struct Dlq {
    sqs: Client,
    output: Output,
    queues: Vec<DeadLetterQueue>,
    selection: Selection,
}

pub(super) async fn run(target: &Target, sdk: &SdkConfig, output: Output, command: Command) -> Result {
    let (Command::List(filter)
    | Command::Explain(filter)
    | Command::Redrive(Explicit { filter, .. })
    | Command::Discard { messages: Explicit { filter, .. }, .. }) = &command;
    let sqs = Client::new(sdk);
    let queues = queues::find(&sqs, &target.stack, filter.queue.as_deref()).await?;
    let dlq = Dlq { sqs, output, queues, selection: filter.selection.clone() };
    match command {
        Command::List(_) => dlq.list().await,
        Command::Explain(_) => dlq.explain(&target.ledger(sdk, GracePeriod::default())).await,
        Command::Redrive(_) => dlq.redrive().await,
        Command::Discard { save, yes, .. } => dlq.discard(save, yes).await,
    }
}

impl Dlq {
    async fn list(&self) -> Result {
        let now = SystemClock.now();
        let mut document = Vec::new();
        for queue in &self.queues {
            let received = messages::receive(&self.sqs, queue, &self.selection).await?;
            messages::release(&self.sqs, queue, &received).await?;
            let oldest = received.iter().filter_map(|letter| letter.sent_at).min();
            self.output.line(format!(
                "{}: {} messages, {} more in flight{}",
                queue.name,
                received.len(),
                queue.in_flight,
                oldest.map(|at| format!(", oldest {} ago", age(now, at))).unwrap_or_default()
            ));
            for letter in &received {
                self.output.line(format!("  {}", title(letter)));
                let sent = letter.sent_at.map(|at| format!("sent {at}, {} ago", age(now, at)));
                let sent = sent.unwrap_or_default();
                self.output.line(format!("    {sent}, received {} times", letter.receives));
                if let Some(reason) = &letter.reason {
                    self.output.line(format!("    {reason}"));
                }
            }
            document.push(json!({"queue": queue, "messages": received}));
        }
        self.output.document(&document)?;
        Ok(true)
    }

    async fn explain(&self, ledger: &Ledger) -> Result {
        let mut document = Vec::new();
        for queue in &self.queues {
            let received = messages::receive(&self.sqs, queue, &self.selection).await?;
            for letter in &received {
                let explanation = explain(ledger, queue.consumer, letter).await;
                if explanation.is_err() {
                    messages::release(&self.sqs, queue, &received).await?;
                }
                let explanation = explanation.map_err(DlqError::from)?;
                self.show(letter, &explanation);
                document.push(json!({"message": letter, "explanation": explanation}));
            }
            messages::release(&self.sqs, queue, &received).await?;
        }
        self.output.document(&document)?;
        Ok(self.any(document.len()))
    }

    fn show(&self, letter: &DeadLetter, explanation: &Explanation) {
        self.output.line(title(letter));
        match &explanation.poison {
            Some(reason) => self.output.line(format!("  Poison:  {reason}")),
            None => self.output.line(format!("  Command: {}", explanation.command)),
        }
        for state in &explanation.current {
            self.output.line(format!("  Current: {state}"));
        }
        self.output.line(format!("  Redrive: {}", explanation.redrive));
    }

    async fn redrive(&self) -> Result {
        let mut document = Vec::new();
        let mut all = 0;
        for queue in &self.queues {
            let moved = if !self.selection.is_all() {
                let received = messages::receive(&self.sqs, queue, &self.selection).await?;
                for letter in &received {
                    messages::redrive(&self.sqs, queue, letter).await?;
                    self.output.line(format!("  {}", title(letter)));
                }
                received.len() as u64
            } else if queue.visible == 0 {
                0
            } else {
                messages::redrive_all(&self.sqs, queue).await?
            };
            all += moved;
            self.output.line(format!("{}: {moved} redriven", queue.name));
            document.push(json!({"queue": queue.name, "redriven": moved}));
        }
        self.output.document(&document)?;
        Ok(self.selection.is_all() || all > 0)
    }

    async fn discard(&self, save: Option<PathBuf>, yes: bool) -> Result {
        let stamp = SystemClock.now().as_millis();
        let file = save.unwrap_or_else(|| PathBuf::from(format!("discarded-{stamp}.jsonl")));
        let mut document = Vec::new();
        for queue in &self.queues {
            let received = messages::receive(&self.sqs, queue, &self.selection).await?;
            for letter in &received {
                self.output.line(format!("  {}\n    {}", title(letter), letter.body));
            }
            if yes && !received.is_empty() {
                messages::save(&file, &received)?;
                for letter in &received {
                    messages::delete(&self.sqs, queue, letter).await?;
                }
                let (count, saved) = (received.len(), file.display());
                self.output.line(format!("{}: {count} discarded, saved in {saved}", queue.name));
            } else {
                messages::release(&self.sqs, queue, &received).await?;
            }
            document.extend(received);
        }
        let count = document.len();
        let saved_in = (yes && count > 0).then_some(&file);
        self.output.document(&json!({"discarded": yes, "saved_in": saved_in, "messages": document}))?;
        if !yes && count > 0 {
            self.output.line(format!("Nothing discarded. Add --yes to discard {count} messages."));
            return Ok(false);
        }
        Ok(self.any(count))
    }

    fn any(&self, count: usize) -> bool {
        if count == 0 {
            self.output.line("No such message.");
        }
        count > 0
    }
}

/// Describes a message on one line.
fn title(letter: &DeadLetter) -> String {
    let or = |text: &Option<String>, default: &str| text.clone().unwrap_or_else(|| default.to_owned());
    format!("{}  {}  {}", letter.id, or(&letter.kind, "not an event"), or(&letter.subject, "-"))
}

/// Formats an age, rounded down.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now.as_seconds() - then.as_seconds()).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
