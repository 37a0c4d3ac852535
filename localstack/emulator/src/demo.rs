//! `demo`: the walk through the API, step by step, on a platform of its own that is thrown away afterwards.

use std::process::ExitCode;

use erp_client::{Answer, Client, Observer, walk};
use serde_json::Value;

use crate::cli::{CommonArgs, Screen};
use crate::platform::Platform;

/// The longest body that is shown whole.
const SHOWN: usize = 150;

/// Options of `demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How the platform is started.
    #[command(flatten)]
    pub common: CommonArgs,
    /// Show answers whole
    #[arg(long)]
    pub full: bool,
    /// Walk through a platform that runs already, at this base URL
    #[arg(long, value_name = "URL", conflicts_with_all = ["template", "release_functions", "executables"])]
    pub url: Option<String>,
}

/// Plays the walk and says what it sees. Succeeds only if every answer is the one that must come.
pub async fn run(args: Args) -> ExitCode {
    let screen = Screen::new();
    match play(&args, screen).await {
        Ok(()) => {
            screen.line(&format!(
                "\n  {}\n",
                screen.green(&screen.bold("Every answer was the one that must come."))
            ));
            ExitCode::SUCCESS
        }
        Err(error) => {
            screen.line(&format!("\n  {}\n", screen.red(&format!("This must not be: {error}"))));
            ExitCode::FAILURE
        }
    }
}

async fn play(args: &Args, screen: Screen) -> Result<(), Box<dyn std::error::Error>> {
    let mut teller = Teller { screen, full: args.full, chapter: 0 };
    if let Some(url) = &args.url {
        return Ok(walk(&Client::new(url), &mut teller).await?);
    }
    let platform = Platform::start(args.common.options()?).await?;
    let walked = walk(&Client::new(platform.base_url()), &mut teller).await;
    platform.stop().await;
    Ok(walked?)
}

/// Tells a person what happens.
struct Teller {
    screen: Screen,
    full: bool,
    chapter: u32,
}

impl Observer for Teller {
    fn chapter(&mut self, title: &str) {
        self.chapter += 1;
        self.screen.line(&format!("\n  {}", self.screen.bold(&format!("{}. {title}", self.chapter))));
    }

    fn request(&mut self, answer: &Answer, body: Option<&Value>) {
        let screen = self.screen;
        let body = body.map(|body| format!(" {}", self.cut(&body.to_string()))).unwrap_or_default();
        screen.line(&format!("    {}{}", answer.request, screen.dim(&body)));
        let status = answer.status.to_string();
        let status = if answer.status < 400 { screen.green(&status) } else { screen.red(&status) };
        screen.line(&format!("      {status} {}", screen.dim(&self.cut(&gist(answer, self.full)))));
    }

    fn effect(&mut self, text: &str) {
        self.screen.line(&format!("      → {text}"));
    }
}

impl Teller {
    fn cut(&self, text: &str) -> String {
        if self.full || text.chars().count() <= SHOWN {
            return text.to_owned();
        }
        format!("{}…", text.chars().take(SHOWN).collect::<String>())
    }
}

/// What matters of an answer: the data of an order or a stock, the detail of a refusal, the message of the rest.
fn gist(answer: &Answer, full: bool) -> String {
    if full {
        return answer.text.clone();
    }
    let json = answer.json();
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
    field("/message").unwrap_or_else(|| answer.text.clone())
}
