//! `serve`: starts the platform, prints the start screen, and stops at a signal.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use super::{Screen, ServeArgs};
use crate::deployment::REGION;
use crate::platform::{Data, Platform};
use crate::private;

/// Exit code after SIGINT or SIGTERM before the platform has stopped: 128 + SIGINT, as of shells.
const INTERRUPTED: u8 = 130;

/// Serves until Ctrl-C or SIGTERM.
pub(super) async fn run(args: ServeArgs) -> ExitCode {
    match serve(args).await {
        Ok(code) => code,
        Err(error) => super::failure(&*error),
    }
}

async fn serve(args: ServeArgs) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let screen = Screen::new();
    let options = args.options()?;
    let kept = options.data.is_some();
    let data = Data::open(options.data.as_deref())?;
    log(kept.then_some(&data))?;
    let mut signals = Signals::new()?;
    let began = Instant::now();
    let platform = tokio::select! {
        // Dropping the future kills the build of the functions.
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
        platform = Platform::start_in(data, options) => platform?,
    };
    show(screen, &platform, kept, began);
    signals.next().await;
    screen.line("\n  Stopping after the requests in flight. Press Ctrl-C again to stop at once.");
    tokio::select! {
        () = platform.stop() => {}
        () = signals.next() => return Ok(ExitCode::from(INTERRUPTED)),
    }
    screen.line("  Stopped.");
    Ok(ExitCode::SUCCESS)
}

/// Prints the start screen: addresses, folders, and commands to try.
fn show(screen: Screen, platform: &Platform, kept: bool, began: Instant) {
    let base = platform.base_url();
    let aws = platform.aws_endpoint();
    let seconds = began.elapsed().as_secs_f32();
    let deployment = platform.deployment();
    let table = deployment.tables.first().map_or("<table>", |table| table.name.as_str());
    let data = platform.data().display().to_string();
    let lifetime = if kept { "kept; --ephemeral starts empty" } else { "deleted at the end" };

    screen.line("");
    screen.line(&format!("  {} after {seconds:.1} s", screen.green(&screen.bold("Ready"))));
    screen.line("");
    screen.entry("API", base);
    screen.entry("Swagger UI", &format!("{base}/swagger/index.html"));
    screen.entry("AWS", &format!("{aws}  (DynamoDB, SNS, SQS, Lambda)"));
    screen.entry("Data", &format!("{data}  ({lifetime})"));
    screen.entry("Logs", &format!("{}/*.log", platform.logs().display()));

    screen.heading("Register, log in, list customers");
    let json = "-H 'content-type: application/json'";
    let who = r#""email":"ada@example.com","password":"correct horse battery""#;
    screen.command(&format!(
        "curl -s {base}/api/auth/register {json} -d '{{{who},\"role\":\"finance_manager\"}}'"
    ));
    screen.command(&format!("curl -s {base}/api/auth/login {json} -d '{{{who}}}'"));
    screen.command(&format!("curl -s {base}/api/customers -H \"authorization: Bearer $TOKEN\""));

    screen.heading("Use the AWS endpoint");
    let key = platform.access_key();
    screen.command(&format!("export AWS_ACCESS_KEY_ID={}", key.access_key_id));
    screen.command(&format!("export AWS_SECRET_ACCESS_KEY={}", key.secret_access_key));
    screen.command(&format!("export AWS_ENDPOINT_URL={aws} AWS_DEFAULT_REGION={REGION}"));
    screen.command(&format!("aws dynamodb scan --table-name {table}"));
    screen.command("cargo run --bin erp -- reconcile");

    screen.line("");
    screen.line(&format!("  {}", screen.dim("Press Ctrl-C to stop.")));
    screen.line("");
}

/// Sets up the platform's own log: `RUST_LOG`, by default warnings, to standard error; requests also to `platform.log`
/// where data is kept. dynoxide would log a warning for each failed condition, which is normal operation.
fn log(data: Option<&Data>) -> Result<(), Box<dyn std::error::Error>> {
    let filter = |default: &str| EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(default));
    let to_terminal =
        fmt::layer().with_writer(std::io::stderr).without_time().with_filter(filter("warn,dynoxide=error")?);
    let to_file = match data {
        Some(data) => {
            let file = private::append(&data.path("logs/platform.log"))?;
            Some(
                fmt::layer()
                    .with_ansi(false)
                    .with_writer(Arc::new(file))
                    .with_filter(EnvFilter::try_new("warn,dynoxide=error,erp_local=info")?),
            )
        }
        None => None,
    };
    tracing_subscriber::registry().with(to_terminal).with(to_file).try_init()?;
    Ok(())
}

/// The signals that stop the platform: Ctrl-C, and on Unix SIGTERM.
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
    #[expect(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
    fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal.
    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for the next signal.
    #[cfg(not(unix))]
    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "waiting for Ctrl-C failed");
        }
    }
}
