//! `demo`: runs the walkthrough of the API on an ephemeral platform, and prints each step.

use std::process::ExitCode;

use erp_client::{Client, Observer, Response, walkthrough};
use serde_json::Value;

use crate::cli::{CommonArgs, Screen};
use crate::platform::Platform;

/// Longer bodies are cut off, in characters.
const BODY_LENGTH: usize = 150;

/// Options of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Options of the platform.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Show whole bodies
    #[arg(long)]
    pub full: bool,
    /// Use the running platform at this base URL instead of starting one
    #[arg(long, value_name = "URL", conflicts_with_all = ["template", "release_functions", "executables"])]
    pub url: Option<String>,
}

/// Runs the walkthrough and prints its steps. Fails at the first unexpected response.
pub async fn run(args: Args) -> ExitCode {
    let screen = Screen::new();
    match run_walkthrough(&args, screen).await {
        Ok(()) => {
            screen.line(&format!("\n  {}\n", screen.green(&screen.bold("All responses were as expected."))));
            ExitCode::SUCCESS
        }
        Err(error) => crate::cli::failure(&*error),
    }
}

async fn run_walkthrough(args: &Args, screen: Screen) -> Result<(), Box<dyn std::error::Error>> {
    let mut printer = Printer { screen, full: args.full, section: 0 };
    if let Some(url) = &args.url {
        return Ok(walkthrough(&Client::new(url), &mut printer).await?);
    }
    let platform = Platform::start(args.common.options()?).await?;
    let completed = walkthrough(&Client::new(platform.base_url()), &mut printer).await;
    platform.stop().await;
    Ok(completed?)
}

/// Prints the steps.
struct Printer {
    screen: Screen,
    full: bool,
    section: u32,
}

impl Observer for Printer {
    fn section(&mut self, title: &str) {
        self.section += 1;
        self.screen.line(&format!("\n  {}", self.screen.bold(&format!("{}. {title}", self.section))));
    }

    fn request(&mut self, response: &Response, body: Option<&Value>) {
        let screen = self.screen;
        let body = body.map(|body| format!(" {}", self.cut(&body.to_string()))).unwrap_or_default();
        screen.line(&format!("    {}{}", response.request, screen.dim(&body)));
        let status = response.status.to_string();
        let status = if response.status < 400 { screen.green(&status) } else { screen.red(&status) };
        screen.line(&format!("      {status} {}", screen.dim(&self.cut(&summary(response, self.full)))));
    }

    fn effect(&mut self, text: &str) {
        self.screen.line(&format!("      → {text}"));
    }
}

impl Printer {
    fn cut(&self, text: &str) -> String {
        if self.full || text.chars().count() <= BODY_LENGTH {
            return text.to_owned();
        }
        format!("{}…", text.chars().take(BODY_LENGTH).collect::<String>())
    }
}

/// A summary of a response: the status of an order, a stock, the detail of a problem, or else the message.
fn summary(response: &Response, full: bool) -> String {
    if full {
        return response.text.clone();
    }
    let json = response.json();
    let field = |pointer: &str| match json.pointer(pointer) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        _ => None,
    };
    if let Some(detail) = field("/detail") {
        return format!("{}: {detail}", field("/code").unwrap_or_default());
    }
    if let Some(status) = field("/data/order/status") {
        let total = json.pointer("/data/order/total_amount").and_then(Value::as_f64).unwrap_or_default();
        let stock =
            field("/data/order/stock_status").map(|stock| format!(", stock {stock}")).unwrap_or_default();
        return format!("{}: {status}{stock}, total {total:.2}", field("/message").unwrap_or_default());
    }
    if let Some(quantity) = field("/data/quantity") {
        return format!("stock {quantity}");
    }
    field("/message").unwrap_or_else(|| response.text.clone())
}
