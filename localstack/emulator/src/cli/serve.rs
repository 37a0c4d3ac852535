//! `serve`: start, show one screen, wait for the end, stop.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::{Screen, ServeArgs};
use crate::platform::Platform;

/// What happens when a person, or whoever runs this, has had enough.
const INTERRUPTED: u8 = 130;

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn run(args: ServeArgs) -> ExitCode {
    match serve(args).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: ServeArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let screen = Screen::new();
    let options = args.options()?;
    log(options.data.as_deref())?;
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let kept = options.data.is_some();
    let platform = tokio::select! {
        // The build of the functions ends with the future that waits for it.
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
        platform = Platform::start(options) => platform?,
    };
    show(screen, &platform, kept, began);
    signals.next().await;
    screen.line("\n  Stopping: what is in flight ends first. Once more stops at once.");
    tokio::select! {
        () = platform.stop() => {}
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
    }
    screen.line("  Stopped.");
    Ok(ExitCode::SUCCESS)
}

/// Everything there is to know, on one screen.
fn show(screen: Screen, platform: &Platform, kept: bool, began: Instant) {
    let base = platform.base_url();
    let aws = platform.aws_endpoint();
    let seconds = began.elapsed().as_secs_f32();
    let deployment = platform.deployment();
    let table = deployment.tables.first().map_or("<table>", |table| table.name.as_str());
    let data = platform.data().display().to_string();
    let fate = if kept { "kept; --ephemeral starts empty" } else { "forgotten at the end" };

    screen.line("");
    screen.line(&format!("  {} after {seconds:.1} s", screen.green(&screen.bold("Ready"))));
    screen.line("");
    screen.entry("API", base);
    screen.entry("Swagger UI", &format!("{base}/swagger/index.html"));
    screen.entry("AWS", &format!("{aws}  (DynamoDB, SNS, SQS, Lambda; us-east-1, keys test/test)"));
    screen.entry("Data", &format!("{data}  ({fate})"));
    screen.entry("Logs", &format!("{}/*.log", platform.logs().display()));

    screen.heading("Register and log in");
    let json = "-H 'content-type: application/json'";
    let who = r#""email":"ada@example.com","password":"correct horse battery""#;
    screen.command(&format!(
        "curl -s {base}/api/auth/register {json} -d '{{{who},\"role\":\"finance_manager\"}}'"
    ));
    screen.command(&format!("curl -s {base}/api/auth/login {json} -d '{{{who}}}'"));
    screen.command(&format!("curl -s {base}/api/customers -H \"authorization: Bearer $TOKEN\""));

    screen.heading("Look inside");
    screen.command("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1");
    screen.command(&format!("aws --endpoint-url {aws} dynamodb scan --table-name {table}"));

    screen.line("");
    screen.line(&format!("  {}", screen.dim("Ctrl-C stops it.")));
    screen.line("");
}

/// The platform's own log: warnings to standard error, or what `RUST_LOG` says; requests to a file as well, where
/// data is kept. A condition that does not hold is everyday life, and dynoxide would warn of each.
fn log(data: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let filter = |default: &str| EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(default));
    let to_person =
        fmt::layer().with_writer(std::io::stderr).without_time().with_filter(filter("warn,dynoxide=error")?);
    let to_file = match data {
        Some(data) => {
            let folder = data.join("logs");
            std::fs::create_dir_all(&folder)?;
            let file = File::options().create(true).append(true).open(folder.join("platform.log"))?;
            Some(
                fmt::layer()
                    .with_ansi(false)
                    .with_writer(Arc::new(file))
                    .with_filter(EnvFilter::try_new("warn,dynoxide=error,erp_local=info")?),
            )
        }
        None => None,
    };
    tracing_subscriber::registry().with(to_person).with(to_file).try_init()?;
    Ok(())
}

/// Ctrl-C, and on Unix SIGTERM.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "there is something to go wrong on Unix")]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// The next one.
    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// The next one.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "Ctrl-C cannot be waited for");
        }
    }
}
