//! Variables: what the template gives a function is what it needs to start, no more and no less. The real binaries
//! say so themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use erp_testkit::Dynamo;
use localstack::deployment::Function;
use localstack::lambda::{Config, Functions};

use crate::executables::executables;
use crate::none;
use crate::source::{between, sources};
use crate::world::deployment;

/// What every function gets and starts without; functions behind the API use it. The samples show that it works.
const OPTIONAL: [(&str, &str); 2] = [
    ("ALLOW_ORIGIN", "erp_http::App answers with any origin where it is not set"),
    ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "lambda_http leaves the stage in the path where it is not set"),
];

/// Starts one process of each, all at once; those are there afterwards that asked for their first event.
async fn start(functions: &[Function], logs: &Path) -> Arc<Functions> {
    // It answers that there is no such table, which is all that a function wants to hear while it starts.
    let endpoint = Dynamo::start().await.endpoint;
    let mut config = Config::new(logs);
    config.warm = true;
    config.init = Duration::from_secs(30);
    config.environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL".to_owned(), endpoint),
        ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
    ]);
    Functions::start(config, functions, executables()).await.unwrap()
}

fn has_started(functions: &Functions, name: &str) -> bool {
    functions.processes().iter().any(|process| process.function == name)
}

fn log(logs: &Path, name: &str) -> String {
    std::fs::read_to_string(logs.join(format!("{name}.log"))).unwrap_or_default()
}

#[tokio::test]
async fn every_function_starts_with_what_the_template_gives_it() {
    let logs = tempfile::tempdir().unwrap();
    let running = start(&deployment().functions, logs.path()).await;
    none(deployment().functions.iter().filter(|function| !has_started(&running, &function.name)).map(
        |function| {
            let Function { logical_id, name, .. } = function;
            format!(
                "add what is missing to the Environment of {logical_id}: {}",
                log(logs.path(), name).trim()
            )
        },
    ));
    running.stop().await;
}

#[tokio::test]
async fn no_function_starts_without_one_of_its_variables_and_it_says_which() {
    let mut without = Vec::new();
    for function in &deployment().functions {
        for variable in function.environment.keys() {
            if OPTIONAL.iter().all(|(optional, _)| optional != variable) {
                let mut function = function.clone();
                function.environment.remove(variable);
                function.name = format!("{}-without-{variable}", function.name);
                function.logical_id.push_str(variable);
                without.push((function, variable));
            }
        }
    }
    let logs = tempfile::tempdir().unwrap();
    let functions: Vec<Function> = without.iter().map(|(function, _)| function.clone()).collect();
    let running = start(&functions, logs.path()).await;
    none(without.iter().filter_map(|(function, variable)| {
        let Function { name, binary, .. } = function;
        if has_started(&running, name) {
            return Some(format!(
                "{binary} does not need {variable}: take it out of its Environment in template.yaml"
            ));
        }
        let log = log(logs.path(), name);
        (!log.contains(variable.as_str()))
            .then(|| format!("{binary} does not say that {variable} is missing, but: {}", log.trim()))
    }));
    running.stop().await;
}

#[test]
fn functions_behind_the_api_get_what_their_answers_need() {
    let routes = &deployment().api.routes;
    let behind = deployment()
        .functions
        .iter()
        .filter(|function| routes.iter().any(|route| route.function == function.logical_id));
    none(behind.flat_map(|function| {
        OPTIONAL.iter().filter(|(name, _)| !function.environment.contains_key(*name)).map(|(name, reason)| {
            format!("add {name} to the Environment of {} or to the Globals: {reason}", function.logical_id)
        })
    }));
}

#[test]
fn nobody_reads_a_variable_that_could_be_missing_unnoticed() {
    let ours = sources().iter().filter(|source| !source.path.starts_with("localstack"));
    none(ours.flat_map(|source| {
        source
            .code()
            .flat_map(move |(line, text)| {
                between(text, "env::var(\"", "\"")
                    .into_iter()
                    .map(move |name| (line, name))
                    .collect::<Vec<_>>()
            })
            .filter(|(_, name)| OPTIONAL.iter().all(|(optional, _)| optional != name))
            .map(|(line, name)| {
                format!(
                    "{}:{line}: read {name} with erp_aws::config::required, or say in OPTIONAL why not",
                    source.path
                )
            })
            .collect::<Vec<_>>()
    }));
}
