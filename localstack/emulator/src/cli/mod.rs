//! The command line. `cargo run` starts the platform; `cargo run -- demo` runs the walkthrough of the API.

mod screen;
mod serve;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::platform::{Options, StartError};
use crate::samconfig::{self, SamConfigError};

pub use screen::Screen;

/// The environment of samconfig.toml when `--config-env` is not given.
const DEFAULT_ENVIRONMENT: &str = "local";
/// The exit code of a usage error, as of clap.
const USAGE: u8 = 2;

/// Runs the ERP order platform of template.yaml on this machine: API, functions, tables, topics and queues.
///
/// Without a command, it starts the platform and serves requests until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "erp-local", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the platform and serve requests until Ctrl-C (the default)
    Serve(ServeArgs),
    /// Run a walkthrough of the API and show each request with its response
    Demo(crate::demo::Args),
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Port of the API; 0 picks a free port
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Folder for data, secrets and logs
    #[arg(long, value_name = "FOLDER", default_value = ".local", conflicts_with = "ephemeral")]
    data: PathBuf,
    /// Start empty, and delete all data at the end
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of every command that starts a platform.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// The SAM template to run
    #[arg(long, value_name = "FILE", default_value = "template.yaml")]
    template: PathBuf,
    /// Set a parameter of the template; takes precedence over samconfig.toml
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Environment of samconfig.toml with the stack name and the parameters [default: local]
    #[arg(long, value_name = "NAME")]
    config_env: Option<String>,
    /// Port of the AWS endpoint (DynamoDB, SNS, SQS, Lambda); 0 picks a free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    aws_port: u16,
    /// Build the functions with `cargo build --release`
    #[arg(long)]
    release_functions: bool,
    /// Run the executables of this folder instead of building the functions
    #[arg(long, value_name = "FOLDER", conflicts_with = "release_functions")]
    executables: Option<PathBuf>,
    /// Write the log lines of functions to standard error as well as to the log files
    #[arg(long)]
    echo_logs: bool,
}

impl CommonArgs {
    /// The options of a platform on a free port, in an ephemeral folder, with the parameters of samconfig.toml.
    ///
    /// # Errors
    ///
    /// When samconfig.toml is malformed, or lacks the environment that `--config-env` names.
    pub fn options(&self) -> Result<Options, SamConfigError> {
        let config = self.template.with_file_name("samconfig.toml");
        let settings = match &self.config_env {
            Some(environment) => samconfig::read(&config, environment)?,
            // Another template need not have the file, nor the environment.
            None if !config.exists() => samconfig::Settings::default(),
            None => match samconfig::read(&config, DEFAULT_ENVIRONMENT) {
                Err(SamConfigError::Environment { .. }) => samconfig::Settings::default(),
                settings => settings?,
            },
        };
        let mut parameters: BTreeMap<String, String> = settings.parameters;
        parameters.extend(self.parameters.iter().cloned());
        let mut options = Options::new(&self.template);
        if let Some(stack_name) = settings.stack_name {
            options.stack_name = stack_name;
        }
        Ok(Options {
            parameters,
            aws_port: self.aws_port,
            release_functions: self.release_functions,
            executables: self.executables.clone(),
            echo_logs: self.echo_logs,
            ..options
        })
    }
}

impl ServeArgs {
    fn options(&self) -> Result<Options, SamConfigError> {
        Ok(Options {
            port: self.port,
            data: (!self.ephemeral).then(|| self.data.clone()),
            ..self.common.options()?
        })
    }
}

/// Reports an error on standard error. The exit code is 2 if an option is the cause, and else 1.
pub(crate) fn failure(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    eprintln!("error: {error}");
    let usage = match error.downcast_ref::<StartError>() {
        Some(error) => error.is_usage(),
        None => error.is::<SamConfigError>(),
    };
    if usage { ExitCode::from(USAGE) } else { ExitCode::FAILURE }
}

fn parameter(text: &str) -> Result<(String, String), String> {
    samconfig::split(text).ok_or_else(|| format!("{text} is not NAME=VALUE"))
}

/// Runs the command.
pub async fn run(cli: Cli) -> ExitCode {
    match cli.command {
        None => serve::run(cli.serve).await,
        Some(Command::Serve(args)) => serve::run(args).await,
        Some(Command::Demo(args)) => crate::demo::run(args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_command() {
        for line in [vec!["erp-local", "--port", "9000"], vec!["erp-local", "serve", "--port", "9000"]] {
            let cli = Cli::parse_from(&line);
            let args = match cli.command {
                Some(Command::Serve(args)) => args,
                None => cli.serve,
                Some(Command::Demo(_)) => panic!("{line:?}"),
            };
            assert_eq!(args.port, 9000);
            assert_eq!(args.options().unwrap().data, Some(PathBuf::from(".local")));
        }
    }

    #[test]
    fn a_parameter_of_the_command_line_takes_precedence() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let line = ["erp-local", "--ephemeral", "--template", template, "--parameter", "Registration=closed"];
        let options = Cli::parse_from(line).serve.options().unwrap();
        assert_eq!(options.data, None);
        assert_eq!(options.stack_name, "erp");
        assert_eq!(options.parameters["Registration"], "closed");
        assert_eq!(options.parameters["Stage"], "local");
    }

    #[test]
    fn a_malformed_parameter_is_rejected() {
        assert!(Cli::try_parse_from(["erp-local", "--parameter", "Registration"]).is_err());
    }

    #[test]
    fn an_environment_that_does_not_exist_is_an_error_if_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template.yaml");
        let options = |rest: &[&str]| {
            let line = ["erp-local", "--template", template.to_str().unwrap()];
            Cli::parse_from(line.iter().chain(rest)).serve.options()
        };
        assert!(options(&[]).is_ok(), "no file");
        assert!(options(&["--config-env", "nope"]).is_err(), "no file");
        std::fs::write(folder.path().join("samconfig.toml"), "[dev.global.parameters]").unwrap();
        assert!(options(&[]).is_ok());
        assert!(options(&["--config-env", "dev"]).is_ok());
        let error = options(&["--config-env", "nope"]).unwrap_err();
        assert!(error.to_string().starts_with("--config-env nope:"), "{error}");
    }
}
