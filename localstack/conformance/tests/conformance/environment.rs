//! Variables: what the template gives a function is what it needs to start, no more and no less. The real binaries
//! say so themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use erp_local::deployment::Function;
use erp_local::lambda::{Config, Functions};
use erp_testkit::Dynamo;

use crate::executables::executables;
use crate::none;
use crate::source::{between, sources};
use crate::world::{World, deployment};

pub(crate) mod holds {
    crate::checks::checks!(
        a_function_has_its_variables_and_no_others,
        functions_behind_the_api_get_what_their_answers_need,
    );
}

/// Each function's variables with what they hold; a secret's value is nobody's business. The tests below that start
/// the real binaries show that each needs every one of these.
const VARIABLES: &[(&str, &[(&str, &str)])] = &[
    ("authorizer", &[("JWT_KEYS", SECRET), ISSUER, AUDIENCE]),
    (
        "auth-api",
        &[
            ("TABLE_NAME", "erp-auth"),
            ("JWT_KEYS", SECRET),
            ISSUER,
            AUDIENCE,
            ("REGISTRATION", "closed"),
            ("RESET_TOKENS", "hide"),
            ("SERVICE_CREDENTIALS", SECRET),
        ],
    ),
    ("contact-api", &[("TABLE_NAME", "erp-contact")]),
    ("contact-query", &[("TABLE_NAME", "erp-contact")]),
    ("inventory-api", &[("TABLE_NAME", "erp-inventory")]),
    ("inventory-query", &[("TABLE_NAME", "erp-inventory")]),
    ("inventory-worker", &[("TABLE_NAME", "erp-inventory")]),
    ("sales-api", &[("TABLE_NAME", "erp-sales"), CONTACTS, ITEMS, ("CURRENCY", "USD")]),
    ("sales-worker", &[("TABLE_NAME", "erp-sales")]),
    ("purchase-api", &[("TABLE_NAME", "erp-purchase"), CONTACTS, ITEMS, ("CURRENCY", "USD")]),
    ("relay", &TOPICS),
    ("relay-sweep", &[TOPICS[0], TOPICS[1], TOPICS[2], TOPICS[3], TOPICS[4], ("SWEEP_TABLES", EVERY_TABLE)]),
    (
        "reconcile",
        &[
            ("INVENTORY_TABLE", "erp-inventory"),
            ("SALES_TABLE", "erp-sales"),
            ("PURCHASE_TABLE", "erp-purchase"),
            ("OUTBOX_TABLES", EVERY_TABLE),
        ],
    ),
    (
        "portal",
        &[
            ("HEALTH_TABLES", EVERY_TABLE),
            ("HEALTH_QUEUES", QUEUES),
            ("HEALTH_DEAD_LETTER_QUEUES", DEAD_LETTER_QUEUES),
        ],
    ),
];
const SECRET: &str = "{";
const ISSUER: (&str, &str) = ("JWT_ISSUER", "erp");
const AUDIENCE: (&str, &str) = ("JWT_AUDIENCE", "erp-order-platform");
const CONTACTS: (&str, &str) =
    ("CONTACT_QUERY_FUNCTION", "arn:aws:lambda:us-east-1:000000000000:function:erp-contact-query:live");
const ITEMS: (&str, &str) =
    ("INVENTORY_QUERY_FUNCTION", "arn:aws:lambda:us-east-1:000000000000:function:erp-inventory-query:live");
const QUEUES: &str = "http://127.0.0.1:4566/000000000000/erp-stock-queue,http://127.0.0.1:4566/000000000000/erp-order-status-queue";
const DEAD_LETTER_QUEUES: &str = "http://127.0.0.1:4566/000000000000/erp-stock-queue-dlq,\
     http://127.0.0.1:4566/000000000000/erp-order-status-queue-dlq";
const EVERY_TABLE: &str = "erp-auth,erp-contact,erp-inventory,erp-sales,erp-purchase";
const TOPICS: [(&str, &str); 5] = [
    ("AUTH_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-auth-events"),
    ("CONTACT_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-contact-events"),
    ("INVENTORY_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-inventory-events"),
    ("SALES_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-sales-events"),
    ("PURCHASE_TOPIC_ARN", "arn:aws:sns:us-east-1:000000000000:erp-purchase-events"),
];

/// What every function gets and starts without; functions behind the API use it. The samples show that it works.
const OPTIONAL: [(&str, &str); 2] = [
    ("ALLOW_ORIGIN", "erp_http::App answers with any origin where it is not set"),
    ("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH", "lambda_http leaves the stage in the path where it is not set"),
];

/// What Lambda sets by itself, in every environment.
const OF_LAMBDA: [&str; 1] = ["AWS_LAMBDA_FUNCTION_NAME"];

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

fn a_function_has_its_variables_and_no_others(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    for function in &world.deployment.functions {
        let id = &function.logical_id;
        let Some((_, wanted)) = VARIABLES.iter().find(|(binary, _)| *binary == function.binary) else {
            faults.push(format!("say in VARIABLES what {} gets", function.binary));
            continue;
        };
        for (name, value) in *wanted {
            let is_right = function.environment.get(*name).is_some_and(|found| {
                if *value == SECRET { found.starts_with(SECRET) } else { found == value }
            });
            if !is_right {
                faults.push(format!("the Environment of {id} needs {name}: {value}"));
            }
        }
        let known = |name: &str| wanted.iter().chain(&OPTIONAL).any(|(known, _)| *known == name);
        for name in function.environment.keys().filter(|name| !known(name)) {
            faults.push(format!("take {name} out of the Environment of {id}, or say in VARIABLES what for"));
        }
    }
    faults
}

fn functions_behind_the_api_get_what_their_answers_need(world: &World) -> Vec<String> {
    let routes = &world.deployment.api.routes;
    let functions = world.deployment.functions.iter();
    let behind =
        functions.filter(|function| routes.iter().any(|route| route.function == function.logical_id));
    let faults = behind.flat_map(|function| {
        OPTIONAL.iter().filter(|(name, _)| !function.environment.contains_key(*name)).map(|(name, reason)| {
            format!("add {name} to the Environment of {} or to the Globals: {reason}", function.logical_id)
        })
    });
    faults.collect()
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
            .filter(|(_, name)| !OF_LAMBDA.contains(name))
            .map(|(line, name)| {
                format!(
                    "{}:{line}: read {name} with erp_aws::config::required, or say in OPTIONAL why not",
                    source.path
                )
            })
            .collect::<Vec<_>>()
    }));
}
