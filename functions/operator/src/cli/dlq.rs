//! `erp dlq`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use clap::{Args, Subcommand};
use erp_domain::time::SystemClock;
use erp_domain::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{NOT_OK, Output, Target};
use crate::dlq::{DeadLetter, DeadLetterQueue, DlqError, Explanation, Selection, explain, messages, queues};
use crate::reconcile::GracePeriod;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists the dead-letter queues and their messages
    List(Filter),
    /// Explains messages: the error, the current state, and the effect of a redrive
    Explain(Filter),
    /// Sends messages back to their source queues
    Redrive(Redrive),
    /// Deletes messages permanently, after saving them to a file
    Discard(Discard),
}

/// A selection of messages; all by default.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Ids of messages, or of the events in them
    ids: Vec<String>,
    /// Type of the event, such as sales.order.confirmed
    #[arg(long)]
    kind: Option<String>,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
}

/// A selection that must be given explicitly.
#[derive(Debug, Args)]
pub(super) struct Redrive {
    /// Ids of messages, or of the events in them
    #[arg(required_unless_present_any = ["kind", "all"])]
    ids: Vec<String>,
    /// Type of the event, such as sales.order.confirmed
    #[arg(long)]
    kind: Option<String>,
    /// All messages
    #[arg(long, conflicts_with_all = ["ids", "kind"])]
    all: bool,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Discard {
    /// Ids of messages, or of the events in them
    #[arg(required_unless_present = "all")]
    ids: Vec<String>,
    /// All messages
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
    /// File to filter the messages are appended before they are deleted
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Delete; without this option the messages are only listed
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    target: &Target,
    sdk: &SdkConfig,
    output: Output,
    command: Command,
) -> Result<ExitCode, Box<dyn Error>> {
    let sqs = Client::new(sdk);
    match command {
        Command::List(filter) => {
            let (selection, found) = filter.find(&sqs, target).await?;
            list(&sqs, output, &found, &selection).await
        }
        Command::Explain(filter) => {
            let (selection, found) = filter.find(&sqs, target).await?;
            let ledger = target.ledger(sdk, GracePeriod::default());
            let mut document = Vec::new();
            for queue in &found {
                let received = messages::receive(&sqs, queue, &selection).await?;
                for letter in &received {
                    let explanation = explain(&ledger, queue.consumer, letter).await;
                    if explanation.is_err() {
                        messages::release(&sqs, queue, &received).await?;
                    }
                    document
                        .push(json!({"message": letter, "explanation": show(output, letter, explanation?)?}));
                }
                messages::release(&sqs, queue, &received).await?;
            }
            output.document(&document)?;
            Ok(found_any(output, document.len()))
        }
        Command::Redrive(Redrive { ids, kind, all: _, queue }) => {
            let found = queues::find(&sqs, &target.stack, queue.as_deref()).await?;
            redrive(&sqs, output, &found, &Selection { ids, kind }).await
        }
        Command::Discard(options) => {
            let found = queues::find(&sqs, &target.stack, options.queue.as_deref()).await?;
            discard(&sqs, output, &found, options).await
        }
    }
}

impl Filter {
    async fn find(
        self,
        sqs: &Client,
        target: &Target,
    ) -> Result<(Selection, Vec<DeadLetterQueue>), DlqError> {
        let found = queues::find(sqs, &target.stack, self.queue.as_deref()).await?;
        Ok((Selection { ids: self.ids, kind: self.kind }, found))
    }
}

async fn list(
    sqs: &Client,
    output: Output,
    found: &[DeadLetterQueue],
    selection: &Selection,
) -> Result<ExitCode, Box<dyn Error>> {
    let now = SystemClock.now();
    let mut document = Vec::new();
    for queue in found {
        let received = messages::receive(sqs, queue, selection).await?;
        messages::release(sqs, queue, &received).await?;
        let oldest = received.iter().filter_map(|letter| letter.sent_at).min();
        output.line(format!(
            "{}: {} messages, {} more in flight{}",
            queue.name,
            received.len(),
            queue.in_flight,
            oldest.map(|at| format!(", oldest {} ago", age(now, at))).unwrap_or_default()
        ));
        for letter in &received {
            output.line(format!("  {}", title(letter)));
            let sent = letter.sent_at.map(|at| format!("sent {at}, {} ago", age(now, at)));
            output.line(format!("    {}, received {} times", sent.unwrap_or_default(), letter.receives));
        }
        document.push(json!({"queue": queue, "messages": received}));
    }
    output.document(&document)?;
    Ok(ExitCode::SUCCESS)
}

fn show(output: Output, letter: &DeadLetter, explanation: Explanation) -> Result<Value, serde_json::Error> {
    output.line(title(letter));
    match &explanation.poison {
        Some(reason) => output.line(format!("  Poison:  {reason}")),
        None => output.line(format!("  Command: {}", explanation.command)),
    }
    for state in &explanation.current {
        output.line(format!("  Current: {state}"));
    }
    output.line(format!("  Redrive: {}", explanation.redrive));
    serde_json::to_value(explanation)
}

async fn redrive(
    sqs: &Client,
    output: Output,
    found: &[DeadLetterQueue],
    selection: &Selection,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut document = Vec::new();
    let mut all = 0;
    for queue in found {
        let moved = if selection.is_all() {
            if queue.visible == 0 { 0 } else { messages::redrive_all(sqs, queue).await? }
        } else {
            let received = messages::receive(sqs, queue, selection).await?;
            for letter in &received {
                messages::redrive(sqs, queue, letter).await?;
                output.line(format!("  {}", title(letter)));
            }
            received.len() as u64
        };
        all += moved;
        output.line(format!("{}: {moved} redriven", queue.name));
        document.push(json!({"queue": queue.name, "redriven": moved}));
    }
    output.document(&document)?;
    let nothing = !selection.is_all() && all == 0;
    Ok(if nothing { ExitCode::from(NOT_OK) } else { ExitCode::SUCCESS })
}

async fn discard(
    sqs: &Client,
    output: Output,
    found: &[DeadLetterQueue],
    options: Discard,
) -> Result<ExitCode, Box<dyn Error>> {
    let Discard { ids, save, yes, .. } = options;
    let selection = Selection { ids, kind: None };
    let stamp = SystemClock.now().as_millis();
    let file = save.unwrap_or_else(|| PathBuf::from(format!("discarded-{stamp}.jsonl")));
    let mut document = Vec::new();
    for queue in found {
        let received = messages::receive(sqs, queue, &selection).await?;
        for letter in &received {
            output.line(format!("  {}\n    {}", title(letter), letter.body));
        }
        if yes && !received.is_empty() {
            messages::save(&file, &received)?;
            for letter in &received {
                messages::delete(sqs, queue, letter).await?;
            }
            let saved = file.display();
            output.line(format!("{}: {} discarded, saved in {saved}", queue.name, received.len()));
        } else {
            messages::release(sqs, queue, &received).await?;
        }
        document.extend(received);
    }
    let count = document.len();
    output.document(
        &json!({"discarded": yes, "saved_in": (yes && count > 0).then_some(&file), "messages": document}),
    )?;
    if !yes && count > 0 {
        output.line(format!("Nothing discarded. Add --yes to discard {count} messages."));
        return Ok(ExitCode::from(NOT_OK));
    }
    Ok(found_any(output, count))
}

fn found_any(output: Output, count: usize) -> ExitCode {
    if count == 0 {
        output.line("No such message.");
        return ExitCode::from(NOT_OK);
    }
    ExitCode::SUCCESS
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
