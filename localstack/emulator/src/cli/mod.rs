//! The command line: `cargo run` serves, `cargo run -- demo` shows.

mod screen;
mod serve;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::platform::Options;
use crate::samconfig::{self, SamConfigError};

pub use screen::Screen;

/// The whole platform on this machine: API, functions, tables, topics and queues, as template.yaml has them.
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
    /// Start the platform and keep it running (what happens without a command)
    Serve(ServeArgs),
    /// Play the walk through the API and show what happens at each step
    Demo(crate::demo::Args),
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Port of the API; 0 is a free one
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Where data, secrets and logs are kept
    #[arg(long, default_value = ".local", conflicts_with = "ephemeral")]
    data: PathBuf,
    /// Start empty, and forget everything at the end
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    common: CommonArgs,
}

/// Options of everything that starts a platform.
#[derive(Debug, Clone, Args)]
pub struct CommonArgs {
    /// What to run
    #[arg(long, default_value = "template.yaml")]
    template: PathBuf,
    /// A parameter of the template; wins over samconfig.toml
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Environment of samconfig.toml that parameters are taken from
    #[arg(long, default_value = "local")]
    config_env: String,
    /// Port of the AWS endpoint; 0 is a free one
    #[arg(long, default_value_t = 0)]
    aws_port: u16,
    /// Build the functions with --release
    #[arg(long)]
    release_functions: bool,
    /// Run the executables in this folder instead of building the functions
    #[arg(long, value_name = "FOLDER", conflicts_with = "release_functions")]
    executables: Option<PathBuf>,
    /// Show what the functions log, besides keeping it in files
    #[arg(long)]
    echo_logs: bool,
}

impl CommonArgs {
    /// The options of a platform on a free port with a temporary folder, its parameters from samconfig.toml.
    ///
    /// # Errors
    ///
    /// When samconfig.toml cannot be understood.
    pub fn options(&self) -> Result<Options, SamConfigError> {
        let config = self.template.with_file_name("samconfig.toml");
        let settings = samconfig::read(&config, &self.config_env)?;
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

fn parameter(text: &str) -> Result<(String, String), String> {
    samconfig::split(text).ok_or_else(|| format!("{text} is not NAME=VALUE"))
}

/// Does what the command line says.
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
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_happens_without_a_command() {
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
    fn a_parameter_of_the_command_line_wins_over_the_file() {
        let template = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
        let line = ["erp-local", "--ephemeral", "--template", template, "--parameter", "Registration=closed"];
        let options = Cli::parse_from(line).serve.options().unwrap();
        assert_eq!(options.data, None);
        assert_eq!(options.stack_name, "erp");
        assert_eq!(options.parameters["Registration"], "closed");
        assert_eq!(options.parameters["Stage"], "local");
    }

    #[test]
    fn what_is_no_parameter_is_refused() {
        assert!(Cli::try_parse_from(["erp-local", "--parameter", "Registration"]).is_err());
    }
}
