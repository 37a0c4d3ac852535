//! `erp dlq`.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use aws_sdk_sqs::Client;
use clap::{Args, Subcommand};
use erp_domain::ports::SystemClock;
use erp_domain::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{Screen, Target, WRONG};
use crate::dlq::{DeadLetters, DlqError, Letter, Selection, explain, letters, queues};
use crate::reconcile::Patience;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Every dead-letter queue, and what is in it
    List(Which),
    /// Why a message is there, what is true by now, and what sending it back would change
    Explain(Which),
    /// Send messages back to the queues that they came from
    Redrive(Named),
    /// Take messages away for good, after saving them to a file
    Discard(Discard),
}

/// Messages; all of them, if none are named.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Ids of messages, or of the events in them
    ids: Vec<String>,
    /// Events of this kind, such as sales.order.confirmed
    #[arg(long)]
    kind: Option<String>,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
}

/// Messages that somebody has named.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// Ids of messages, or of the events in them
    #[arg(required_unless_present_any = ["kind", "all"])]
    ids: Vec<String>,
    /// Events of this kind, such as sales.order.confirmed
    #[arg(long)]
    kind: Option<String>,
    /// Everything
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
    /// Everything
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// One queue, such as stock-queue-dlq
    #[arg(long)]
    queue: Option<String>,
    /// Where the messages are saved first
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    target: &Target,
    screen: Screen,
    command: Command,
) -> Result<ExitCode, Box<dyn Error>> {
    let sdk = target.sdk().await;
    let sqs = Client::new(&sdk);
    match command {
        Command::List(which) => {
            let (selection, found) = which.find(&sqs, target).await?;
            list(&sqs, screen, &found, &selection).await
        }
        Command::Explain(which) => {
            let (selection, found) = which.find(&sqs, target).await?;
            let books = target.books(&sdk, Patience::default());
            let mut document = Vec::new();
            for queue in &found {
                let taken = letters::take(&sqs, queue, &selection).await?;
                for letter in &taken {
                    let explanation = explain(&books, queue.consumer, letter).await;
                    if explanation.is_err() {
                        letters::give_back(&sqs, queue, &taken).await?;
                    }
                    document
                        .push(json!({"message": letter, "explanation": show(screen, letter, explanation?)?}));
                }
                letters::give_back(&sqs, queue, &taken).await?;
            }
            screen.document(&document)?;
            Ok(found_any(screen, document.len()))
        }
        Command::Redrive(Named { ids, kind, all: _, queue }) => {
            let found = queues::find(&sqs, &target.stack, queue.as_deref()).await?;
            redrive(&sqs, screen, &found, &Selection { ids, kind }).await
        }
        Command::Discard(options) => {
            let found = queues::find(&sqs, &target.stack, options.queue.as_deref()).await?;
            discard(&sqs, screen, &found, options).await
        }
    }
}

impl Which {
    async fn find(self, sqs: &Client, target: &Target) -> Result<(Selection, Vec<DeadLetters>), DlqError> {
        let found = queues::find(sqs, &target.stack, self.queue.as_deref()).await?;
        Ok((Selection { ids: self.ids, kind: self.kind }, found))
    }
}

async fn list(
    sqs: &Client,
    screen: Screen,
    found: &[DeadLetters],
    selection: &Selection,
) -> Result<ExitCode, Box<dyn Error>> {
    let now = SystemClock.now();
    let mut document = Vec::new();
    for queue in found {
        let taken = letters::take(sqs, queue, selection).await?;
        letters::give_back(sqs, queue, &taken).await?;
        let oldest = taken.iter().filter_map(|letter| letter.sent_at).min();
        screen.line(format!(
            "{}: {} messages, {} more being looked at{}",
            queue.name,
            taken.len(),
            queue.in_flight,
            oldest.map(|at| format!(", the oldest sent {} ago", age(now, at))).unwrap_or_default()
        ));
        for letter in &taken {
            screen.line(format!("  {}", title(letter)));
            let sent = letter.sent_at.map(|at| format!("sent {at}, {} ago", age(now, at)));
            screen.line(format!("    {}, received {} times", sent.unwrap_or_default(), letter.receives));
        }
        document.push(json!({"queue": queue, "messages": taken}));
    }
    screen.document(&document)?;
    Ok(ExitCode::SUCCESS)
}

fn show(
    screen: Screen,
    letter: &Letter,
    explanation: crate::dlq::Explanation,
) -> Result<Value, serde_json::Error> {
    screen.line(title(letter));
    match &explanation.poison {
        Some(reason) => screen.line(format!("  Poison:    {reason}")),
        None => screen.line(format!("  Asks:      {}", explanation.asks)),
    }
    for fact in &explanation.now {
        screen.line(format!("  Now:       {fact}"));
    }
    screen.line(format!("  Redriving: {}", explanation.redriving));
    serde_json::to_value(explanation)
}

async fn redrive(
    sqs: &Client,
    screen: Screen,
    found: &[DeadLetters],
    selection: &Selection,
) -> Result<ExitCode, Box<dyn Error>> {
    let mut document = Vec::new();
    let mut all = 0;
    for queue in found {
        let moved = if selection.is_all() {
            if queue.visible == 0 { 0 } else { letters::redrive_all(sqs, queue).await? }
        } else {
            let taken = letters::take(sqs, queue, selection).await?;
            for letter in &taken {
                letters::redrive(sqs, queue, letter).await?;
                screen.line(format!("  {}", title(letter)));
            }
            taken.len() as u64
        };
        all += moved;
        screen.line(format!("{}: {moved} sent back", queue.name));
        document.push(json!({"queue": queue.name, "redriven": moved}));
    }
    screen.document(&document)?;
    let nothing = !selection.is_all() && all == 0;
    Ok(if nothing { ExitCode::from(WRONG) } else { ExitCode::SUCCESS })
}

async fn discard(
    sqs: &Client,
    screen: Screen,
    found: &[DeadLetters],
    options: Discard,
) -> Result<ExitCode, Box<dyn Error>> {
    let Discard { ids, save, yes, .. } = options;
    let selection = Selection { ids, kind: None };
    let stamp = SystemClock.now().as_millis();
    let file = save.unwrap_or_else(|| PathBuf::from(format!("discarded-{stamp}.jsonl")));
    let mut document = Vec::new();
    for queue in found {
        let taken = letters::take(sqs, queue, &selection).await?;
        for letter in &taken {
            screen.line(format!("  {}\n    {}", title(letter), letter.body));
        }
        if yes && !taken.is_empty() {
            letters::save(&file, &taken)?;
            for letter in &taken {
                letters::delete(sqs, queue, letter).await?;
            }
            let saved = file.display();
            screen.line(format!("{}: {} discarded, saved in {saved}", queue.name, taken.len()));
        } else {
            letters::give_back(sqs, queue, &taken).await?;
        }
        document.extend(taken);
    }
    let count = document.len();
    screen.document(
        &json!({"discarded": yes, "saved_in": (yes && count > 0).then_some(&file), "messages": document}),
    )?;
    if !yes && count > 0 {
        screen.line(format!("{count} would be discarded; nothing was. Say --yes to do it."));
        return Ok(ExitCode::from(WRONG));
    }
    Ok(found_any(screen, count))
}

fn found_any(screen: Screen, count: usize) -> ExitCode {
    if count == 0 {
        screen.line("There is no such message.");
        return ExitCode::from(WRONG);
    }
    ExitCode::SUCCESS
}

/// What a message is, on one line.
fn title(letter: &Letter) -> String {
    let or = |text: &Option<String>, else_: &str| text.clone().unwrap_or_else(|| else_.to_owned());
    format!("{}  {}  {}", letter.id, or(&letter.kind, "no event"), or(&letter.subject, "-"))
}

/// About how long ago.
fn age(now: Timestamp, then: Timestamp) -> String {
    let seconds = (now.as_seconds() - then.as_seconds()).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
